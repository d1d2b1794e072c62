package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"bellhop/engine/record"
	"bellhop/engine/store"
)

// A delivery of one location does not wait until the many of another that came before it are sent.
func TestFloodOfOneLocation(t *testing.T) {
	t.Parallel()
	s := open(t)
	book := func(location string, n int) {
		t.Helper()
		err := s.Write(t.Context(), 0, func(tx *store.Tx) error {
			now := time.Now()
			for i := range n {
				key := fmt.Sprint(location, i)
				e := record.Event{ID: record.NewID(), Source: "hoopai", Location: location, Appointment: key, ReceivedAt: now, Status: record.Accepted, Dedupe: []byte(key), Body: []byte("{}")}
				if _, _, err := tx.InsertEvent(&e); err != nil {
					return err
				}
				d := record.Delivery{
					ID: record.NewID(), Event: e.ID, Source: e.Source, Location: location, Appointment: key, Rule: "r", Step: 1, Action: "http",
					Destination: location, State: record.Pending, Created: now, Due: now, Request: []byte("{}"),
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
	}
	const flood = 1500
	book("flood", flood)
	book("quiet", 5)
	place, last := 0, 0
	workOne := func(ctx context.Context, j *store.Job) time.Duration {
		d, ok, err := j.Claim(ctx, nil)
		if err != nil || !ok {
			t.Errorf("%v %v", ok, err)
			return 0
		}
		if place++; d.Location == "quiet" {
			last = place
		}
		d.State = record.Sent
		if err := j.Record(ctx, &d); err != nil {
			t.Error(err)
		}
		return 0
	}
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	err := s.Work(ctx, store.WorkOptions{Workers: 1, Stop: time.Second}, func(ctx context.Context, j *store.Job) time.Duration {
		again := workOne(ctx, j)
		if last > 0 && place >= last+20 || place == flood+5 {
			stop()
		}
		return again
	})
	if err != nil {
		t.Fatal(err)
	}
	if last == 0 || last > 150 { // a hundred of the flood have the same priority
		t.Errorf("the other location's last delivery was number %d", last)
	}
}
