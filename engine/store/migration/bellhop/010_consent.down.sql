DROP TABLE suppressed;
ALTER TABLE deliveries DROP COLUMN opens_at;
