package store

import (
	"sync"
	"time"
)

// A fairness keeps a location that has very many deliveries at once, such as one that imports its bookings, from holding
// up the others. The queue hands out jobs by priority, then by age. Of the deliveries of a location that are due in the
// same minute, the first have the highest priority, and the more there are, the lower it is. Without a rush it changes
// nothing, because then nothing waits. It is safe for concurrent use.
type fairness struct {
	mu    sync.Mutex
	due   map[minute]int // the deliveries enqueued so far
	sweep int            // the size at which minutes that are over are removed
}

// A minute is a minute of a location.
type minute struct {
	location string
	unix     int64 // in minutes
}

// ranks are the numbers of deliveries up to which a location has the priorities 1 to 3. All others have 4, the queue's
// lowest.
var ranks = [3]int{100, 1_000, 10_000}

// priority returns the priority of one more delivery of a location.
func (f *fairness) priority(location string, due, now time.Time) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if due.Before(now) {
		due = now
	}
	if len(f.due) >= f.sweep {
		for m := range f.due {
			if m.unix < now.Unix()/60 {
				delete(f.due, m)
			}
		}
		f.sweep = 1024 + 2*len(f.due)
	}
	if f.due == nil {
		f.due = map[minute]int{}
	}
	m := minute{location, due.Unix() / 60}
	f.due[m]++
	for i, most := range ranks {
		if f.due[m] <= most {
			return i + 1
		}
	}
	return len(ranks) + 1
}
