-- One row for each distinct webhook. state and previous are the appointment after and before it, as JSON.
CREATE TABLE events (
    id text PRIMARY KEY NOT NULL,
    dedupe blob NOT NULL,
    source text NOT NULL,
    location text NOT NULL,
    type text NOT NULL,
    webhook text NOT NULL,
    appointment text NOT NULL,
    received_at integer NOT NULL, -- microseconds since 1970, as every time here
    status text NOT NULL,
    happened text NOT NULL,       -- the names of what happened, with spaces between
    changed text NOT NULL,        -- the names of the fields that changed, with spaces between
    rules text NOT NULL,          -- the rule set in force when the event was received
    body blob NOT NULL,
    state blob,
    previous blob
);
CREATE UNIQUE INDEX events_dedupe ON events (dedupe);

-- The last known state of each appointment. ends_at decides how long it is kept.
CREATE TABLE appointments (
    source text NOT NULL,
    id text NOT NULL,
    touched_at integer NOT NULL,
    ends_at integer NOT NULL,
    state blob NOT NULL,
    PRIMARY KEY (source, id)
) WITHOUT ROWID;

-- One row for each step of a rule for an event: what was sent, what will be, and what was not and why.
CREATE TABLE deliveries (
    id text PRIMARY KEY NOT NULL,
    event text NOT NULL,
    source text NOT NULL,
    location text NOT NULL,
    appointment text NOT NULL,
    rule text NOT NULL,
    step integer NOT NULL,        -- counted from 1; 0 is the rule's condition
    action text NOT NULL,
    connection text NOT NULL,
    destination text NOT NULL,
    state text NOT NULL,
    reason text NOT NULL,
    created_at integer NOT NULL,
    due_at integer NOT NULL,
    retried_at integer NOT NULL,
    turn integer NOT NULL,        -- raised when another job takes over, so that the older one does nothing
    attempts blob NOT NULL,       -- a JSON list
    request blob
);
CREATE UNIQUE INDEX deliveries_step ON deliveries (event, rule, step);
CREATE INDEX deliveries_appointment ON deliveries (appointment);
CREATE INDEX deliveries_open ON deliveries (state, id) WHERE state <> 'sent';

-- The last good version of each rule file, so that a restart with a broken file still has its rules.
CREATE TABLE rule_files (
    path text PRIMARY KEY NOT NULL,
    hash text NOT NULL,
    data blob NOT NULL,
    loaded_at integer NOT NULL
);

-- What a rule file held, for every version that an event was matched with.
CREATE TABLE rule_versions (
    hash text PRIMARY KEY NOT NULL,
    data blob NOT NULL
);

-- Which versions of the rule files were in force together. ended_at is 0 for the set that is.
CREATE TABLE rule_sets (
    id text PRIMARY KEY NOT NULL,
    files text NOT NULL,          -- a JSON list of path and hash
    ended_at integer NOT NULL
);

CREATE TABLE probe (
    id integer PRIMARY KEY,
    at integer NOT NULL
);
