-- Whose appointment it is, and when, so that the others of a contact can be found.
ALTER TABLE appointments ADD COLUMN location text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE appointments ADD COLUMN contact text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE appointments ADD COLUMN starts_at bigint NOT NULL DEFAULT 0;
UPDATE appointments SET
    contact = coalesce(substring(convert_from(state, 'UTF8') FROM '"contactId":"([^"]*)"'), ''),
    location = coalesce((SELECT e.location FROM events e WHERE e.appointment = appointments.id AND e.source = appointments.source ORDER BY e.id DESC LIMIT 1), ''),
    starts_at = coalesce((extract(epoch FROM substring(convert_from(state, 'UTF8') FROM '"startTime":"([^"]*)"')::timestamptz) * 1000000)::bigint, 0);
CREATE INDEX appointments_contact ON appointments (location, contact, starts_at, id) WHERE contact <> '';
