ALTER TABLE deliveries DROP COLUMN tells;
