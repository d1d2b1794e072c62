-- What operators ask for is found by an index and newest first, what is over by when it was, and the deliveries in each
-- state are counted as they change.
DROP INDEX deliveries_open;
CREATE INDEX deliveries_state ON deliveries (state, id);
CREATE INDEX deliveries_rule ON deliveries (rule, id);
CREATE INDEX deliveries_waiting ON deliveries (rule, step, step_key) WHERE state = 'waiting';

CREATE INDEX events_location ON events (location, id);
CREATE INDEX events_appointment ON events (appointment, id);
CREATE INDEX events_source ON events (source, id);
-- Nearly all events are of these types and are accepted: walking through them finds some at once.
CREATE INDEX events_type ON events (type, id) WHERE type NOT IN ('AppointmentCreate', 'AppointmentUpdate', 'AppointmentDelete');
CREATE INDEX events_status ON events (status, id) WHERE status <> 'accepted';

CREATE INDEX appointments_over ON appointments (max(touched_at, ends_at));

CREATE TABLE delivery_counts (
    state text PRIMARY KEY NOT NULL,
    n integer NOT NULL
) WITHOUT ROWID;
INSERT INTO delivery_counts (state, n) SELECT state, count(*) FROM deliveries GROUP BY state;

CREATE TRIGGER deliveries_made AFTER INSERT ON deliveries BEGIN
    INSERT INTO delivery_counts (state, n) VALUES (new.state, 1) ON CONFLICT (state) DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER deliveries_changed AFTER UPDATE OF state ON deliveries WHEN old.state <> new.state BEGIN
    UPDATE delivery_counts SET n = n - 1 WHERE state = old.state;
    INSERT INTO delivery_counts (state, n) VALUES (new.state, 1) ON CONFLICT (state) DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER deliveries_gone AFTER DELETE ON deliveries BEGIN
    UPDATE delivery_counts SET n = n - 1 WHERE state = old.state;
END;
