DROP INDEX appointments_contact;
ALTER TABLE appointments DROP COLUMN starts_at;
ALTER TABLE appointments DROP COLUMN contact;
ALTER TABLE appointments DROP COLUMN location;
