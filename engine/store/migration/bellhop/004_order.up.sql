-- The calls of one step for one appointment that are not sent yet, in the order of their events.
CREATE INDEX deliveries_order ON deliveries (appointment, rule, step, event) WHERE step_key = '' AND state IN ('pending', 'sending', 'retrying');
