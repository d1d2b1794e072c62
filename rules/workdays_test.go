package rules

import (
	"math/rand/v2"
	"testing"
	"time"
)

// Working days are what counting them one by one gives.
func TestWorkdays(t *testing.T) {
	t.Parallel()
	d := rand.New(rand.NewPCG(5, 2))
	for range 2000 {
		from := time.Date(2026, 1, 1+d.IntN(400), 10, 0, 0, 0, time.UTC)
		n := d.IntN(61) - 30
		want, left := from, n
		for left != 0 {
			step := 1
			if left < 0 {
				step = -1
			}
			want = want.AddDate(0, 0, step)
			if want.Weekday() != time.Saturday && want.Weekday() != time.Sunday {
				left -= step
			}
		}
		if got := moveWorkdays(from, n); !got.Equal(want) {
			t.Fatalf("%d working days from %s are %s, not %s", n, from, got, want)
		}
	}
}
