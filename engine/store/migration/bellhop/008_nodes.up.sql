-- Processes that share a database have a name each. In a file it is ''.
CREATE TABLE rule_files_new (
    node text NOT NULL,
    path text NOT NULL,
    hash text NOT NULL,
    loaded_at integer NOT NULL,
    stamp text NOT NULL DEFAULT '', -- what the version was checked with
    PRIMARY KEY (node, path)
);
INSERT INTO rule_files_new (node, path, hash, loaded_at) SELECT '', path, hash, loaded_at FROM rule_files;
DROP TABLE rule_files;
ALTER TABLE rule_files_new RENAME TO rule_files;

-- The rule set in force at each node.
CREATE TABLE rules_in_force (
    node text PRIMARY KEY NOT NULL,
    id text NOT NULL
);
INSERT INTO rules_in_force (node, id) SELECT '', id FROM rule_sets WHERE ended_at = 0 LIMIT 1;

DROP TABLE probe;
CREATE TABLE probe (
    node text PRIMARY KEY NOT NULL,
    at integer NOT NULL
);

-- SQLite makes a table of the words of an IN for each row that it adds to such an index. A chain of comparisons costs
-- nothing. Queries must say the same.
DROP INDEX deliveries_held;
CREATE INDEX deliveries_held ON deliveries (source, appointment) WHERE follows AND state <> 'sent' AND state <> 'shadow';
DROP INDEX deliveries_order;
CREATE INDEX deliveries_order ON deliveries (appointment, rule, step, event) WHERE step_key = '' AND (state = 'pending' OR state = 'sending' OR state = 'retrying');
DROP INDEX events_type;
CREATE INDEX events_type ON events (type, id) WHERE type <> 'AppointmentCreate' AND type <> 'AppointmentUpdate' AND type <> 'AppointmentDelete';
