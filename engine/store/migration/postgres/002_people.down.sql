ALTER TABLE deliveries DROP COLUMN people;
