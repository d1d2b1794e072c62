ALTER TABLE deliveries DROP COLUMN allowed;
DROP TABLE tokens;
DROP TABLE quotas;
ALTER TABLE deliveries DROP COLUMN people;
