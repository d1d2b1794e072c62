package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/rivertype"

	"bellhop/engine/record"
	"bellhop/engine/store/storetest"
	"bellhop/rules/live"
)

// processes opens a database as several processes do, all at the same time.
func processes(t *testing.T, n int) []*Store {
	t.Helper()
	at := storetest.Database(t)
	list := make([]*Store, n)
	var all sync.WaitGroup
	for i := range list {
		all.Go(func() {
			s, err := Open(t.Context(), Options{At: at, Node: fmt.Sprint("node", i), Version: "test"})
			if err != nil {
				t.Error(err)
				return
			}
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
			list[i] = s
		})
	}
	if all.Wait(); t.Failed() {
		t.FailNow()
	}
	return list
}

// Processes that start at the same time bring the tables up to date once.
func TestProcessesStartTogether(t *testing.T) {
	t.Parallel()
	list := processes(t, 6)
	nodes, err := list[3].Nodes(t.Context())
	if err != nil || len(nodes) != 6 {
		t.Fatal(nodes, err)
	}
	if !nodes[3].Self || nodes[2].Self || nodes[3].Version != "test" {
		t.Errorf("the nodes are %+v", nodes)
	}
}

// What is read and written about one appointment is not mixed with what another process reads and writes about it, and
// processes that need the same appointments in another order do not wait for each other for ever.
func TestProcessesWriteOneAppointment(t *testing.T) {
	t.Parallel()
	list := processes(t, 2)
	const each = 100
	var all sync.WaitGroup
	for _, s := range list {
		for i := range each {
			all.Go(func() {
				keys := []Key{KeyOf("hoopai", "a1"), KeyOf("hoopai", fmt.Sprint("other", i%3))}
				if i%2 == 0 {
					slices.Reverse(keys)
				}
				err := s.writeAll(t.Context(), keys, func(tx *Tx) error {
					state, _, err := tx.Memory("hoopai", "a1")
					if err != nil {
						return err
					}
					n := 0
					if state != nil {
						if err := json.Unmarshal(state, &n); err != nil {
							return err
						}
					}
					return tx.Remember(&Remembered{Source: "hoopai", Appointment: "a1", State: fmt.Append(nil, n+1), Touched: time.Now()})
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
	}
	all.Wait()
	var n string
	err := list[0].read.QueryRowContext(t.Context(), `SELECT convert_from(state, 'UTF8') FROM appointments WHERE id = ?`, "a1").Scan(&n)
	if err != nil || n != fmt.Sprint(2*each) {
		t.Errorf("counted %s, want %d; %v", n, 2*each, err)
	}
}

// pending inserts a delivery that is due.
func pending(t *testing.T, s *Store, appointment string) string {
	t.Helper()
	d := record.Delivery{
		Event: record.NewID(), Source: "hoopai", Appointment: appointment, Rule: "r", Step: 1, Action: "http", Destination: "there",
		State: record.Pending, Created: time.Now(), Due: time.Now(), Request: json.RawMessage(`{}`),
	}
	err := s.Write(t.Context(), KeyOf("hoopai", appointment), func(tx *Tx) error {
		d.ID = record.NewID()
		_, err := tx.InsertDelivery(&d)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return d.ID
}

func theJob(t *testing.T, s *Store, appointment string) *Queued {
	t.Helper()
	jobs, err := s.Queued(t.Context(), appointment)
	if err != nil || len(jobs) != 1 {
		t.Fatalf("%d jobs, %v", len(jobs), err)
	}
	return &jobs[0]
}

// A process that was stopped for a while, and whose work another one has taken over, changes nothing when it goes on.
func TestStoppedProcess(t *testing.T) {
	t.Parallel()
	list := processes(t, 2)
	stopped, other := list[0], list[1]
	id := pending(t, stopped, "a1")
	late := theJob(t, stopped, "a1")
	mine, ok, err := late.Claim(t.Context(), nil)
	if err != nil || !ok {
		t.Fatal(mine, ok, err)
	}

	// The other one misses it.
	if _, err := other.write.ExecContext(t.Context(), `UPDATE nodes SET seen_at = now() - interval '31 s' WHERE id = ?`, stopped.id); err != nil {
		t.Fatal(err)
	}
	var seen []Node
	if err := other.attend(t.Context(), map[int64]bool{}, func(n []Node) { seen = n }); err != nil || len(seen) != 1 {
		t.Fatal(seen, err)
	}
	taken := theJob(t, other, "a1")
	theirs, ok, err := taken.Claim(t.Context(), nil)
	if err != nil || !ok || len(theirs.Attempts) != 1 || theirs.Attempts[0].Outcome != record.Interrupted {
		t.Fatalf("%+v, %v, %v", theirs, ok, err)
	}

	// It goes on, in every way that it could.
	if _, ok, err := late.Job.Claim(t.Context(), nil); err != nil || ok {
		t.Errorf("it claims again: %v, %v", ok, err)
	}
	mine.State, mine.Reason = record.Dead, "late"
	if err := late.Record(t.Context(), &mine); err != nil {
		t.Error(err)
	}
	theJob(t, other, "a1") // is still there
	if d, err := other.Delivery(t.Context(), id); err != nil || d.State != record.Sending {
		t.Fatalf("%+v, %v", d, err)
	}

	theirs.State = record.Sent
	if err := taken.Record(t.Context(), &theirs); err != nil {
		t.Fatal(err)
	}
	mine.State = record.Retrying
	if err := late.Record(t.Context(), &mine); err != nil {
		t.Error(err)
	}
	if d, err := other.Delivery(t.Context(), id); err != nil || d.State != record.Sent || len(d.Attempts) != 1 {
		t.Errorf("%+v, %v", d, err)
	}
	if jobs, err := other.Queued(t.Context(), "a1"); err != nil || len(jobs) != 0 {
		t.Errorf("%d jobs are left, %v", len(jobs), err)
	}
	// It is still running, and says so.
	if err := stopped.attend(t.Context(), map[int64]bool{}, func(n []Node) { seen = n }); err != nil || len(seen) != 2 {
		t.Errorf("%+v, %v", seen, err)
	}
}

// A job keeps the key of its appointment, so that what is written about a delivery waits for what an event writes.
func TestJobKeepsItsKey(t *testing.T) {
	t.Parallel()
	s := processes(t, 1)[0]
	want := map[string]Key{}
	for i := range 50 {
		a := fmt.Sprint("a", i)
		want[pending(t, s, a)] = KeyOf("hoopai", a)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var mu sync.Mutex
	err := s.Work(ctx, WorkOptions{Workers: len(want), Stop: time.Second}, func(_ context.Context, j *Job) time.Duration {
		mu.Lock()
		defer mu.Unlock()
		if key := want[j.job.Delivery]; j.key() != key {
			t.Errorf("the key of a job is %d, want %d", j.key(), key)
		}
		if delete(want, j.job.Delivery); len(want) == 0 {
			stop()
		}
		return 0
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A process that was stopped can fetch a job again of which it still has an older fetch. What River reports of the older one
// leaves the job alone.
func TestFetchedTwice(t *testing.T) {
	t.Parallel()
	s := processes(t, 1)[0]
	if !s.shared() {
		t.Skip("no other process can take a job over")
	}
	id := pending(t, s, "a1")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	reported := make(chan bool, 10)
	report := s.queue.driver.report
	s.queue.driver.report = func(ctx context.Context, river riverdriver.Executor, p *riverdriver.JobSetStateIfRunningManyParams) ([]*rivertype.JobRow, error) {
		rows, err := report(ctx, river, p)
		reported <- true
		return rows, err
	}
	var calls atomic.Int64
	again := make(chan bool)
	err := s.Work(ctx, WorkOptions{Workers: 5, Stop: time.Second}, func(ctx context.Context, j *Job) time.Duration {
		if calls.Add(1) == 1 {
			if _, err := s.giveBackJobs(ctx, `id = ?`, j.row); err != nil {
				t.Error(err)
			}
			<-again // it is fetched again
			return 0
		}
		defer stop()
		close(again)
		<-reported // what came of the first fetch
		d, ok, err := j.Claim(ctx, nil)
		if err != nil || !ok {
			t.Errorf("the job cannot be worked any more: %v, %v", ok, err)
			return 0
		}
		d.State = record.Sent
		if err := j.Record(ctx, &d); err != nil {
			t.Error(err)
		}
		return 0
	})
	if err != nil {
		t.Fatal(err)
	}
	if d, err := s.Delivery(t.Context(), id); err != nil || d.State != record.Sent {
		t.Errorf("%s, %v", d.State, err)
	}
}

// A record that was committed, but whose answer was lost, is made again without harm.
func TestRecordTwice(t *testing.T) {
	t.Parallel()
	s := processes(t, 1)[0]
	id := pending(t, s, "a1")
	job := theJob(t, s, "a1")
	d, ok, err := job.Claim(t.Context(), nil)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	d.State = record.Retrying
	for range 2 {
		if err := job.Record(t.Context(), &d); err != nil {
			t.Fatal(err)
		}
	}
	theJob(t, s, "a1") // is still there
	if got, err := s.Delivery(t.Context(), id); err != nil || got.State != record.Retrying {
		t.Errorf("%+v, %v", got, err)
	}
}

// A job that was fetched by this process, which never got it, comes back.
func TestLostJob(t *testing.T) {
	t.Parallel()
	s := processes(t, 1)[0]
	pending(t, s, "a1")
	pending(t, s, "a2")
	if _, err := s.write.ExecContext(t.Context(), `UPDATE river_job SET state = 'running', attempted_at = now() - interval '1 min', attempted_by = ARRAY[?]`, s.id); err != nil {
		t.Fatal(err)
	}
	held := theJob(t, s, "a2")
	s.queue.held.Store(held.row, struct{}{})
	lost := map[int64]bool{}
	for i, want := range []int{0, 1} {
		if err := s.findLost(t.Context(), lost); err != nil {
			t.Fatal(err)
		}
		var n int
		if err := s.read.QueryRowContext(t.Context(), `SELECT count(*) FROM river_job WHERE state = 'available'`).Scan(&n); err != nil || n != want {
			t.Errorf("after %d looks %d jobs are back, want %d; %v", i+1, n, want, err)
		}
	}
}

// What is done by one process at a time is done by one.
func TestTurn(t *testing.T) {
	t.Parallel()
	list := processes(t, 3)
	turns := 0
	for range 5 {
		for _, s := range list {
			ok, err := s.Turn(t.Context(), "prune", time.Hour)
			if err != nil {
				t.Fatal(err)
			}
			if ok {
				turns++
			}
		}
	}
	if turns != 1 {
		t.Errorf("%d turns in an hour", turns)
	}
}

// Each node has its own last good versions and its own rule set in force, and pruning keeps what any of them needs.
func TestNodesHaveTheirOwnRules(t *testing.T) {
	t.Parallel()
	list := processes(t, 2)
	for i, s := range list {
		v := live.Version{Path: "desk.yaml", Hash: fmt.Sprint("hash", i), Data: fmt.Append(nil, "rules of node ", i), At: time.Now()}
		if err := s.PutGood(t.Context(), v); err != nil {
			t.Fatal(err)
		}
		if err := s.Announce(t.Context(), fmt.Sprint("set", i), []live.FileVersion{{Path: v.Path, Hash: v.Hash}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := list[0].Prune(t.Context(), time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	for i, s := range list {
		good, err := s.GoodVersions(t.Context())
		if err != nil || len(good) != 1 || string(good[0].Data) != fmt.Sprint("rules of node ", i) {
			t.Errorf("node %d has %v, %v", i, good, err)
		}
		if files, err := s.RuleSet(t.Context(), fmt.Sprint("set", i)); err != nil || len(files) != 1 || files[0].Hash != fmt.Sprint("hash", i) {
			t.Errorf("set %d is %v, %v", i, files, err)
		}
	}
	nodes, err := list[0].Nodes(t.Context())
	if err != nil || len(nodes) != 2 || nodes[0].Rules != "set0" || nodes[1].Rules != "set1" {
		t.Errorf("%+v, %v", nodes, err)
	}
	// A set is pruned after its node has left.
	if err := list[1].leave(); err != nil {
		t.Fatal(err)
	}
	if err := list[0].pruneRules(t.Context(), time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, err := list[0].RuleSet(t.Context(), "set1"); !errors.Is(err, ErrNotFound) {
		t.Errorf("the set of a node that left is still there: %v", err)
	}
}

// PostgreSQL refuses texts that are not UTF-8 or have a NUL in them. They are stored all the same, in every place.
func TestTextsThatAreNoTexts(t *testing.T) {
	t.Parallel()
	s := processes(t, 1)[0]
	id := pending(t, s, "a\x00\xff1")
	job := theJob(t, s, "a\x00\xff1")
	d, ok, err := job.Claim(t.Context(), nil)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	d.State, d.Reason = record.Dead, "550 \xe9t\xe9\x00"
	if err := job.Record(t.Context(), &d); err != nil {
		t.Fatal(err)
	}
	got, err := s.Delivery(t.Context(), id)
	if err != nil || got.State != record.Dead || !strings.HasPrefix(got.Reason, "550 ") {
		t.Errorf("%+v, %v", got, err)
	}
	list, err := s.Deliveries(context.WithoutCancel(t.Context()), DeliveryFilter{Appointment: "a\x00\xff1"})
	if err != nil || len(list) != 1 {
		t.Errorf("%d deliveries, %v", len(list), err)
	}
}

func TestTranslate(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ query, want string }{
		{`/* test */ SELECT a FROM b WHERE c = ? AND d < ?`, `/* test */ SELECT a FROM b WHERE c = $1 AND d < $2`},
		{`/* test */ SELECT a FROM b WHERE c = ?2 AND d < ?1`, `/* test */ SELECT a FROM b WHERE c = $2 AND d < $1`},
		{`/* test */ SELECT a FROM b INDEXED BY b_c WHERE +c = ? AND +d = ?`, `/* test */ SELECT a FROM b  WHERE c = $1 AND d = $2`},
		{`/* test */ SELECT a FROM b WHERE m ? 'x' AND c = $1`, `/* test */ SELECT a FROM b WHERE m ? 'x' AND c = $1`},
	} {
		if got := translate(tt.query); got != tt.want {
			t.Errorf("%s\nis\n%s\nwant\n%s", tt.query, got, tt.want)
		}
	}
}

func TestRedacted(t *testing.T) {
	t.Parallel()
	for at, want := range map[string]string{
		"./data": "./data",
		"postgres://bellhop:s3cret@db.example.com/bellhop": "postgres://bellhop:xxxxx@db.example.com/bellhop",
		"postgres://bellhop:s3%zz@db.example.com/bellhop":  "postgres://…",
	} {
		if got := Redacted(at); got != want {
			t.Errorf("%s is shown as %s", at, got)
		}
	}
	for _, at := range []string{"postgres://bellhop:s3cret@db.example.com:port/bellhop", "postgres://bellhop:s3c%ret@db.example.com/bellhop", "postgres://bellhop:s3cret@127.0.0.1:1/bellhop"} {
		if s, err := Open(t.Context(), Options{At: at}); err == nil || strings.Contains(err.Error(), "s3c") {
			t.Errorf("opening %s: %v, %v", at, s, err)
		}
		if _, err := OpenReader(t.Context(), at, ""); err == nil || strings.Contains(err.Error(), "s3c") {
			t.Errorf("reading %s: %v", at, err)
		}
	}
}
