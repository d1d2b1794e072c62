-- What the request of an immediate message says of its appointment, where that is not what its event said: it was rendered
-- again because the appointment had moved.
ALTER TABLE deliveries ADD COLUMN tells blob;
