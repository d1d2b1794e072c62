-- A rule set is the versions of files that were in force when it first was: from one set's number on, and before another's.
-- So a set costs what it changes.
CREATE TABLE rule_set_files (
    path text NOT NULL,
    hash text NOT NULL,
    since integer NOT NULL,       -- the number of the first set that has it
    until integer NOT NULL        -- the number of the first set after that which has not; 0 if the newest set has it
);
CREATE INDEX rule_set_files_until ON rule_set_files (until, path);

ALTER TABLE rule_sets ADD COLUMN number integer NOT NULL DEFAULT 0;
UPDATE rule_sets SET number = o.n FROM (SELECT id, row_number() OVER (ORDER BY ended_at = 0, ended_at, rowid) AS n FROM rule_sets) AS o WHERE o.id = rule_sets.id;
INSERT INTO rule_set_files (path, hash, since, until)
    SELECT path, hash, min(number), iif(max(number) = (SELECT max(number) FROM rule_sets), 0, max(number) + 1) FROM (
        SELECT path, hash, number, number - row_number() OVER (PARTITION BY path, hash ORDER BY number) AS run FROM (
            SELECT f.value ->> 'path' AS path, f.value ->> 'hash' AS hash, s.number FROM rule_sets AS s, json_each(s.files) AS f))
    GROUP BY path, hash, run;
ALTER TABLE rule_sets DROP COLUMN files;
CREATE UNIQUE INDEX rule_sets_number ON rule_sets (number);
CREATE INDEX rule_sets_ended ON rule_sets (ended_at);

-- What a file holds is kept once.
INSERT INTO rule_versions (hash, data) SELECT hash, data FROM rule_files WHERE true ON CONFLICT (hash) DO NOTHING;
ALTER TABLE rule_files DROP COLUMN data;
