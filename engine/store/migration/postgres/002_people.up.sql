-- What was looked up for a delivery, as JSON; null if nothing was.
ALTER TABLE deliveries ADD COLUMN people bytea;

-- When the latest requests were made that count towards a limit, and tokens of the platform.
CREATE TABLE quotas (
    name text COLLATE "C" PRIMARY KEY,
    at bigint NOT NULL, -- the latest
    times bytea NOT NULL
);
CREATE INDEX quotas_at ON quotas (at);
CREATE TABLE tokens (
    name text COLLATE "C" PRIMARY KEY,
    token text NOT NULL
);
