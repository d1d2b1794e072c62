package store_test

import (
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"bellhop/engine/store"
	"bellhop/engine/store/storetest"
)

var large = flag.Int("large", 20_000, "how many events TestPruneBeside has in its store")

// Old events are deleted while webhooks are taken, and their space is used again. With -v it prints how long a webhook
// waited at the most. To see a large store:
//
//	go test ./engine/store -run TestPruneBeside -large 1000000 -v
//	BELLHOP_STORE=postgres go test ./engine/store -run TestPruneBeside -large 1000000 -v
func TestPruneBeside(t *testing.T) {
	t.Parallel()
	s, err := store.Open(t.Context(), store.Options{At: storetest.At(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	began := time.Now()
	now := s.Fill(t, *large)
	t.Logf("%d events with a delivery each, made in %s", *large, time.Since(began).Round(time.Second))

	take := func(done <-chan struct{}, name string) (waits []time.Duration) {
		for i := 0; ; i++ {
			select {
			case <-done:
				return waits
			default:
			}
			began := time.Now()
			if _, err := put(t.Context(), s, fmt.Sprint(name, i), 1); err != nil {
				t.Error(err)
				return waits
			}
			waits = append(waits, time.Since(began))
		}
	}
	report := func(when string, waits []time.Duration) {
		slices.Sort(waits)
		if n := len(waits); n > 0 {
			t.Logf("%s: %d webhooks, one after the other; p50 %s, p99 %s, longest %s", when, n, waits[n/2], waits[n*99/100], waits[n-1])
		}
	}
	quiet := make(chan struct{})
	time.AfterFunc(time.Second, func() { close(quiet) })
	report("alone", take(quiet, "alone"))

	pruned := make(chan struct{})
	var n int
	go func() {
		defer close(pruned)
		n, err = s.Prune(t.Context(), now.Add(-time.Duration(*large/2)*time.Second))
	}()
	began = time.Now()
	report("beside", take(pruned, "beside"))
	if want := *large / 2 * 979 / 1000; err != nil || n != want { // the rest is pending or waiting
		t.Fatalf("pruned %d, want %d; %v", n, want, err)
	}
	t.Logf("%d events deleted in %s", n, time.Since(began).Round(time.Millisecond))
	if *large < 100_000 {
		return
	}
	for what, ask := range map[string]func() error{
		"a page of events":     func() error { _, err := s.Events(t.Context(), store.EventFilter{Location: "location7"}); return err },
		"a page of deliveries": func() error { _, err := s.Deliveries(t.Context(), store.DeliveryFilter{State: "dead"}); return err },
		"the counts":           func() error { _, err := s.CountDeliveries(t.Context()); return err },
		"the backlogs":         func() error { _, err := s.Backlogs(t.Context()); return err },
	} {
		began := time.Now()
		if err := ask(); err != nil {
			t.Error(err)
		}
		t.Logf("%s in %s", what, time.Since(began).Round(10*time.Microsecond))
	}
}
