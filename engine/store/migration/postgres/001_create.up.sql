-- The tables of a store, see migration/bellhop for what their columns mean. Texts sort by their bytes, as in SQLite.
CREATE TABLE events (
    id text COLLATE "C" PRIMARY KEY,
    dedupe bytea NOT NULL,
    source text COLLATE "C" NOT NULL,
    location text COLLATE "C" NOT NULL,
    type text COLLATE "C" NOT NULL,
    webhook text COLLATE "C" NOT NULL,
    appointment text COLLATE "C" NOT NULL,
    received_at bigint NOT NULL,
    status text COLLATE "C" NOT NULL,
    happened text COLLATE "C" NOT NULL,
    changed text COLLATE "C" NOT NULL,
    rules text COLLATE "C" NOT NULL,
    body bytea NOT NULL,
    state bytea,
    previous bytea
);
CREATE UNIQUE INDEX events_dedupe ON events (dedupe);
CREATE INDEX events_location ON events (location, id);
CREATE INDEX events_appointment ON events (appointment, id);
CREATE INDEX events_source ON events (source, id);
CREATE INDEX events_type ON events (type, id) WHERE type <> 'AppointmentCreate' AND type <> 'AppointmentUpdate' AND type <> 'AppointmentDelete';
CREATE INDEX events_status ON events (status, id) WHERE status <> 'accepted';

-- In a statement for both databases, max of two numbers is the larger one.
CREATE FUNCTION max(a bigint, b bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT CASE WHEN a > b THEN a ELSE b END';

CREATE TABLE appointments (
    source text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    touched_at bigint NOT NULL,
    ends_at bigint NOT NULL,
    state bytea NOT NULL,
    latest bytea,
    PRIMARY KEY (source, id)
) WITH (fillfactor = 80);
CREATE INDEX appointments_over ON appointments (max(touched_at, ends_at), source, id);

CREATE TABLE deliveries (
    id text COLLATE "C" PRIMARY KEY,
    event text COLLATE "C" NOT NULL,
    source text COLLATE "C" NOT NULL,
    location text COLLATE "C" NOT NULL,
    appointment text COLLATE "C" NOT NULL,
    rule text COLLATE "C" NOT NULL,
    step integer NOT NULL,
    action text COLLATE "C" NOT NULL,
    connection text COLLATE "C" NOT NULL,
    destination text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL,
    reason text COLLATE "C" NOT NULL,
    created_at bigint NOT NULL,
    due_at bigint NOT NULL,
    retried_at bigint NOT NULL,
    turn integer NOT NULL,
    attempts bytea NOT NULL,
    request bytea,
    moment_at bigint NOT NULL DEFAULT 0,
    until_at bigint NOT NULL DEFAULT 0,
    step_key text COLLATE "C" NOT NULL DEFAULT '',
    follows boolean NOT NULL DEFAULT false,
    copy integer NOT NULL DEFAULT 0,
    tells bytea
);
CREATE UNIQUE INDEX deliveries_step ON deliveries (event, rule, step, copy);
CREATE INDEX deliveries_appointment ON deliveries (appointment);
CREATE INDEX deliveries_held ON deliveries (source, appointment) WHERE follows AND state <> 'sent' AND state <> 'shadow';
CREATE INDEX deliveries_order ON deliveries (appointment, rule, step, event) WHERE step_key = '' AND (state = 'pending' OR state = 'sending' OR state = 'retrying');
CREATE INDEX deliveries_state ON deliveries (state, id);
CREATE INDEX deliveries_rule ON deliveries (rule, id);
CREATE INDEX deliveries_waiting ON deliveries (rule, step, step_key) WHERE state = 'waiting';

-- The deliveries in each state are counted as they change. Each change is a row, so that transactions do not wait for
-- each other; the rows are added up now and then.
CREATE TABLE delivery_changes (
    state text COLLATE "C" NOT NULL,
    n bigint NOT NULL
);
CREATE VIEW delivery_counts AS SELECT state, sum(n)::bigint AS n FROM delivery_changes GROUP BY state;
CREATE FUNCTION count_delivery() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO delivery_changes (state, n) VALUES (NEW.state, 1);
    ELSIF TG_OP = 'UPDATE' THEN
        INSERT INTO delivery_changes (state, n) VALUES (OLD.state, -1), (NEW.state, 1);
    ELSE
        INSERT INTO delivery_changes (state, n) VALUES (OLD.state, -1);
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER deliveries_made AFTER INSERT ON deliveries FOR EACH ROW EXECUTE FUNCTION count_delivery();
CREATE TRIGGER deliveries_changed AFTER UPDATE OF state ON deliveries FOR EACH ROW WHEN (OLD.state <> NEW.state) EXECUTE FUNCTION count_delivery();
CREATE TRIGGER deliveries_gone AFTER DELETE ON deliveries FOR EACH ROW EXECUTE FUNCTION count_delivery();

CREATE TABLE rule_files (
    node text COLLATE "C" NOT NULL,
    path text COLLATE "C" NOT NULL,
    hash text COLLATE "C" NOT NULL,
    loaded_at bigint NOT NULL,
    stamp text COLLATE "C" NOT NULL DEFAULT '',
    PRIMARY KEY (node, path)
);
CREATE TABLE rule_versions (
    hash text COLLATE "C" PRIMARY KEY,
    data bytea NOT NULL
);
CREATE TABLE rule_sets (
    id text COLLATE "C" PRIMARY KEY,
    number bigint NOT NULL,
    ended_at bigint NOT NULL
);
CREATE UNIQUE INDEX rule_sets_number ON rule_sets (number);
CREATE INDEX rule_sets_ended ON rule_sets (ended_at);
CREATE TABLE rule_set_files (
    path text COLLATE "C" NOT NULL,
    hash text COLLATE "C" NOT NULL,
    since bigint NOT NULL,
    until bigint NOT NULL
);
CREATE INDEX rule_set_files_until ON rule_set_files (until, path);
CREATE TABLE rules_in_force (
    node text COLLATE "C" PRIMARY KEY,
    id text COLLATE "C" NOT NULL
);
CREATE TABLE probe (
    node text COLLATE "C" PRIMARY KEY,
    at bigint NOT NULL
);

-- The processes that share the database. A process that is not seen for a while has ended, or cannot reach it.
CREATE TABLE nodes (
    id text COLLATE "C" PRIMARY KEY,
    name text COLLATE "C" NOT NULL,
    version text COLLATE "C" NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now()
);
-- What is done by one of them at a time, and when it was done last.
CREATE TABLE tasks (
    name text COLLATE "C" PRIMARY KEY,
    at timestamptz NOT NULL
);
