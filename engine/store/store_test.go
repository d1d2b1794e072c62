package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"bellhop/engine/record"
	"bellhop/engine/store"
	"bellhop/engine/store/storetest"
	"bellhop/rules/live"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		storetest.Stop()
		os.Exit(code) //nolint:forbidigo // TestMain must
	}))
}

// workAll works the queue until the handler has finished n jobs. It fails the test if that takes more than a minute.
func workAll(t *testing.T, s *store.Store, n int, h store.Handler) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	var done atomic.Int64
	err := s.Work(ctx, store.WorkOptions{Workers: 50, Stop: 10 * time.Second}, func(ctx context.Context, j *store.Job) time.Duration {
		again := h(ctx, j)
		if again == 0 && done.Add(1) == int64(n) {
			stop()
		}
		return again
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := done.Load(); got < int64(n) {
		t.Fatalf("%d deliveries were handled, want %d", got, n)
	}
}

func send(t *testing.T, sent *sync.Map) store.Handler {
	return func(ctx context.Context, j *store.Job) time.Duration {
		d, ok, err := j.Claim(ctx, nil)
		if err != nil {
			t.Error(err)
		}
		if !ok {
			return 0
		}
		count, _ := sent.LoadOrStore(d.ID, new(atomic.Int64))
		count.(*atomic.Int64).Add(1)
		d.State = record.Sent
		d.Attempts = append(d.Attempts, record.Attempt{At: time.Now(), Outcome: "sent"})
		if err := j.Record(ctx, &d); err != nil {
			t.Error(err)
		}
		return 0
	}
}

// If many goroutines write the same event at once, there is one event, with its deliveries once.
func TestWriteOnce(t *testing.T) {
	t.Parallel()
	s := open(t)
	ids := make(chan string, 100)
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			id, err := put(t.Context(), s, "a1", 2)
			if err != nil {
				t.Error(err)
			}
			ids <- id
		})
	}
	wg.Wait()
	close(ids)
	first := <-ids
	for id := range ids {
		if id != first {
			t.Fatalf("two ids for one event: %s and %s", first, id)
		}
	}
	events, err := s.Events(t.Context(), store.EventFilter{})
	if err != nil || len(events) != 1 {
		t.Fatalf("events: %v, %v", events, err)
	}
	deliveries, err := s.Deliveries(t.Context(), store.DeliveryFilter{Event: first})
	if err != nil || len(deliveries) != 2 {
		t.Fatalf("deliveries: %v, %v", deliveries, err)
	}
	var sent sync.Map
	workAll(t, s, 2, send(t, &sent))
	for _, d := range deliveries {
		if n, _ := sent.Load(d.ID); n == nil || n.(*atomic.Int64).Load() != 1 {
			t.Errorf("delivery %s was not worked exactly once", d.ID)
		}
	}
}

// A call that fails or panics undoes only its own writes.
func TestWriteFailsAlone(t *testing.T) {
	t.Parallel()
	s := open(t)
	broken := errors.New("broken")
	var wg sync.WaitGroup
	for i := range 60 {
		wg.Go(func() {
			switch i % 3 {
			case 0:
				if _, err := put(t.Context(), s, fmt.Sprint("a", i), 1); err != nil {
					t.Error(err)
				}
			case 1:
				err := s.Write(t.Context(), 0, func(tx *store.Tx) error {
					if err := tx.Remember(&store.Remembered{Source: "hoopai", Appointment: fmt.Sprint("broken", i), State: []byte("{}"), Touched: time.Now(), Ends: time.Now()}); err != nil {
						return err
					}
					return broken
				})
				if !errors.Is(err, broken) {
					t.Errorf("got %v", err)
				}
			default:
				if err := s.Write(t.Context(), 0, func(*store.Tx) error { panic("at the disco") }); err == nil {
					t.Error("a panic was no error")
				}
			}
		})
	}
	wg.Wait()
	events, err := s.Events(t.Context(), store.EventFilter{Limit: 500})
	if err != nil || len(events) != 20 {
		t.Fatalf("%d events, %v", len(events), err)
	}
	err = s.Write(t.Context(), 0, func(tx *store.Tx) error {
		state, _, err := tx.Memory("hoopai", "broken1")
		if state != nil {
			t.Error("what a failed call wrote is there")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A delivery that was being sent when the process ended is sent by the next process. One that was sent is not sent
// again.
func TestRestart(t *testing.T) {
	t.Parallel()
	at := storetest.At(t)
	s, err := store.Open(t.Context(), store.Options{At: at})
	if err != nil {
		t.Fatal(err)
	}
	if !storetest.Postgres() {
		if _, err := store.Open(t.Context(), store.Options{At: at}); err == nil {
			t.Fatal("a second process may open the store")
		}
	}
	for i := range 4 {
		if _, err := put(t.Context(), s, fmt.Sprint("a", i), 1); err != nil {
			t.Fatal(err)
		}
	}
	var sent sync.Map
	ctx, stop := context.WithCancel(t.Context())
	var claimed, left atomic.Int64
	var both sync.WaitGroup
	both.Add(2)
	err = s.Work(ctx, store.WorkOptions{Workers: 10, Stop: 10 * time.Millisecond}, func(ctx context.Context, j *store.Job) time.Duration {
		if claimed.Add(1) <= 2 {
			defer both.Done()
			return send(t, &sent)(ctx, j)
		}
		both.Wait()
		if _, _, err := j.Claim(ctx, nil); err != nil {
			t.Error(err)
		}
		if left.Add(1) == 2 {
			stop()
		}
		<-ctx.Done() // as if the process ended here, with the delivery claimed and nothing recorded
		return 0
	})
	stop()
	if err != nil {
		t.Fatal(err)
	}
	// For the queue, those jobs are now done or still running. After a kill they would all be running.
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	store.SetRunning(t, at)

	s, err = store.Open(t.Context(), store.Options{At: at})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	workAll(t, s, 2, send(t, &sent))
	n := 0
	sent.Range(func(_, count any) bool {
		n++
		if c := count.(*atomic.Int64).Load(); c != 1 {
			t.Errorf("a delivery was sent %d times", c)
		}
		return true
	})
	if n != 4 {
		t.Errorf("%d deliveries were sent, want 4", n)
	}
}

// putOne stores an event with one delivery, and returns the delivery.
func putOne(t *testing.T, s *store.Store) record.Delivery {
	t.Helper()
	event, err := put(t.Context(), s, "a1", 1)
	if err != nil {
		t.Fatal(err)
	}
	list, err := s.Deliveries(t.Context(), store.DeliveryFilter{Event: event})
	if err != nil || len(list) != 1 {
		t.Fatalf("%d deliveries, %v", len(list), err)
	}
	return list[0]
}

func TestCancelAndRetry(t *testing.T) {
	t.Parallel()
	s := open(t)
	id := putOne(t, s).ID
	if d, err := s.Cancel(t.Context(), id, "cancelled by an operator"); err != nil || d.State != record.Cancelled {
		t.Fatal(d, err)
	}
	var conflict *record.ConflictError
	if _, err := s.Cancel(t.Context(), id, ""); !errors.As(err, &conflict) || conflict.State != record.Cancelled {
		t.Fatalf("cancelling twice: %v", err)
	}
	if _, err := s.Retry(t.Context(), "no-such"); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("retrying what is not there: %v", err)
	}
	if d, err := s.Retry(t.Context(), id); err != nil || d.State != record.Pending {
		t.Fatal(d, err)
	}
	// The delivery has two jobs now. One of them sends it.
	var sent sync.Map
	workAll(t, s, 2, send(t, &sent))
	if n, _ := sent.Load(id); n == nil || n.(*atomic.Int64).Load() != 1 {
		t.Error("the delivery was not sent exactly once")
	}
	if _, err := s.Retry(t.Context(), id); !errors.As(err, &conflict) {
		t.Errorf("retrying what was sent: %v", err)
	}
}

// A store of an earlier version is brought up to date and keeps its data.
func TestMigrate(t *testing.T) {
	t.Parallel()
	storetest.InFolder(t)
	ups, err := filepath.Glob("migration/bellhop/*.up.sql")
	if err != nil || len(ups) < 7 {
		t.Fatal(ups, err)
	}
	for from := 1; from < len(ups); from++ {
		t.Run(fmt.Sprint("from ", from), func(t *testing.T) {
			t.Parallel()
			migrate(t, from)
		})
	}
}

func migrate(t *testing.T, from int) {
	dir := t.TempDir()
	s, err := store.Open(t.Context(), store.Options{At: dir})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := put(t.Context(), s, "a1", 2); err != nil {
		t.Fatal(err)
	}
	before, err := s.Deliveries(t.Context(), store.DeliveryFilter{})
	if err != nil || len(before) != 2 {
		t.Fatal(before, err)
	}
	one, two, other := version("one.yaml", "1"), version("one.yaml", "2"), version("other.yaml", "x")
	sets := map[string][]live.Version{"A": {one, other}, "B": {two, other}, "C": {two}, "D": {one, other, version("new.yaml", "y")}}
	for i, set := range []string{"A", "B", "C", "D", "B"} {
		for _, v := range sets[set] {
			if err := s.PutGood(t.Context(), v); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := under(t.Context(), s, fmt.Sprint("e", i), set, sets[set]...); err != nil {
			t.Fatal(err)
		}
	}
	good, err := s.GoodVersions(t.Context())
	if err != nil || len(good) != 3 {
		t.Fatal(good, err)
	}
	if err := s.Downgrade(t.Context(), from); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = store.Open(t.Context(), store.Options{At: dir}); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	after, err := s.Deliveries(t.Context(), store.DeliveryFilter{})
	if err != nil || fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("%v; the deliveries are\n%v, and were\n%v", err, after, before)
	}
	if now, err := s.GoodVersions(t.Context()); err != nil || fmt.Sprint(now) != fmt.Sprint(good) {
		t.Errorf("%v; the good versions are\n%v, and were\n%v", err, now, good)
	}
	sets["E"] = []live.Version{two, version("new.yaml", "y")}
	if _, err := under(t.Context(), s, "e9", "E", sets["E"]...); err != nil {
		t.Fatal(err)
	}
	for set, want := range sets {
		slices.SortFunc(want, func(a, b live.Version) int { return strings.Compare(a.Path, b.Path) })
		if got, err := s.RuleSet(t.Context(), set); err != nil || !slices.Equal(texts(got), texts(want)) {
			t.Errorf("set %s holds %v (%v), want %v", set, texts(got), err, texts(want))
		}
	}
	if counts, err := s.CountDeliveries(t.Context()); err != nil || counts[record.Pending] != 2 {
		t.Errorf("counted: %v, %v", counts, err)
	}
	var sent sync.Map
	workAll(t, s, 2, send(t, &sent))
	if counts, err := s.CountDeliveries(t.Context()); err != nil || counts[record.Sent] != 2 || len(counts) != 1 {
		t.Errorf("counted: %v, %v", counts, err)
	}
}

func TestPrune(t *testing.T) {
	t.Parallel()
	s := open(t)
	for i := range 5 {
		if _, err := put(t.Context(), s, fmt.Sprint("a", i), i%2); err != nil {
			t.Fatal(err)
		}
	}
	// Two of the five events have a delivery that is still to be sent.
	n, err := s.Prune(t.Context(), time.Now().Add(time.Hour))
	if err != nil || n != 3 {
		t.Fatalf("pruned %d, %v; want 3", n, err)
	}
	if n, err := s.Prune(t.Context(), time.Now().Add(-time.Hour)); err != nil || n != 0 {
		t.Fatalf("pruned %d, %v; want none", n, err)
	}
	var sent sync.Map
	workAll(t, s, 2, send(t, &sent))
	if n, err := s.Prune(t.Context(), time.Now().Add(time.Hour)); err != nil || n != 2 {
		t.Fatalf("pruned %d, %v; want 2", n, err)
	}
	counts, err := s.CountDeliveries(t.Context())
	if err != nil || len(counts) != 0 {
		t.Fatalf("deliveries left: %v, %v", counts, err)
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	s := open(t)
	for i := range 25 {
		if _, err := put(t.Context(), s, fmt.Sprint("a", i), 1); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[string]bool{}
	before := ""
	for range 4 {
		page, err := s.Events(t.Context(), store.EventFilter{Before: before, Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page {
			seen[e.ID] = true
			before = e.ID
		}
	}
	if len(seen) != 25 {
		t.Errorf("the pages hold %d events, want 25", len(seen))
	}
	e, err := s.Event(t.Context(), before)
	if err != nil || len(e.Body) != 700 || e.Type != "AppointmentCreate" {
		t.Errorf("event: %v, %v", e, err)
	}
	if since, err := s.Events(t.Context(), store.EventFilter{Since: time.Now().Add(time.Minute)}); err != nil || len(since) != 0 {
		t.Errorf("events of the future: %v, %v", since, err)
	}
	if ds, err := s.Deliveries(t.Context(), store.DeliveryFilter{State: record.Pending, Rule: "desk-new-booking", Appointment: "a3"}); err != nil || len(ds) != 1 {
		t.Errorf("deliveries: %v, %v", ds, err)
	} else if b, err := json.Marshal(ds[0]); err != nil || !json.Valid(b) {
		t.Errorf("a delivery as JSON: %s, %v", b, err)
	}
}

func TestClosed(t *testing.T) {
	t.Parallel()
	s, err := store.Open(t.Context(), store.Options{At: storetest.At(t)})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := s.Ready(t.Context()); !errors.Is(err, store.ErrClosed) {
		t.Errorf("a closed store: %v", err)
	}
}

// A delivery whose attempt could not be recorded counts as tried, also after it was put off. One that is claimed for the
// first time does not.
func TestClaimAfterLostRecord(t *testing.T) {
	t.Parallel()
	s := open(t)
	if _, err := put(t.Context(), s, "a1", 1); err != nil {
		t.Fatal(err)
	}
	var tried []bool
	workAll(t, s, 1, func(ctx context.Context, j *store.Job) time.Duration {
		d, ok, err := j.Claim(ctx, nil)
		if err != nil || !ok {
			t.Errorf("%v %v", ok, err)
		}
		tried = append(tried, d.Tried())
		switch len(tried) {
		case 1: // it is sent, and Record fails
			return time.Millisecond
		case 2: // it is put off
			d.State = record.Pending
		default:
			d.State = record.Sent
		}
		if err := j.Record(ctx, &d); err != nil {
			t.Error(err)
		}
		if d.State == record.Pending {
			return time.Millisecond
		}
		return 0
	})
	if !slices.Equal(tried, []bool{false, true, true}) {
		t.Errorf("tried: %v", tried)
	}
}

// A delivery can be copied again, also if an earlier copy of it exists.
func TestRenewTwice(t *testing.T) {
	t.Parallel()
	s := open(t)
	first := putOne(t, s)
	ids := map[string]bool{first.ID: true}
	for range 3 {
		again := first
		if err := s.Write(t.Context(), 0, func(tx *store.Tx) error { return tx.Renew(&again) }); err != nil {
			t.Fatal(err)
		}
		ids[again.ID] = true
	}
	list, err := s.Deliveries(t.Context(), store.DeliveryFilter{Event: first.Event})
	if err != nil || len(list) != 4 || len(ids) != 4 {
		t.Errorf("%d deliveries, %d ids, %v", len(list), len(ids), err)
	}
}
