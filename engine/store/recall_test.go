package store

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/riverqueue/river/rivermigrate"

	"bellhop/engine/record"
	"bellhop/engine/store/storetest"
)

// A recall brings back the deliveries that a handler put off. It does not bring back those that wait for their next
// attempt, or those for another destination.
func TestRecall(t *testing.T) {
	t.Parallel()
	s, err := Open(t.Context(), Options{At: storetest.At(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	var mu sync.Mutex
	seen := map[string]int{}
	var all sync.WaitGroup
	all.Add(31)
	ctx, stop := context.WithCancel(t.Context())
	worked := make(chan error, 1)
	go func() {
		worked <- s.Work(ctx, WorkOptions{Workers: 50, Stop: time.Second}, func(ctx context.Context, j *Job) time.Duration {
			mu.Lock()
			seen[j.Destination]++
			n := seen[j.Destination]
			mu.Unlock()
			defer all.Done()
			switch {
			case j.Destination == "retried":
				d, ok, err := j.Claim(ctx, nil)
				if err != nil || !ok {
					t.Errorf("claim: %v, %v", ok, err)
				}
				d.State, d.Due = record.Retrying, time.Now().Add(time.Hour)
				if err := j.Record(ctx, &d); err != nil {
					t.Error(err)
				}
				return time.Hour
			case j.Destination == "back" && n > 10:
				return 0
			}
			return time.Hour
		})
	}()
	err = s.Write(t.Context(), 0, func(tx *Tx) error {
		for _, to := range []string{"back", "other"} {
			for range 10 {
				d := record.Delivery{ID: record.NewID(), Event: record.NewID(), Rule: "r", Step: 1, Action: "http", Destination: to, State: record.Pending, Created: time.Now(), Due: time.Now()}
				if _, err := tx.InsertDelivery(&d); err != nil {
					return err
				}
			}
		}
		d := record.Delivery{ID: record.NewID(), Event: record.NewID(), Rule: "r", Step: 1, Action: "http", Destination: "retried", State: record.Pending, Created: time.Now(), Due: time.Now()}
		_, err := tx.InsertDelivery(&d)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	came := 0
	for came < 10 {
		n, err := s.Recall(t.Context(), "back", 4)
		if err != nil || n > 4 {
			t.Fatalf("%d, %v", n, err)
		}
		came += n
	}
	all.Wait()
	if n, err := s.Recall(t.Context(), "retried", 10); n != 0 || err != nil {
		t.Errorf("%d that wait for their next attempt come back, %v", n, err)
	}
	stop()
	if err := <-worked; err != nil {
		t.Error(err)
	}
	if seen["back"] != 20 || seen["other"] != 10 {
		t.Errorf("seen: %v", seen)
	}
}

// When River rebuilds its table, the store keeps its jobs and its own indexes.
func TestIndexesOutliveRiver(t *testing.T) {
	t.Parallel()
	storetest.InFolder(t)
	dir := t.TempDir()
	s, err := Open(t.Context(), Options{At: dir})
	if err != nil {
		t.Fatal(err)
	}
	m, err := rivermigrate.New(s.queue.driver, &rivermigrate.Config{Line: "main", Logger: quiet(s.log)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Migrate(t.Context(), rivermigrate.DirectionDown, &rivermigrate.MigrateOpts{TargetVersion: 7}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.write.ExecContext(t.Context(), s.db.dialect().queue); err != nil {
		t.Fatal(err)
	}
	var id string
	err = s.Write(t.Context(), 0, func(tx *Tx) error {
		id = record.NewID()
		d := record.Delivery{ID: id, Event: record.NewID(), Rule: "r", Step: 1, Action: "http", Destination: "there", State: record.Pending, Created: time.Now(), Due: time.Now()}
		_, err := tx.InsertDelivery(&d)
		return err
	})
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}

	if s, err = Open(t.Context(), Options{At: dir}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	var indexes, rebuilt, jobs int
	err = errors.Join(
		s.write.QueryRowContext(t.Context(), `SELECT count(*) FROM sqlite_master WHERE type = 'index' AND tbl_name = 'river_job' AND name IN ('river_job_away', 'river_job_waiting')`).Scan(&indexes),
		s.write.QueryRowContext(t.Context(), `SELECT count(*) FROM sqlite_master WHERE name = 'river_job' AND sql LIKE '%AUTOINCREMENT%'`).Scan(&rebuilt),
		s.write.QueryRowContext(t.Context(), `SELECT count(*) FROM river_job WHERE args ->> '$.d' = ?`, id).Scan(&jobs),
	)
	if err != nil || indexes != 2 || rebuilt != 1 || jobs != 1 {
		t.Errorf("%d indexes, rebuilt %d, %d jobs: %v", indexes, rebuilt, jobs, err)
	}
}
