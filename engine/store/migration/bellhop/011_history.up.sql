-- Whose appointment it is, and when, so that the others of a contact can be found.
ALTER TABLE appointments ADD COLUMN location text NOT NULL DEFAULT '';
ALTER TABLE appointments ADD COLUMN contact text NOT NULL DEFAULT '';
ALTER TABLE appointments ADD COLUMN starts_at integer NOT NULL DEFAULT 0;
UPDATE appointments SET
    contact = coalesce(CASE WHEN json_valid(CAST(state AS text)) THEN json_extract(CAST(state AS text), '$.contactId') END, ''),
    location = coalesce((SELECT e.location FROM events e WHERE e.appointment = appointments.id AND e.source = appointments.source ORDER BY e.id DESC LIMIT 1), ''),
    starts_at = coalesce(CASE WHEN json_valid(CAST(state AS text)) THEN CAST(strftime('%s', json_extract(CAST(state AS text), '$.startTime')) AS integer) * 1000000 END, 0);
CREATE INDEX appointments_contact ON appointments (location, contact, starts_at, id) WHERE contact <> '';
