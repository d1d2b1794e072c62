ALTER TABLE appointments DROP COLUMN latest;
