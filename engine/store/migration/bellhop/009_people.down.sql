DROP TABLE tokens;
DROP TABLE quotas;
ALTER TABLE deliveries DROP COLUMN people;
