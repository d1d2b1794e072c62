-- What was looked up for a delivery, as JSON; null if nothing was.
ALTER TABLE deliveries ADD COLUMN people blob;
