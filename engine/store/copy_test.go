package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"bellhop/engine/record"
	"bellhop/engine/store/storetest"
	"bellhop/rules/live"
)

// content returns all rows of a store that are copied, as texts.
func content(t *testing.T, s *Store) string {
	t.Helper()
	var b strings.Builder
	for _, x := range tables {
		rows, err := s.read.QueryContext(t.Context(), `SELECT `+strings.Join(x.columns(), ", ")+` FROM `+x.name+` ORDER BY `+strings.Join(x.key, ", "))
		list, err := collect(rows, err, x.name, x.scan)
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range list {
			if x.node {
				row[0] = ""
			}
			fmt.Fprintln(&b, x.name, row)
		}
	}
	counts, err := s.CountDeliveries(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(&b, counts)
	return b.String()
}

// Every column of the tables that are copied is copied.
func TestCopyKnowsAllColumns(t *testing.T) {
	t.Parallel()
	s, err := Open(t.Context(), Options{At: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	left := []string{"delivery_counts", "probe"} // counted by triggers; of a running process
	rows, err := s.read.QueryContext(t.Context(), `SELECT m.name, c.name FROM sqlite_master AS m, pragma_table_info(m.name) AS c WHERE m.type = 'table'
		AND m.name NOT LIKE 'river_%' AND m.name NOT LIKE 'sqlite_%'`)
	_, err = collect(rows, err, "list columns", func(rows *sql.Rows) (none struct{}, err error) {
		var table, column string
		if err := rows.Scan(&table, &column); err != nil {
			return none, err
		}
		for i := range tables {
			if tables[i].name == table && slices.Contains(tables[i].columns(), column) {
				return none, nil
			}
		}
		if !slices.Contains(left, table) {
			t.Errorf("%s.%s is not copied", table, column)
		}
		return none, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// An installation moves from a folder to PostgreSQL and back, and to another folder, with all that it has, and what was
// still to be sent is sent there.
func TestCopy(t *testing.T) {
	t.Parallel()
	open := func(at, node string) *Store {
		s, err := Open(t.Context(), Options{At: at, Node: node})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		return s
	}
	places := []string{t.TempDir(), storetest.Database(t), storetest.Database(t), t.TempDir(), t.TempDir()}
	stores := []*Store{open(places[0], "")}
	first := stores[0]
	first.Fill(t, 1200)
	v := live.Version{Path: "desk.yaml", Hash: "h1", Data: []byte("rules: []\x00\xff"), At: time.Now(), Stamp: "s1"}
	if err := first.PutGood(t.Context(), v); err != nil {
		t.Fatal(err)
	}
	err := first.Write(t.Context(), 0, func(tx *Tx) error {
		if err := tx.UseRules("set1", []live.FileVersion{{Path: v.Path, Hash: v.Hash}}); err != nil {
			return err
		}
		for i := range 3 {
			d := record.Delivery{
				ID: record.NewID(), Event: record.NewID(), Source: "hoopai", Appointment: fmt.Sprint("w", i), Rule: "r", Step: 1, Action: "http", Destination: "there",
				State: record.Waiting, Key: "k", Follows: true, Created: time.Now(), Due: time.Now().Add(time.Hour), At: time.Now().Add(time.Hour), Request: []byte(`{}`),
			}
			if _, err := tx.InsertDelivery(&d); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := content(t, first)
	for i, at := range places[1:] {
		next := open(at, "desk")
		from := stores[i]
		c, err := Copy(t.Context(), from, next, func(string, int) {})
		if err != nil {
			t.Fatal(err)
		}
		if got := content(t, next); got != want {
			t.Fatalf("the copy to %s is not like the first store", at)
		}
		if c.Events != 1200 || c.Appointments != 1200 || c.Deliveries != 1203 || c.Queued != 24+2+3 {
			t.Errorf("copied %+v", c)
		}
		for j := range 3 {
			if job := theJob(t, next, fmt.Sprint("w", j)); job.Scheduled.Before(time.Now().Add(50 * time.Minute)) {
				t.Errorf("a step that waits for an hour is due at %s", job.Scheduled)
			}
		}
		if _, err := Copy(t.Context(), from, next, func(string, int) {}); err == nil || !strings.Contains(err.Error(), "is not empty") {
			t.Errorf("a second copy: %v", err)
		}
		stores = append(stores, next)
	}

	// The last store sends what is due.
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var sent sync.Map
	n := 0
	var mu sync.Mutex
	err = stores[len(stores)-1].Work(ctx, WorkOptions{Workers: 5, Stop: time.Second}, func(ctx context.Context, j *Job) time.Duration {
		d, ok, err := j.Claim(ctx, nil)
		if err != nil || !ok {
			return 0
		}
		if _, again := sent.LoadOrStore(d.ID, true); again {
			t.Errorf("%s is sent twice", d.ID)
		}
		d.State = record.Sent
		if err := j.Record(ctx, &d); err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		if n++; n == 26 { // two are pending, and 24 were to wait until a time in the past
			stop()
		}
		return 0
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A store is not copied while servers use it.
func TestCopyWhileInUse(t *testing.T) {
	t.Parallel()
	list := processes(t, 2)
	into, err := Open(t.Context(), Options{At: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer into.Close()
	for _, pair := range [][2]*Store{{list[0], into}, {into, list[0]}} {
		if _, err := Copy(t.Context(), pair[0], pair[1], func(string, int) {}); err == nil || !strings.Contains(err.Error(), "the server node1 uses") {
			t.Errorf("copied, or: %v", err)
		}
	}
}
