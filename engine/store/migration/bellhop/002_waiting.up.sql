-- Deliveries of steps that wait for a moment, and follow their appointment until then.
ALTER TABLE deliveries ADD COLUMN moment_at integer NOT NULL DEFAULT 0; -- the moment that the step waits for; 0 if it does not
ALTER TABLE deliveries ADD COLUMN until_at integer NOT NULL DEFAULT 0;  -- the last moment at which it may be sent; 0 if there is none
ALTER TABLE deliveries ADD COLUMN step_key text NOT NULL DEFAULT '';    -- finds the step in a newer version of its rule; '' if it does not wait
ALTER TABLE deliveries ADD COLUMN follows integer NOT NULL DEFAULT 0;   -- 1 while it follows its appointment, 0 once another does so in its place
ALTER TABLE deliveries ADD COLUMN copy integer NOT NULL DEFAULT 0;      -- raised where one that was tried already goes on anew, at another moment

DROP INDEX deliveries_step;
CREATE UNIQUE INDEX deliveries_step ON deliveries (event, rule, step, copy);
CREATE INDEX deliveries_held ON deliveries (source, appointment) WHERE follows = 1 AND state IN ('waiting', 'pending', 'sending', 'retrying', 'cancelled', 'skipped', 'dead');

-- River looks every few seconds for jobs that have become due, and would read all that wait.
CREATE INDEX river_job_waiting ON river_job (state, scheduled_at) WHERE state IN ('retryable', 'scheduled');
