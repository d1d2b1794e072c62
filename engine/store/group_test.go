package store

import (
	"sync"
	"testing"

	"bellhop/engine/store/storetest"
)

// A group of transactions has all senders that wait, and of the jobs that wait no more than these need, so that a sender
// does not wait for the deliveries of a location that has very many.
func TestGroup(t *testing.T) {
	t.Parallel()
	s, err := Open(t.Context(), Options{At: storetest.At(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const jobs, senders = 100, 3
	var all, ready sync.WaitGroup
	hold, began := make(chan struct{}), make(chan struct{})
	all.Go(func() { // holds the writer until the others wait
		_ = s.Write(t.Context(), 0, func(*Tx) error { close(began); <-hold; return nil })
	})
	<-began
	var mu sync.Mutex
	order := ""
	send := func(job bool, n int, name string) {
		for range n {
			ready.Add(1)
			all.Go(func() {
				call := &writeCall{keys: []Key{0}, done: make(chan error, 1), job: job, fn: func(*Tx) error {
					mu.Lock()
					defer mu.Unlock()
					order += name
					return nil
				}}
				queue := s.writers[0].calls
				if job {
					queue = s.writers[0].jobs
				}
				queue <- call
				ready.Done()
				if err := <-call.done; err != nil {
					t.Error(err)
				}
			})
		}
	}
	send(true, jobs, "j")
	send(false, senders, "S")
	ready.Wait()
	close(hold)
	all.Wait()
	last := 0
	for i, c := range order {
		if c == 'S' {
			last = i
		}
	}
	// The writer may begin with a job, and then has the senders in the same group.
	if len(order) != jobs+senders || last > senders {
		t.Errorf("the order is %s", order)
	}
}
