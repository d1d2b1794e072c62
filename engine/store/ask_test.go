package store

import (
	"errors"
	"fmt"
	"testing"

	"bellhop/engine/record"
	"bellhop/engine/store/storetest"
)

// If a call answers with an error like "not found", what it wrote is undone, and no other call of its group runs again.
func TestAnswerIsNoFailure(t *testing.T) {
	t.Parallel()
	s, err := Open(t.Context(), Options{At: storetest.At(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	runs := 0
	var group []*writeCall
	for i := range 20 {
		group = append(group,
			&writeCall{done: make(chan error, 1), fn: func(tx *Tx) error {
				runs++
				return tx.Remember(&Remembered{Source: "hoopai", Appointment: fmt.Sprint("a", i), State: []byte("{}"), Touched: s.opts.Now(), Ends: s.opts.Now()})
			}},
			&writeCall{done: make(chan error, 1), asks: true, fn: func(tx *Tx) error {
				if err := tx.Remember(&Remembered{Source: "hoopai", Appointment: fmt.Sprint("undone", i), State: []byte("{}"), Touched: s.opts.Now(), Ends: s.opts.Now()}); err != nil {
					return err
				}
				if i%2 == 0 {
					return &record.ConflictError{State: record.Sent}
				}
				return fmt.Errorf("delivery: %w", ErrNotFound)
			}})
	}
	s.writers[0].commit(t.Context(), group)
	for i, c := range group {
		err := <-c.done
		if _, conflict := errors.AsType[*record.ConflictError](err); c.asks != (conflict || errors.Is(err, ErrNotFound)) || !c.asks && err != nil {
			t.Errorf("call %d: %v", i, err)
		}
	}
	if runs != 20 {
		t.Errorf("20 calls ran %d times", runs)
	}
	var n int
	if err := s.read.QueryRow(`SELECT count(*) FROM appointments`).Scan(&n); err != nil || n != 20 {
		t.Errorf("%d appointments, %v", n, err)
	}
}
