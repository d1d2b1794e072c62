package store

import (
	"path/filepath"
	"testing"
)

// SetRunning puts the jobs of a closed store back to how a process that was killed leaves those whose
// deliveries are being sent.
func SetRunning(t *testing.T, dir string) {
	t.Helper()
	db, err := openPool(filepath.Join(dir, "bellhop.db"), 1, false)
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.ExecContext(t.Context(), `UPDATE river_job SET state = 'running', finalized_at = NULL 
		WHERE args ->> '$.d' IN (SELECT id FROM deliveries WHERE state = 'sending')`)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}
