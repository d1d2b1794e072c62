DROP INDEX events_type;
CREATE INDEX events_type ON events (type, id) WHERE type NOT IN ('AppointmentCreate', 'AppointmentUpdate', 'AppointmentDelete');
DROP INDEX deliveries_order;
CREATE INDEX deliveries_order ON deliveries (appointment, rule, step, event) WHERE step_key = '' AND state IN ('pending', 'sending', 'retrying');
DROP INDEX deliveries_held;
CREATE INDEX deliveries_held ON deliveries (source, appointment) WHERE follows = 1 AND state IN ('waiting', 'pending', 'sending', 'retrying', 'cancelled', 'skipped', 'dead');
DROP TABLE probe;
CREATE TABLE probe (
    id integer PRIMARY KEY,
    at integer NOT NULL
);
DROP TABLE rules_in_force;
CREATE TABLE rule_files_old (
    path text PRIMARY KEY NOT NULL,
    hash text NOT NULL,
    loaded_at integer NOT NULL
);
INSERT INTO rule_files_old (path, hash, loaded_at) SELECT path, hash, loaded_at FROM rule_files WHERE node = '';
DROP TABLE rule_files;
ALTER TABLE rule_files_old RENAME TO rule_files;
