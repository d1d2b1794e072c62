package store_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"bellhop/engine/record"
	"bellhop/engine/store"
	"bellhop/engine/store/storetest"
	"bellhop/rules/live"
)

func version(path, text string) live.Version {
	sum := sha256.Sum256([]byte(text))
	return live.Version{Path: path, Hash: hex.EncodeToString(sum[:]), Data: []byte(text), At: time.Now()}
}

// under writes an event that was received while a rule set was in force. It returns the id of the event.
func under(ctx context.Context, s *store.Store, key, set string, files ...live.Version) (string, error) {
	var refs []live.FileVersion
	for _, f := range files {
		refs = append(refs, live.FileVersion{Path: f.Path, Hash: f.Hash})
	}
	var id string
	err := s.Write(ctx, 0, func(tx *store.Tx) error {
		if err := tx.UseRules(set, refs); err != nil {
			return err
		}
		var err error
		id, _, err = tx.InsertEvent(&record.Event{
			ID: record.NewID(), Source: "hoopai", Dedupe: []byte(key), ReceivedAt: time.Now(), Status: "accepted",
			On: []string{"booked"}, Rules: set, Body: []byte("{}"), After: []byte(`{"id":"a"}`),
		})
		return err
	})
	return id, err
}

func texts(versions []live.Version) (out []string) {
	for _, v := range versions {
		out = append(out, v.Path+" "+string(v.Data))
	}
	return out
}

// The rule set of an event can be read as long as the event is stored, even if its files have changed since, and no
// longer.
func TestRuleSets(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s, err := store.Open(t.Context(), store.Options{At: storetest.At(t), Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	put := func(v live.Version) live.Version {
		t.Helper()
		if err := s.PutGood(t.Context(), v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	event := func(key, set string, files ...live.Version) string {
		t.Helper()
		id, err := under(t.Context(), s, key, set, files...)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	holds := func(set string, want ...string) {
		t.Helper()
		got, err := s.RuleSet(t.Context(), set)
		if err != nil || !slices.Equal(texts(got), want) {
			t.Errorf("set %s holds %v (%v), want %v", set, texts(got), err, want)
		}
	}
	gone := func(set string) {
		t.Helper()
		if got, err := s.RuleSet(t.Context(), set); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("set %s is still there: %v, %v", set, texts(got), err)
		}
	}

	one, other := put(version("one.yaml", "1")), put(version("other.yaml", "x"))
	first := event("e1", "A", one, other)
	two := put(version("one.yaml", "2"))
	event("e2", "B", two, other)
	if err := s.DropGood(t.Context(), "other.yaml"); err != nil {
		t.Fatal(err)
	}
	event("e3", "C", two)
	event("e4", "A", one, other) // the first set is in force again
	event("e5", "C", two)

	if e, err := s.Event(t.Context(), first); err != nil || e.Rules != "A" {
		t.Errorf("%+v, %v", e, err)
	}
	holds("A", "one.yaml 1", "other.yaml x")
	holds("B", "one.yaml 2", "other.yaml x")
	holds("C", "one.yaml 2")
	gone("D")
	event("e6", "E", two, version("lost.yaml", "never stored"))
	gone("E")
	event("e7", "C", two)

	// The events are newer than the limit, so their sets stay.
	if n, err := s.Prune(t.Context(), now.Add(-time.Hour)); err != nil || n != 0 {
		t.Fatal(n, err)
	}
	holds("A", "one.yaml 1", "other.yaml x")
	// An old event with a delivery that is still to be sent stays, and so does its set.
	err = s.Write(t.Context(), 0, func(tx *store.Tx) error {
		d := record.Delivery{ID: record.NewID(), Event: first, Rule: "one", Step: 1, State: record.Pending, Created: now, Due: now}
		_, err := tx.InsertDelivery(&d)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := s.Prune(t.Context(), now.Add(time.Hour)); err != nil || n != 6 {
		t.Fatal(n, err)
	}
	holds("A", "one.yaml 1", "other.yaml x")
	gone("B")
	list, err := s.Deliveries(t.Context(), store.DeliveryFilter{Event: first})
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	if _, err := s.Cancel(t.Context(), list[0].ID, ""); err != nil {
		t.Fatal(err)
	}
	// A good version without an event stays too.
	unmet := put(version("unmet.yaml", "new"))
	// Only the set in force and the last good versions stay.
	if n, err := s.Prune(t.Context(), now.Add(time.Hour)); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	gone("A")
	gone("B")
	holds("C", "one.yaml 2")
	event("e9", "G", unmet)
	holds("G", "unmet.yaml new")
	event("e8", "F", one)
	gone("F") // its content was deleted with the last set that had it
}

// A rule set of a stored event is complete, whatever sets came after it and whatever was pruned since.
func TestRuleSetsAtRandom(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(1, seed))
	now := time.Now()
	s := open(t)
	kept := map[string][]live.Version{} // the versions of sets whose event must stay, by set
	waiting := map[string]string{}      // the waiting delivery of that event, by set
	for i := range 120 {
		if random.IntN(5) == 0 {
			if _, err := s.Prune(t.Context(), now.Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
		var set []live.Version
		name := "set "
		for _, path := range []string{"a.yaml", "b.yaml", "c.yaml"} {
			if n := random.IntN(3); n > 0 {
				name += fmt.Sprint(path, n)
				set = append(set, version(path, fmt.Sprint(path, n)))
			}
		}
		for _, v := range set {
			if err := s.PutGood(t.Context(), v); err != nil {
				t.Fatal(err)
			}
		}
		id, err := under(t.Context(), s, fmt.Sprint("e", i), name, set...)
		if err != nil {
			t.Fatal(err)
		}
		if kept[name] == nil && random.IntN(2) == 0 {
			d := record.Delivery{ID: record.NewID(), Event: id, Rule: "r", Step: 1, State: record.Waiting, Created: now, Due: now.Add(time.Hour)}
			kept[name], waiting[name] = append([]live.Version{}, set...), d.ID
			err := s.Write(t.Context(), 0, func(tx *store.Tx) error {
				_, err := tx.InsertDelivery(&d)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		for old, want := range kept {
			if got, err := s.RuleSet(t.Context(), old); err != nil || !slices.Equal(texts(got), texts(want)) {
				t.Fatalf("set %s holds %v (%v)", old, texts(got), err)
			}
			if random.IntN(15) == 0 { // from now on its event can be pruned
				if _, err := s.Cancel(t.Context(), waiting[old], ""); err != nil {
					t.Fatal(err)
				}
				delete(kept, old)
			}
		}
		if got, err := s.RuleSet(t.Context(), name); err != nil || !slices.Equal(texts(got), texts(set)) {
			t.Fatalf("set %s, in force, holds %v (%v)", name, texts(got), err)
		}
	}
}

func TestRuleSetIsNotedAgainAfterAFailure(t *testing.T) {
	t.Parallel()
	s := open(t)
	v := version("one.yaml", "1")
	if err := s.PutGood(t.Context(), v); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	err := s.Write(t.Context(), 0, func(tx *store.Tx) error {
		if err := tx.UseRules("A", []live.FileVersion{{Path: v.Path, Hash: v.Hash}}); err != nil {
			return err
		}
		return broken
	})
	if !errors.Is(err, broken) {
		t.Fatal(err)
	}
	if _, err := under(t.Context(), s, "e1", "A", v); err != nil {
		t.Fatal(err)
	}
	if got, err := s.RuleSet(t.Context(), "A"); err != nil || len(got) != 1 {
		t.Errorf("%v, %v", got, err)
	}
}

func TestReader(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := store.OpenReader(t.Context(), dir, ""); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("a store that is not there: %v", err)
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) != 0 {
		t.Fatalf("looking made %v, %v", list, err)
	}
	s, err := store.Open(t.Context(), store.Options{At: dir})
	if err != nil {
		t.Fatal(err)
	}
	closed := false
	closeStore := func() {
		if !closed {
			closed = true
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	t.Cleanup(closeStore)
	begin := time.Now()
	for _, key := range []string{"a1", "a2", "a3", "a4", "a5"} {
		if _, err := put(t.Context(), s, key, 2); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.PutGood(t.Context(), version("one.yaml", "1")); err != nil {
		t.Fatal(err)
	}
	r, err := store.OpenReader(t.Context(), dir, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	look := func() {
		t.Helper()
		span := store.Span{Since: begin, Until: time.Now().Add(time.Minute)}
		n, err := r.CountEvents(t.Context(), span)
		if err != nil || n != 5 {
			t.Errorf("%d events, %v", n, err)
		}
		var seen []string
		after := ""
		for {
			page, err := r.EventsAfter(t.Context(), span, after, 2)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			after = page[len(page)-1].ID
			list, err := r.DeliveriesOf(t.Context(), page[0].ID, after)
			if err != nil || len(list) != 2*len(page) || list[0].Event != page[0].ID || len(list[0].Request) == 0 {
				t.Errorf("deliveries of %d events: %+v, %v", len(page), list, err)
			}
			for _, e := range page {
				seen = append(seen, e.Appointment)
				if len(e.Body) != 700 || len(e.After) != 500 {
					t.Errorf("event %s is not whole", e.ID)
				}
			}
		}
		if want := []string{"a1", "a2", "a3", "a4", "a5"}; !slices.Equal(seen, want) {
			t.Errorf("events of %v", seen)
		}
		if n, err := r.CountEvents(t.Context(), store.Span{Since: begin.Add(-time.Hour), Until: begin.Add(-time.Minute)}); err != nil || n != 0 {
			t.Errorf("%d events before, %v", n, err)
		}
		if good, err := r.GoodVersions(t.Context()); err != nil || len(good) != 1 {
			t.Errorf("%v, %v", good, err)
		}
	}
	look()
	// The server can still write.
	if err := s.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	// The data can be read after the server has ended.
	closeStore()
	look()
	if _, err := os.Stat(filepath.Join(dir, "lock")); err != nil {
		t.Error(err)
	}
	s2, err := store.Open(t.Context(), store.Options{At: dir})
	if err != nil {
		t.Fatalf("a reader keeps the store from being opened: %v", err)
	}
	if err := s2.Close(); err != nil {
		t.Error(err)
	}
}
