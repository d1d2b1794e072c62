package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestProgress(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	begin := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	bar := newProgress(newOutput(&out, func(string) (string, bool) { return "", false }), begin)
	bar.show(50, 100, begin.Add(time.Minute))
	bar.clear()
	if out.Len() > 0 {
		t.Fatalf("on what is no terminal: %q", out.String())
	}
	bar.w = &out
	bar.show(1, 100, begin.Add(progressAfter/2))
	if out.Len() > 0 {
		t.Fatalf("too early: %q", out.String())
	}
	bar.show(50, 100, begin.Add(10*time.Second))
	if want := "\r[" + strings.Repeat("#", 15) + strings.Repeat(".", 15) + "]  50%, 50 of 100 events, 10s left\x1b[K"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
	out.Reset()
	bar.show(51, 100, begin.Add(10*time.Second+progressEvery/2))
	bar.show(0, 0, begin.Add(time.Hour))
	if out.Len() > 0 {
		t.Errorf("too often, or of nothing: %q", out.String())
	}
	bar.show(100, 100, begin.Add(20*time.Second))
	if !strings.Contains(out.String(), "100%") || strings.Contains(out.String(), "left") {
		t.Errorf("at the end: %q", out.String())
	}
	bar.clear()
	if !strings.HasSuffix(out.String(), "\r\x1b[K") {
		t.Errorf("it stays: %q", out.String())
	}
}

func TestSinceTime(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	zone := time.FixedZone("", 2*3600)
	for text, want := range map[string]string{
		"7d": "2026-02-23T12:00:00Z", "90m": "2026-03-02T10:30:00Z", "2026-01-31": "2026-01-31T00:00:00+02:00", "2026-01-31T10:00:00Z": "2026-01-31T10:00:00Z",
		"7": "", "": "", "0s": "", "yesterday": "",
	} {
		got, err := sinceTime(text, now, zone)
		if (err != nil) != (want == "") || err == nil && got.Format(time.RFC3339) != want {
			t.Errorf("%q: %s, %v; want %s", text, got, err, want)
		}
	}
}
