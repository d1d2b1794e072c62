package store

import (
	"bytes"
	"testing"
)

// A text is read as it was stored, with any base. A damaged record is an error, not a panic.
func FuzzDelta(f *testing.F) {
	body := `{"type":"AppointmentCreate","appointment":{"id":"a1","title":"First consultation","startTime":"2026-12-01T09:00:00Z"}}`
	f.Add([]byte(`{"id":"a1","title":"First consultation","startTime":"2026-12-01T09:00:00Z","booked":true}`), []byte(body))
	f.Add([]byte("\x01\x00\x09\x09"), []byte(body))
	f.Add([]byte("\x01"), []byte(""))
	f.Add([]byte(body), []byte(body))
	f.Fuzz(func(t *testing.T, text, base []byte) {
		stored := delta(text, base)
		if got, err := undelta(stored, base); err != nil || !bytes.Equal(got, text) {
			t.Errorf("%q next to %q is read as %q: %v", text, base, got, err)
		}
		if len(stored) > len(text)+6 {
			t.Errorf("%q is stored as %q", text, stored)
		}
		if _, err := undelta(text, base); err == nil && len(text) > 0 && text[0] != deltaMark {
			return
		}
		_, _ = undelta(append([]byte{deltaMark}, text...), base)
	})
}
