package lang

import "testing"

func TestMixedDigits(t *testing.T) {
	t.Parallel()
	for _, layout := range []string{
		"2006-01-02", "20060102T150405Z0700", "Mon 2 Jan 15:04", "2.1.06", "3:04pm", "15:04:05.000", "2006-01-02T15:04:05.999999999-07:00", "002", "2006-01-02 09:00", "15:00", "-070000",
	} {
		if run, _ := mixedDigits(layout); run != "" {
			t.Errorf("%q: %q is no mistake", layout, run)
		}
	}
	for layout, want := range map[string]string{"2006-01-02T18:00": "18", "24h": "24", "2025-01-02": "2025", "30 Jan": "30", "12:04": "12", "2 Jan 1500": "1500"} {
		if run, _ := mixedDigits(layout); run != want {
			t.Errorf("%q: found %q, want %q", layout, run, want)
		}
	}
}

// Only a layout of another program is rewritten, and its words are kept.
func TestLayouts(t *testing.T) {
	t.Parallel()
	for layout, want := range map[string]string{
		"D. MMMM YYYY, HH:mm Uhr":   "2. January 2006, 15:04 Uhr",
		"dd-MM-yyyy'T'HH:mm:ssZ":    "02-01-2006'T'15:04:05Z",
		"YYYYMMDDTHHmmss":           "20060102T150405",
		"%d/%m/%Y at %H:%M":         "02/01/2006 at 15:04",
		"ddd D MMM, h:mma":          "Mon 2 Jan, 3:04pm",
		"2. January, Zimmer 15":     "2. January, Zimmer 15",
		"Monday, Strasse":           "Monday, Strasse",
		"Mon 2 Jan, hall B":         "Mon 2 Jan, hall B",
		"2 Jan, comme d'habitude":   "2 Jan, comme d'habitude",
		"100 % sicher, 2. January":  "100 % sicher, 2. January",
		"15:04, add one":            "15:04, add one",
		"Monday":                    "Monday",
		"YYYY-MM-DD, im Zimmer":     "2006-01-02, im Zimmer",
		"02.01.2006 um 15:04 Uhr h": "02.01.2006 um 15:04 Uhr h",
	} {
		if got := fixLayout(layout); got != want {
			t.Errorf("%q: got %q, want %q", layout, got, want)
		}
	}
}
