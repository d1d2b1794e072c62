package bench

import (
	"math"
	"slices"
	"time"
)

// Times are percentiles in milliseconds: 99 of 100 took at most P99.
type Times struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
}

// timesOf sorts the list.
func timesOf(list []time.Duration) Times {
	if len(list) == 0 {
		return Times{}
	}
	slices.Sort(list)
	at := func(share float64) float64 {
		i := min(max(int(math.Ceil(share*float64(len(list))))-1, 0), len(list)-1)
		return math.Round(float64(list[i].Microseconds())/10) / 100
	}
	return Times{at(0.5), at(0.9), at(0.99), at(0.999), at(1)}
}
