-- What was looked up for a delivery, as JSON; null if nothing was.
ALTER TABLE deliveries ADD COLUMN people bytea;

-- When what counts towards a limit happened, and tokens of the platform.
CREATE TABLE quotas (
    name text COLLATE "C" PRIMARY KEY,
    at bigint NOT NULL, -- until when it matters
    times bytea NOT NULL
);
CREATE INDEX quotas_at ON quotas (at);
CREATE TABLE tokens (
    name text COLLATE "C" PRIMARY KEY,
    token text NOT NULL
);

-- Whether limits and the brake let the delivery pass.
ALTER TABLE deliveries ADD COLUMN allowed boolean NOT NULL DEFAULT false;
