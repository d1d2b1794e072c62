package store_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bellhop/engine/payload"
	"bellhop/engine/record"
	"bellhop/engine/store"
	"bellhop/engine/store/storetest"
	"bellhop/rules"
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

// One move, one cancellation and one claim cost the same, however many steps wait.
func BenchmarkWaiting(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000} {
		p := newPost(b, `rules: [{ name: remind, on: booked, then: [{ at: appointment.startTime - duration("1h"), slack: { channel: "#c", text: "{{ appointment.title }}" } }] }]`, rules.Options{})
		tell := func(kind string, i int, more string) {
			body := fmt.Sprintf(`{"type":"Appointment%s","locationId":"l%d","appointment":{"id":"a%d","contactId":"c%d"%s}}`, kind, i%500, i, i%5000, more)
			ev, err := payload.Normalise("hoopai", []byte(body), p.now, time.UTC)
			if err == nil {
				_, err = p.r.Receive(b.Context(), ev)
			}
			if err != nil {
				b.Error(err)
			}
		}
		var next atomic.Int64
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				for i := int(next.Add(1)); i <= n; i = int(next.Add(1)) {
					tell("Create", i, fmt.Sprintf(`,"title":"Tea","startTime":%q`, p.now.Add(48*time.Hour+time.Duration(i)*time.Second).Format(time.RFC3339)))
				}
			})
		}
		wg.Wait()
		b.Run(fmt.Sprintf("claim/waiting=%d", n), func(b *testing.B) {
			now := p.now
			defer func() { p.now = now }()
			p.now = now.Add(96 * time.Hour)
			jobs, err := p.s.FirstQueued(b.Context(), n/2) // the others are moved and cancelled below
			if err != nil {
				b.Fatal(err)
			}
			for i := 0; b.Loop(); i++ {
				if _, _, err := jobs[i%len(jobs)].Claim(b.Context(), p.r.Due); err != nil {
					b.Fatal(err)
				}
			}
		})
		at := n / 2
		b.Run(fmt.Sprintf("move/waiting=%d", n), func(b *testing.B) {
			for b.Loop() {
				at = n/2 + at%(n/2) + 1
				tell("Update", at, fmt.Sprintf(`,"startTime":%q`, p.now.Add(72*time.Hour+time.Duration(at)*time.Second).Format(time.RFC3339)))
			}
		})
		b.Run(fmt.Sprintf("cancel/waiting=%d", n), func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				at = n/2 + at%(n/2) + 1
				tell("Update", at, fmt.Sprintf(`,"appointmentStatus":%q`, []string{"cancelled", "confirmed"}[i/(n/2)%2]))
			}
		})
	}
}
