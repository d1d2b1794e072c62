package store_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"bellhop/engine/record"
	"bellhop/engine/store"
	"bellhop/engine/store/storetest"
	"bellhop/rules/live"
)

func reopened(t *testing.T, dir string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{At: dir})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// closed closes the store and returns the size of its file in bytes.
func closed(t *testing.T, s *store.Store, dir string) int64 {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, "bellhop.db"))
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// Pruning makes the file smaller, also the file of an earlier build.
func TestPruneGivesBack(t *testing.T) {
	t.Parallel()
	storetest.InFolder(t)
	for _, earlier := range []bool{false, true} {
		t.Run(fmt.Sprintf("earlier=%v", earlier), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s := reopened(t, dir)
			now := s.Fill(t, 5000)
			full := closed(t, s, dir)
			if earlier {
				store.SetAutoVacuum(t, dir, "NONE")
			}
			s = reopened(t, dir)
			if _, err := s.Prune(t.Context(), now.Add(-250*time.Second)); err != nil { // 95 % of the events are older
				t.Fatal(err)
			}
			if rest := closed(t, s, dir); rest > full/4 {
				t.Errorf("the file had %d bytes, and has %d now", full, rest)
			}
			s = reopened(t, dir)
			if list, err := s.Events(t.Context(), store.EventFilter{Limit: 500}); err != nil || len(list) < 250 {
				t.Errorf("%d events are left, %v", len(list), err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// If one of many rule files changes, the store grows only by that change.
func TestRuleSetsGrowByWhatChanges(t *testing.T) {
	t.Parallel()
	storetest.InFolder(t)
	const files, changes = 1000, 100
	dir := t.TempDir()
	s := reopened(t, dir)
	var set []live.Version
	for i := range files {
		set = append(set, version(fmt.Sprintf("clinics/north/rules-%04d.yaml", i), fmt.Sprint("rules: # ", i)))
	}
	if _, err := under(t.Context(), s, "e", "first", set...); err != nil {
		t.Fatal(err)
	}
	before := closed(t, s, dir)
	s = reopened(t, dir)
	for i := range changes {
		set[i*7%files] = version(set[i*7%files].Path, fmt.Sprint("changed ", i))
		if _, err := under(t.Context(), s, fmt.Sprint("e", i), fmt.Sprint("set ", i), set...); err != nil {
			t.Fatal(err)
		}
	}
	if grown := (closed(t, s, dir) - before) / changes; grown > 2000 {
		t.Errorf("a change adds %d bytes to the store", grown)
	}
}

// The body of an event and the appointment after and before it share most of their text. This text is stored once.
func TestEventGrowsByItsBody(t *testing.T) {
	t.Parallel()
	storetest.InFolder(t)
	const events = 1000
	dir := t.TempDir()
	s := reopened(t, dir)
	before := closed(t, s, dir)
	s = reopened(t, dir)
	write := func(i int) record.Event {
		state := func(n int) []byte {
			return fmt.Appendf(nil, `{"id":"ocQHyuzHvysMo5N5VsXc%d","title":"First consultation","address":"18 West Street, Springfield",`+
				`"calendarId":"BqTwX8QFwXzpegMve9EQ","contactId":"9NkT25Vor1v4aQatFsv2","appointmentStatus":"confirmed","notes":%q,"startTime":"2026-12-01T%02d:00:00Z"}`,
				i, "Wants to know about parking; asks for a quiet room, if there is one. Was here before, in spring.", n)
		}
		body := append(append([]byte(`{"type":"AppointmentUpdate","locationId":"0007BWpSzSwfiuSl0tR2","appointment":`), state(i%9)...), '}')
		return record.Event{
			ID: record.NewID(), Source: "hoopai", Location: "0007BWpSzSwfiuSl0tR2", Type: "AppointmentUpdate", Dedupe: []byte(fmt.Sprint(i)), ReceivedAt: time.Now(),
			Status: "accepted", On: []string{"AppointmentUpdate"}, Body: body, After: state(i % 9), Before: state(i % 7),
		}
	}
	var all []record.Event
	err := s.Write(t.Context(), 0, func(tx *store.Tx) error {
		all = nil
		for i := range events {
			e := write(i)
			if _, _, err := tx.InsertEvent(&e); err != nil {
				return err
			}
			all = append(all, e)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		got, err := s.Event(t.Context(), e.ID)
		if err != nil || string(got.Body) != string(e.Body) || string(got.After) != string(e.After) || string(got.Before) != string(e.Before) {
			t.Fatalf("%v\n%s\n%s\n%s", err, got.Body, got.After, got.Before)
		}
	}
	body := int64(len(all[0].Body))
	grown := (closed(t, s, dir) - before) / events
	t.Logf("an event with a body of %d bytes takes %d", body, grown)
	if grown > 2*body+300 {
		t.Errorf("an event with a body of %d bytes takes %d", body, grown)
	}
}
