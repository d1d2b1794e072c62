package store_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bellhop/engine/record"
	"bellhop/engine/store"
	"bellhop/engine/store/storetest"
)

// put writes one event, its appointment and n deliveries, as package receive does. It returns the id of the event.
func put(ctx context.Context, s *store.Store, key string, n int) (string, error) {
	var id string
	err := s.Write(ctx, 0, func(tx *store.Tx) error {
		if _, _, err := tx.Memory("hoopai", key); err != nil {
			return err
		}
		sum := sha256.Sum256([]byte(key))
		now := time.Now()
		e := record.Event{
			ID: record.NewID(), Source: "hoopai", Location: "0007BWpSzSwfiuSl0tR2", Type: "AppointmentCreate", Appointment: key,
			ReceivedAt: now, Status: "accepted", On: []string{"AppointmentCreate", "booked"}, Dedupe: sum[:16],
			Body: make([]byte, 700), After: make([]byte, 500),
		}
		var inserted bool
		var err error
		if id, inserted, err = tx.InsertEvent(&e); err != nil || !inserted {
			return err
		}
		if err := tx.Remember(&store.Remembered{Source: "hoopai", Appointment: key, State: e.After, Touched: now, Ends: now}); err != nil {
			return err
		}
		for i := range n {
			d := record.Delivery{
				ID: record.NewID(), Event: e.ID, Source: e.Source, Location: e.Location, Appointment: key, Rule: "desk-new-booking",
				Step: i + 1, Action: "http", Destination: "crm", State: record.Pending, Created: now, Due: now, Request: []byte(`{"url":"http://example.com"}`),
			}
			if _, err := tx.InsertDelivery(&d); err != nil {
				return err
			}
		}
		return nil
	})
	return id, err
}

func open(tb testing.TB) *store.Store {
	tb.Helper()
	s, err := store.Open(tb.Context(), store.Options{At: storetest.At(tb)})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

func BenchmarkWrite(b *testing.B) {
	for _, n := range []int{0, 1} {
		b.Run(fmt.Sprintf("deliveries=%d", n), func(b *testing.B) {
			s := open(b)
			var next atomic.Int64
			var wg sync.WaitGroup
			b.ResetTimer()
			for range 64 {
				wg.Go(func() {
					for {
						i := next.Add(1)
						if i > int64(b.N) {
							return
						}
						if _, err := put(b.Context(), s, fmt.Sprint("a", i), n); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

func BenchmarkWork(b *testing.B) {
	s := open(b)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for {
				i := next.Add(1)
				if i > int64(b.N) {
					return
				}
				if _, err := put(b.Context(), s, fmt.Sprint("a", i), 1); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	ctx, stop := context.WithCancel(b.Context())
	defer stop()
	var done atomic.Int64
	b.ResetTimer()
	err := s.Work(ctx, store.WorkOptions{Workers: 2000, Stop: 10 * time.Second}, func(ctx context.Context, j *store.Job) time.Duration {
		d, ok, err := j.Claim(ctx, nil)
		if err != nil || !ok {
			b.Error(ok, err)
			return 0
		}
		d.State = record.Sent
		d.Attempts = append(d.Attempts, record.Attempt{At: time.Now(), Outcome: "sent"})
		if err := j.Record(ctx, &d); err != nil {
			b.Error(err)
		}
		if done.Add(1) == int64(b.N) {
			b.StopTimer()
			stop()
		}
		return 0
	})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "deliveries/s")
}
