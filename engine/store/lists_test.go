package store_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"bellhop/engine/record"
	"bellhop/engine/store"
	"bellhop/engine/store/storetest"
)

// Every query for operators and for pruning uses an index, and finds the rows in the order in which they are wanted. So
// its time does not grow with the store.
func TestPlans(t *testing.T) {
	if !storetest.Postgres() { // there, the statements of all tests before this one are looked at
		t.Parallel()
	}
	const n = 20_000
	s := open(t)
	now := s.Fill(t, n)
	some := func(values ...string) []string { return append(values, "") }
	for _, before := range some("01a00000-0000-7000-8000-000000000000") {
		for _, source := range some("workflow") {
			for _, location := range some("location7") {
				for _, kind := range some("INSTALL", "AppointmentCreate") {
					for _, status := range some("stale", "accepted") {
						for _, appointment := range some("a17") {
							for _, since := range []time.Time{{}, time.Now().Add(-time.Hour)} {
								f := store.EventFilter{Source: source, Location: location, Type: kind, Status: status, Appointment: appointment, Before: before, Since: since}
								if _, err := s.Events(t.Context(), f); err != nil {
									t.Fatalf("%+v: %v", f, err)
								}
							}
						}
					}
				}
			}
		}
		for _, state := range append(record.States(), "") {
			for _, rule := range some("rule7") {
				for _, event := range some("01900000-0000-7000-8000-000000000000") {
					for _, appointment := range some("a17") {
						f := store.DeliveryFilter{State: state, Rule: rule, Event: event, Appointment: appointment, Before: before}
						if _, err := s.Deliveries(t.Context(), f); err != nil {
							t.Fatalf("%+v: %v", f, err)
						}
					}
				}
			}
		}
	}
	counts, err := s.CountDeliveries(t.Context())
	if err != nil || counts[record.Dead] != n/1000 || counts[record.Pending] != n/1000 || counts[record.Waiting] != n/50 {
		t.Fatalf("counted: %v, %v", counts, err)
	}
	if list, err := s.Backlogs(t.Context()); err != nil || len(list) != 3 {
		t.Fatalf("open: %v, %v", list, err)
	}
	if list, err := s.Waiting(t.Context()); err != nil || len(list) != 2 {
		t.Fatalf("waiting: %v, %v", list, err)
	}
	if _, err := s.Newest(t.Context()); err != nil {
		t.Fatal(err)
	}
	pruned, err := s.Prune(t.Context(), now.Add(-n/2*time.Second))
	if want := n / 2 * 979 / 1000; err != nil || pruned != want { // the rest is pending or waiting
		t.Fatalf("pruned %d, want %d; %v", pruned, want, err)
	}
	if counts, err = s.CountDeliveries(t.Context()); err != nil || counts[record.Sent] != n/2*978/1000 {
		t.Errorf("counted after pruning: %v, %v", counts, err)
	}

	plans := s.Plans(t)
	if len(plans) < 60 {
		t.Errorf("only %d statements were run", len(plans))
	}
	for query, plan := range plans {
		if strings.HasPrefix(query, "-- name: River") || strings.Contains(query, "LIMIT 1) AS found") { // of River, and of a copy, which looks for any row
			continue
		}
		_, where, _ := strings.Cut(query, " WHERE ")
		// A listing of all rows, or of nearly all, walks through its table from the newest row and stops at the end of
		// the page.
		walks := strings.HasSuffix(query, "ORDER BY id DESC LIMIT ?") && (where == "" ||
			slices.Contains([]string{"type = ?", "status = ?", "type = ? AND status = ?"}, strings.TrimSuffix(where, " ORDER BY id DESC LIMIT ?")))
		// An appointment or an event has only a few deliveries, so these can be sorted.
		sorts := strings.Contains(where, "appointment = ?") || strings.Contains(where, "event = ?")
		if storetest.Postgres() {
			few := regexp.MustCompile(`FROM (rule_|rules_|river_job WHERE state = 'running'|nodes|quotas|tokens|deliveries INDEXED BY deliveries_waiting)`) // the last has a row for each waiting step
			big := regexp.MustCompile(`Seq Scan on (events|deliveries|appointments|river_job)\b`)
			if text := strings.Join(plan, "\n"); big.MatchString(text) || strings.Contains(text, "Sort") && !sorts && !strings.Contains(query, "appointment = ?") && !few.MatchString(query) {
				t.Errorf("%s\n%s", query, text)
			}
			continue
		}
		for _, step := range plan {
			scan := strings.HasPrefix(step, "SCAN") && !slices.ContainsFunc([]string{"c", "delivery_counts", "rule_", "CONSTANT ROW", "file", "sqlite_master", "pragma_"},
				func(small string) bool { return strings.HasPrefix(step, "SCAN "+small) })
			counted := strings.Contains(step, "USING COVERING INDEX deliveries_waiting") // the count of waiting deliveries, by step
			walk := walks && strings.Contains(step, "USING INDEX sqlite_autoindex_")
			if scan && !walk && !counted || strings.Contains(step, "TEMP B-TREE") && !sorts {
				t.Errorf("%s\n%s", query, strings.Join(plan, "\n"))
			}
		}
	}
}
