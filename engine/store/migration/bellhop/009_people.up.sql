-- What was looked up for a delivery, as JSON; null if nothing was.
ALTER TABLE deliveries ADD COLUMN people blob;

-- When what counts towards a limit happened, and tokens of the platform.
CREATE TABLE quotas (
    name text PRIMARY KEY NOT NULL,
    at integer NOT NULL, -- until when it matters
    times blob NOT NULL
);
CREATE INDEX quotas_at ON quotas (at);
CREATE TABLE tokens (
    name text PRIMARY KEY NOT NULL,
    token text NOT NULL
);

-- Whether limits and the brake let the delivery pass.
ALTER TABLE deliveries ADD COLUMN allowed integer NOT NULL DEFAULT 0;
