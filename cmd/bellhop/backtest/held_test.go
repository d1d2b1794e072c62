package backtest_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"bellhop/cmd/bellhop/backtest"
	"bellhop/engine/metrics"
	"bellhop/engine/payload"
	"bellhop/engine/receive"
	"bellhop/engine/record"
	"bellhop/engine/store"
	"bellhop/rules"
	"bellhop/rules/live"
)

// A history is a store with events. Their times are hours before or after its end.
type history struct {
	tb    testing.TB
	dir   string
	end   time.Time
	now   time.Time
	store *store.Store
	r     *receive.Receiver
	sent  int
}

func newHistory(tb testing.TB, src string) *history {
	tb.Helper()
	h := &history{tb: tb, dir: tb.TempDir(), end: time.Now().Truncate(time.Hour).Add(2 * time.Hour).UTC()}
	clock := func() time.Time { return h.now }
	var err error
	if h.store, err = store.Open(tb.Context(), store.Options{At: h.dir, Now: clock}); err != nil {
		tb.Fatal(err)
	}
	set := compile(tb, src)
	h.r = receive.New(receive.Options{
		Store: h.store, Rules: func() live.Snapshot { return live.Snapshot{Set: set, ID: "recorded"} }, Zone: time.UTC,
		Metrics: metrics.New(), Logger: slog.New(slog.DiscardHandler), Now: clock,
	})
	return h
}

func (h *history) hour(n float64) time.Time {
	return h.end.Add(time.Duration(n * float64(time.Hour)).Truncate(time.Second))
}

// tell receives an event at an hour. text is like "create a1 start=-3 status=confirmed", where times are hours too.
func (h *history) tell(hour float64, text string) {
	h.tb.Helper()
	h.now = h.hour(hour)
	h.sent++
	words := strings.Fields(text)
	wire := map[string]string{"create": rules.Create, "update": rules.Update, "delete": rules.Delete}[words[0]]
	appointment := map[string]any{"id": words[1], "dateUpdated": h.now.Add(time.Duration(h.sent) * time.Millisecond)}
	for _, pair := range words[2:] {
		key, value, _ := strings.Cut(pair, "=")
		switch key {
		case "start", "end":
			var n float64
			if _, err := fmt.Sscanf(value, "%g", &n); err != nil {
				h.tb.Fatal(err)
			}
			appointment[key+"Time"] = h.hour(n)
		case "status":
			appointment["appointmentStatus"] = value
		default:
			appointment[key] = value
		}
	}
	body, err := json.Marshal(map[string]any{"type": wire, "locationId": "l1", "appointment": appointment})
	if err != nil {
		h.tb.Fatal(err)
	}
	ev, err := payload.Normalise("hoopai", body, h.now, time.UTC)
	if err == nil {
		_, err = h.r.Receive(h.tb.Context(), ev)
	}
	if err != nil {
		h.tb.Fatalf("%s: %v", text, err)
	}
}

func (h *history) backtest(present, proposed string, memory int) *backtest.Report {
	h.tb.Helper()
	reader, err := store.OpenReader(h.tb.Context(), h.dir, "")
	if err != nil {
		h.tb.Fatal(err)
	}
	report, err := backtest.Run(h.tb.Context(), backtest.Options{
		Store: reader, Span: store.Span{Since: h.hour(-1000), Until: h.end}, Present: compile(h.tb, present), Proposed: compile(h.tb, proposed),
		PresentID: "recorded", Zone: time.UTC, Examples: 1000, Memory: memory,
	})
	if err := errors.Join(err, reader.Close(), h.store.Close()); err != nil {
		h.tb.Fatal(err)
	}
	return report
}

const noRules = "rules: []\n"

// waiting returns the source of a rule with one step, which waits.
func waiting(name, on, at, more string) string {
	return fmt.Sprintf(`rules:
- name: %s
  on: %s
  then:
  - at: %s
    %s
    slack: { channel: "#desk", text: "{{ appointment.title }} {{ date(appointment.startTime, \"15:04\") }}" }
`, name, on, at, more)
}

func TestWaitingSteps(t *testing.T) {
	t.Parallel()
	remind := waiting("remind", "booked", `appointment.startTime - duration("24h")`, "")
	earlier := waiting("remind", "booked", `appointment.startTime - duration("48h")`, "")
	again := waiting("remind", "[booked, confirmed]", `appointment.startTime - duration("24h")`, "")
	afterwards := waiting("remind", "cancelled", `receivedAt + duration("5h")`, "")
	atOnce := strings.Replace(remind, "at: appointment.startTime - duration(\"24h\")\n    \n    slack", "slack", 1)
	for name, tt := range map[string]struct {
		present, proposed string
		told              []string // "-100 create a1 …"
		tally, waiting    backtest.Tally
		unsent            string
		days              []float64 // the days with messages, as hours
		dues              []float64 // when the messages of the differences are due, as hours
	}{
		"sent at its moment": {
			noRules, remind, []string{"-100 create a1 start=-50"},
			backtest.Tally{Proposed: 1, Added: 1}, backtest.Tally{}, "", []float64{-74}, []float64{-74},
		},
		"still waits at the end": {
			noRules, remind, []string{"-100 create a1 start=50", "-90 create a2 start=-10"},
			backtest.Tally{Proposed: 2, Added: 2}, backtest.Tally{Proposed: 1, Added: 1}, "", []float64{-34}, []float64{-34, 26},
		},
		"cancelled": {
			noRules, remind, []string{"-100 create a1 start=-50", "-90 update a1 status=cancelled"},
			backtest.Tally{}, backtest.Tally{}, "the appointment was cancelled 1", nil, nil,
		},
		"deleted too late": {
			noRules, remind, []string{"-100 create a1 start=-50", "-60 delete a1"},
			backtest.Tally{Proposed: 1, Added: 1}, backtest.Tally{}, "", []float64{-74}, []float64{-74},
		},
		"cancelled and taken back": {
			noRules, remind, []string{"-100 create a1 start=-50", "-90 update a1 status=cancelled", "-80 update a1 status=confirmed"},
			backtest.Tally{Proposed: 1, Added: 1}, backtest.Tally{}, "", []float64{-74}, []float64{-74},
		},
		"cancelled and taken back too late": {
			noRules, remind, []string{"-100 create a1 start=-50", "-90 update a1 status=cancelled", "-70 update a1 status=confirmed"},
			backtest.Tally{}, backtest.Tally{}, "too late 1", nil, nil,
		},
		"moved twice": {
			noRules, remind, []string{"-100 create a1 start=-50", "-90 update a1 start=-5", "-80 update a1 start=-40"},
			backtest.Tally{Proposed: 1, Added: 1}, backtest.Tally{}, "", []float64{-64}, []float64{-64},
		},
		"moved behind the end": {
			remind, noRules, []string{"-100 create a1 start=-50", "-90 update a1 start=40"},
			backtest.Tally{Present: 1, Removed: 1}, backtest.Tally{Present: 1, Removed: 1}, "", nil, []float64{16},
		},
		"too late, and then moved": {
			noRules, remind, []string{"-100 create a1 start=-90", "-95 create a2 start=-80", "-94 update a2 start=-60"},
			backtest.Tally{Proposed: 1, Added: 1}, backtest.Tally{}, "too late 1", []float64{-84}, []float64{-84},
		},
		"nothing to count from": {
			noRules, remind, []string{"-100 create a1"},
			backtest.Tally{}, backtest.Tally{}, `there is no time to count from: a time that "at" names is missing 1`, nil, nil,
		},
		"nothing to count from at first": {
			noRules, remind, []string{"-100 create a1", "-99 update a1 start=-10"},
			backtest.Tally{Proposed: 1, Added: 1}, backtest.Tally{}, "", []float64{-34}, []float64{-34},
		},
		"applied again": {
			noRules, again, []string{"-100 create a1 start=-50", "-90 update a1 status=confirmed title=Tea", "-60 update a1 status=new"},
			backtest.Tally{Proposed: 1, Added: 1}, backtest.Tally{}, "the rule applied again 1", []float64{-74}, []float64{-74},
		},
		"of a cancellation that is taken back": {
			noRules, afterwards, []string{"-100 create a1 start=-50", "-90 update a1 status=cancelled", "-88 update a1 status=confirmed", "-70 update a1 status=cancelled"},
			backtest.Tally{Proposed: 1, Added: 1}, backtest.Tally{}, "the appointment takes place after all 1", []float64{-65}, []float64{-65},
		},
		"the same": {
			remind, remind, []string{"-100 create a1 start=-50", "-90 create a2 start=40"},
			backtest.Tally{Present: 2, Proposed: 2}, backtest.Tally{Present: 1, Proposed: 1}, "", []float64{-74}, nil,
		},
		"at another time": {
			remind, earlier, []string{"-200 create a1 start=-50", "-190 create a2 start=30"},
			backtest.Tally{Present: 2, Proposed: 2, Changed: 2}, backtest.Tally{Present: 1}, "", []float64{-98, -74, -18}, []float64{-98, -74, -18, 6},
		},
		"no longer at once": {
			atOnce, remind, []string{"-100 create a1 start=-50"},
			backtest.Tally{Present: 1, Proposed: 1, Changed: 1}, backtest.Tally{}, "", []float64{-100, -74}, []float64{-74},
		},
		"only watches": {
			noRules, strings.Replace(remind, "  then", "  mode: shadow\n  then", 1), []string{"-100 create a1 start=-50"},
			backtest.Tally{}, backtest.Tally{}, "", nil, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// Without memory, steps are not followed. The result is the same if no later event changes anything.
			for _, memory := range []int{0, 1} {
				h := newHistory(t, tt.present)
				for _, line := range tt.told {
					var hour float64
					at, text, _ := strings.Cut(line, " ")
					if _, err := fmt.Sscanf(at, "%g", &hour); err != nil {
						t.Fatal(err)
					}
					h.tell(hour, text)
				}
				r := h.backtest(tt.present, tt.proposed, memory)
				if memory > 0 {
					if r.Unfollowed == 0 {
						t.Errorf("all was followed without memory: %+v", r)
					}
					if slices.ContainsFunc(tt.told, func(line string) bool { return !strings.Contains(line, "create") }) {
						continue
					}
				} else if r.Unfollowed != 0 {
					t.Errorf("%d were not followed", r.Unfollowed)
				}
				if r.Tally != tt.tally || r.Waiting != tt.waiting {
					t.Errorf("%+v, waiting %+v", r.Tally, r.Waiting)
				}
				if r.RecordedDiffers != 0 {
					t.Errorf("what was recorded differs in %d", r.RecordedDiffers)
				}
				var unsent []string
				var dues []time.Time
				for i := range r.Rules {
					for _, u := range r.Rules[i].Unsent {
						unsent = append(unsent, fmt.Sprintf("%s %d", u.Reason, u.Count))
					}
					for _, e := range r.Rules[i].Examples {
						for _, due := range []time.Time{e.PresentDue, e.ProposedDue} {
							if !due.IsZero() {
								dues = append(dues, due)
							}
						}
						if last := slices.MaxFunc([]time.Time{e.PresentDue, e.ProposedDue}, time.Time.Compare); e.Kind != backtest.Changed && e.Waiting != last.After(h.end) {
							t.Errorf("%+v", e)
						}
					}
				}
				if got := strings.Join(unsent, ", "); got != tt.unsent {
					t.Errorf("not sent: %s, want %s", got, tt.unsent)
				}
				slices.SortFunc(dues, time.Time.Compare)
				if want := h.hours(tt.dues); !slices.EqualFunc(dues, want, time.Time.Equal) {
					t.Errorf("sent at %v, want %v", dues, want)
				}
				var days, want []string
				for _, d := range r.Days {
					days = append(days, d.Day)
				}
				for _, at := range h.hours(tt.days) {
					want = append(want, at.Format(time.DateOnly))
				}
				if !slices.Equal(days, slices.Compact(want)) {
					t.Errorf("days %v, want %v", days, want)
				}
				if name == "only watches" && (len(r.Rules) != 1 || r.Rules[0].Watched != 1) {
					t.Errorf("%+v", r.Rules)
				}
			}
		})
	}
}

// Steps that are decided take no memory.
func TestMemoryIsGivenBack(t *testing.T) {
	t.Parallel()
	h := newHistory(t, noRules)
	for i := range 30 {
		hour := float64(2*i - 100)
		h.tell(hour, fmt.Sprintf("create a%d start=%g", i, hour+25))
	}
	remind := waiting("remind", "booked", `appointment.startTime - duration("24h")`, "")
	if r := h.backtest(remind, remind, 2000); r.Unfollowed != 0 || r.Proposed != 30 || r.Differs() {
		t.Errorf("%d were not followed: %+v", r.Unfollowed, r.Tally)
	}
}

func (h *history) hours(list []float64) (out []time.Time) {
	for _, n := range list {
		out = append(out, h.hour(n))
	}
	return out
}

// settle lets the server decide about the deliveries that are due until a time.
func (h *history) settle(until time.Time) {
	h.tb.Helper()
	for {
		list, err := h.store.Deliveries(h.tb.Context(), store.DeliveryFilter{State: record.Waiting, Limit: 500})
		if err != nil {
			h.tb.Fatal(err)
		}
		if len(list) == 500 {
			h.tb.Fatal("too many wait")
		}
		list = slices.DeleteFunc(list, func(d record.Delivery) bool { return d.Due.After(until) })
		if len(list) == 0 {
			return
		}
		d := slices.MinFunc(list, func(a, b record.Delivery) int { return a.Due.Compare(b.Due) })
		h.now = d.Due
		err = h.store.Write(h.tb.Context(), 0, func(tx *store.Tx) error {
			if err := h.r.Due(tx, &d); err != nil {
				return err
			}
			if d.State == record.Sending {
				d.State = record.Sent
			}
			return tx.Change(&d)
		})
		if err != nil {
			h.tb.Fatal(err)
		}
	}
}

// A backtest reports the same messages as a server with these rules sends.
func TestAsTheServerDoes(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			asTheServerDoes(t, seed)
		})
	}
}

func asTheServerDoes(t *testing.T, seed uint64) {
	const src = `rules:
- name: remind
  on: [booked, rescheduled]
  when: appointment.appointmentStatus != "noshow"
  then:
  - slack: { channel: "#desk", text: "{{ on }} {{ appointment.title }}" }
  - at: appointment.startTime - duration("24h")
    slack: { channel: "#desk", text: "day before {{ appointment.title }} {{ appointment.startTime }} {{ now() }}" }
  - at: appointment.startTime - duration("3h")
    late: send
    slack: { channel: "#desk", text: "{{ date(appointment.endTime, \"15:04\") }} {{ now() }}" }
- name: thank
  on: AppointmentCreate
  then:
  - at: appointment.endTime + duration("1h")
    late: 6h
    slack: { channel: "#desk", text: "thanks {{ appointment.title }} {{ now() }}" }
  - at: receivedAt + duration("6h")
    slack: { channel: "{{ appointment.notes }}", text: "six hours {{ now() }}" }
- name: regret
  on: cancelled
  then:
  - at: now() + duration("9h")
    slack: { channel: "#desk", text: "sorry {{ appointment.title }} {{ now() }}" }
- name: watch
  on: confirmed
  mode: shadow
  then:
  - at: appointment.startTime - duration("2h")
    slack: { channel: "#desk", text: "{{ appointment.title }} {{ now() }}" }
`
	h := newHistory(t, src)
	random := rand.New(rand.NewPCG(seed, 0))
	pick := func(words ...string) string { return words[random.IntN(len(words))] }
	for i := range 250 {
		hour := float64(i) - 250 + random.Float64()/2
		words := []string{pick("create", "update", "update", "update", "delete"), fmt.Sprintf("a%d", random.IntN(25))}
		if random.IntN(2) == 0 {
			start := hour + float64(random.IntN(120)) - 20
			words = append(words, fmt.Sprintf("start=%g", start))
			if random.IntN(3) > 0 {
				words = append(words, fmt.Sprintf("end=%g", start+1))
			}
		}
		if random.IntN(3) > 0 {
			words = append(words, "status="+pick("new", "confirmed", "confirmed", "cancelled", "noshow"))
		}
		if random.IntN(3) == 0 {
			words = append(words, "title="+pick("Tea", "Coffee"), "notes="+pick("#notes", "#more"))
		}
		h.settle(h.hour(hour))
		h.tell(hour, strings.Join(words, " "))
	}
	h.settle(h.hour(1000))

	var want, got []string
	unsent := map[string]int{}
	watched := 0
	for before := ""; ; {
		page, err := h.store.Deliveries(t.Context(), store.DeliveryFilter{Limit: 500, Before: before})
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		before = page[len(page)-1].ID
		for _, d := range page {
			switch d.State {
			case record.Sent, record.Pending:
				want = append(want, fmt.Sprintf("%s %d of %s: %s at %s", d.Rule, d.Step, d.Event, d.Request, d.Due.UTC()))
			case record.Shadow:
				watched++
			case record.Skipped, record.Cancelled:
				reason, _, _ := strings.Cut(d.Reason, ": it was due")
				reason, _, _ = strings.Cut(reason, ", for event")
				unsent[d.Rule+": "+reason]++
			default:
				t.Errorf("a delivery is %s", d.State)
			}
		}
	}
	r := h.backtest(noRules, src, 0)
	waits := 0
	for i := range r.Rules {
		rule := &r.Rules[i]
		watched -= rule.Watched
		for _, u := range rule.Unsent {
			unsent[rule.Rule+": "+u.Reason] -= u.Count
		}
		for _, e := range rule.Examples {
			due := e.ProposedDue
			if due.IsZero() {
				due = e.At
			}
			if e.Waiting {
				waits++
			}
			got = append(got, fmt.Sprintf("%s %d of %s: %s at %s", rule.Rule, e.Step, e.Event, e.Proposed, due.UTC()))
		}
	}
	for reason, n := range unsent {
		if n != 0 {
			t.Errorf("%d more of the server: %s", n, reason)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) || watched != 0 || len(got) != r.Proposed || waits != r.Waiting.Proposed {
		only := func(a, b []string) []string {
			return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
		}
		t.Errorf("seed %d: %d of %d, %d to come of %d, %d watched; only the backtest:\n%s\nonly the server:\n%s", seed, len(got), len(want), waits, r.Waiting.Proposed, watched,
			strings.Join(only(got, want), "\n"), strings.Join(only(want, got), "\n"))
	}
	t.Logf("%d messages, %d of them to come", len(got), waits)
}
