ALTER TABLE rule_files ADD COLUMN data blob NOT NULL DEFAULT '';
UPDATE rule_files SET data = (SELECT data FROM rule_versions v WHERE v.hash = rule_files.hash);
ALTER TABLE rule_sets ADD COLUMN files text NOT NULL DEFAULT '[]';
UPDATE rule_sets SET files = (SELECT json_group_array(json_object('path', path, 'hash', hash) ORDER BY path) FROM rule_set_files
    WHERE since <= number AND (until = 0 OR until > number));
DROP INDEX rule_sets_ended;
DROP INDEX rule_sets_number;
ALTER TABLE rule_sets DROP COLUMN number;
DROP TABLE rule_set_files;
