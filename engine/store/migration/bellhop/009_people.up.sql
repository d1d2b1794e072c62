-- What was looked up for a delivery, as JSON; null if nothing was.
ALTER TABLE deliveries ADD COLUMN people blob;

-- When the latest requests were made that count towards a limit, and tokens of the platform.
CREATE TABLE quotas (
    name text PRIMARY KEY NOT NULL,
    at integer NOT NULL, -- the latest
    times blob NOT NULL
);
CREATE INDEX quotas_at ON quotas (at);
CREATE TABLE tokens (
    name text PRIMARY KEY NOT NULL,
    token text NOT NULL
);
