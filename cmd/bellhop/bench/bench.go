// Package bench loads a server with bookings and measures how it copes: how soon each webhook is acknowledged, how soon
// its delivery arrives, and whether every acknowledged event was delivered, once.
//
// The server needs the rules of [Rules], whose steps call the sink that [Run] serves.
package bench

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"
)

// Options say what to load servers with. URLs and Sink are required.
type Options struct {
	URLs        []string                                                  // for the webhooks of a source, one for each server; each gets its share
	Sign        func(http.Header, []byte) error                           // adds the headers that prove who sends a body; nil for none
	Rate        int                                                       // webhooks a second; 0 is as fast as the connections can
	For         time.Duration                                             // how long webhooks are sent; 0 is 10 s
	Connections int                                                       // webhooks on their way at once, at most; 0 is 64
	Locations   int                                                       // the bookings are spread over; 0 is 100
	Sink        net.Listener                                              // where deliveries arrive; Run closes it
	Patience    time.Duration                                             // how long to wait for a delivery after the last one; 0 is 30 s
	Bare        string                                                    // the URL of a server of package bare to compare with, loaded in turns; "" is none
	Progress    func(sent, acknowledged, delivered int, at time.Duration) // called about every second; nil is silent
}

// A Report is what a run measured. Times are in milliseconds, from the time at which a webhook should have been sent: if
// a slow server keeps all connections busy, the wait for one counts.
type Report struct {
	Seconds      float64 `json:"seconds"`      // from the first webhook to the last acknowledgement; without the turns of the bare server
	Sent         int     `json:"sent"`         // webhooks
	Acknowledged int     `json:"acknowledged"` // with 202
	Refused      int     `json:"refused"`      // with another status
	Failed       int     `json:"failed"`       // without an answer
	Delivered    int     `json:"delivered"`    // events whose delivery arrived
	Missing      int     `json:"missing"`      // acknowledged events whose delivery did not arrive
	Twice        int     `json:"twice"`        // events with deliveries under two idempotency keys
	Repeated     int     `json:"repeated"`     // further attempts under the same key

	Acknowledge Times `json:"acknowledge_ms"` // until the acknowledgement
	Deliver     Times `json:"deliver_ms"`     // until the delivery's first arrival

	FirstFailure string `json:"first_failure,omitempty"` // the first refusal or failure, for people

	Bare *Bare `json:"bare,omitempty"` // nil if it was not compared
}

// Bare is what the bare server did with the same load, and how the server compares with it.
type Bare struct {
	Seconds      float64 `json:"seconds"`
	Acknowledged int     `json:"acknowledged"`
	Acknowledge  Times   `json:"acknowledge_ms"`
	Ratio        float64 `json:"ratio"` // of the acknowledgements a second: the server's to the bare server's
}

// Good reports whether every webhook was acknowledged and every acknowledged event was delivered under one key.
func (r *Report) Good() bool {
	return r.Acknowledged > 0 && r.Refused+r.Failed+r.Missing+r.Twice == 0
}

// A bench is one run.
type bench struct {
	Options
	run    string // begins the ids of its appointments, so that runs against one server do not mix
	client *http.Client
	begin  time.Time
	told   time.Time // when the progress was last reported

	mu      sync.Mutex
	events  []event
	report  Report
	changed time.Time // when a delivery last arrived
}

// An event is one webhook. Its times count from the bench's begin; 0 means that it has not happened.
type event struct {
	due, acknowledged, arrived time.Duration
	key                        string // the idempotency key of its delivery
}

// Run sends bookings as the options say and waits for their deliveries. An error means that the run could not be made;
// what the server did wrong is in the report.
func Run(ctx context.Context, o Options) (*Report, error) {
	o.For = cmp.Or(o.For, 10*time.Second)
	o.Connections = cmp.Or(o.Connections, 64)
	o.Locations = cmp.Or(o.Locations, 100)
	o.Patience = cmp.Or(o.Patience, 30*time.Second)
	transport := &http.Transport{MaxIdleConnsPerHost: o.Connections, MaxConnsPerHost: o.Connections}
	defer transport.CloseIdleConnections()
	b := &bench{
		Options: o, run: fmt.Sprintf("bench%08x", rand.Uint32()), begin: time.Now(), told: time.Now(),
		client: &http.Client{Transport: transport, Timeout: time.Minute},
	}
	sink := &http.Server{Handler: http.HandlerFunc(b.arrive), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- sink.Serve(o.Sink) }()
	report, err := b.turns(ctx)
	err = errors.Join(err, sink.Close(), context.Cause(ctx))
	if e := <-served; !errors.Is(e, http.ErrServerClosed) {
		err = errors.Join(err, fmt.Errorf("the sink: %w", e))
	}
	return report, err
}

// turn is about how long each of two servers is loaded before it is the other's turn. Both then see the same of what
// else the machine does.
const turn = time.Second

// turns loads the server and, if there is one, the bare server.
func (b *bench) turns(ctx context.Context) (*Report, error) {
	if b.Bare == "" {
		b.load(ctx, b.For)
		b.wait(ctx)
		return b.sum(), nil
	}
	other := &bench{Options: b.Options, run: b.run, begin: b.begin, client: b.client}
	other.URLs, other.Progress = []string{b.Bare}, nil
	for left := b.For; left > 0 && ctx.Err() == nil; left -= turn {
		b.load(ctx, min(left, turn))
		b.wait(ctx) // the bare server is alone
		other.load(ctx, min(left, turn))
	}
	report, bare := b.sum(), other.sum()
	if bare.Acknowledged == 0 || bare.Acknowledged != bare.Sent {
		return report, fmt.Errorf("the bare server acknowledged %d of %d webhooks: %s", bare.Acknowledged, bare.Sent, bare.FirstFailure)
	}
	report.Bare = &Bare{Seconds: bare.Seconds, Acknowledged: bare.Acknowledged, Acknowledge: bare.Acknowledge}
	report.Bare.Ratio = math.Round(1000*float64(report.Acknowledged)/report.Seconds/(float64(bare.Acknowledged)/bare.Seconds)) / 1000
	return report, nil
}

// load sends webhooks for some time.
func (b *bench) load(ctx context.Context, length time.Duration) {
	sending, stop := context.WithTimeout(ctx, length)
	defer stop()
	begin := time.Now()
	due := make(chan time.Duration, b.Rate*int(length/time.Second+2)) // all of them, if the server is slow
	var senders sync.WaitGroup
	for range b.Connections {
		senders.Go(func() {
			guests := &guests{bench: b}
			if b.Rate == 0 {
				for sending.Err() == nil {
					b.send(ctx, guests, time.Since(b.begin))
				}
				return
			}
			for at := range due {
				b.send(ctx, guests, at)
			}
		})
	}
	b.schedule(sending, begin, due)
	senders.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.report.Seconds += time.Since(begin).Seconds()
}

// schedule says when webhooks are due from begin until ctx ends. It closes due.
func (b *bench) schedule(ctx context.Context, begin time.Time, due chan<- time.Duration) {
	defer close(due)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	n := 0
	for {
		select {
		case now := <-tick.C:
			for ; b.Rate > 0 && float64(n) <= now.Sub(begin).Seconds()*float64(b.Rate); n++ {
				due <- begin.Sub(b.begin) + time.Duration(float64(n)/float64(b.Rate)*float64(time.Second))
			}
			b.tell(now)
		case <-ctx.Done():
			return
		}
	}
}

// send posts one webhook that was due at a time.
func (b *bench) send(ctx context.Context, g *guests, due time.Duration) {
	b.mu.Lock()
	n := len(b.events)
	b.events = append(b.events, event{due: due})
	b.report.Sent++
	b.mu.Unlock()
	body, accepted := g.next(n)
	status, problem := b.post(ctx, body)
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case status == http.StatusAccepted:
		b.events[n].acknowledged = time.Since(b.begin)
		if b.report.Acknowledged++; b.events[n].arrived == 0 {
			b.report.Missing++ // until it arrives
		}
		accepted()
		return
	case ctx.Err() != nil:
		return
	case status == 0:
		b.report.Failed++
	default:
		b.report.Refused++
	}
	if b.report.FirstFailure == "" {
		b.report.FirstFailure = problem
	}
}

// post returns the status of the answer, 0 if there was none, and what went wrong.
func (b *bench) post(ctx context.Context, body []byte) (status int, problem string) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, b.URLs[rand.IntN(len(b.URLs))], bytes.NewReader(body))
	if err != nil {
		return 0, err.Error()
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "bellhop-bench")
	if b.Sign != nil {
		if err := b.Sign(r.Header, body); err != nil {
			return 0, err.Error()
		}
	}
	resp, err := b.client.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, fmt.Sprintf("%s: %.200s", resp.Status, bytes.TrimSpace(answer))
}

// arrive takes a delivery.
func (b *bench) arrive(w http.ResponseWriter, r *http.Request) {
	var said struct {
		Run string
		N   *int
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 64<<10))
	if err != nil || json.Unmarshal(body, &said) != nil || said.N == nil {
		http.Error(w, "this takes the calls of the rules for bellhop bench", http.StatusBadRequest)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if said.Run != b.run || *said.N < 0 || *said.N >= len(b.events) {
		return // of an earlier run against the same server
	}
	key := r.Header.Get("Idempotency-Key")
	switch e := &b.events[*said.N]; {
	case e.arrived == 0:
		e.key, e.arrived = key, time.Since(b.begin)
		if b.report.Delivered++; e.acknowledged > 0 {
			b.report.Missing--
		}
		b.changed = time.Now()
	case e.key != key:
		b.report.Twice++
	default:
		b.report.Repeated++
	}
}

// wait returns when every acknowledged event is delivered, or nothing has arrived for the patience.
func (b *bench) wait(ctx context.Context) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	begin := time.Now()
	for {
		b.mu.Lock()
		last := b.changed
		if last.Before(begin) {
			last = begin
		}
		over := b.report.Missing == 0 || time.Since(last) > b.Patience
		b.mu.Unlock()
		if over {
			return
		}
		select {
		case now := <-tick.C:
			b.tell(now)
		case <-ctx.Done():
			return
		}
	}
}

// tell reports the progress, once a second.
func (b *bench) tell(now time.Time) {
	if b.Progress == nil || now.Sub(b.told) < time.Second {
		return
	}
	b.told = now
	b.mu.Lock()
	r := b.report
	b.mu.Unlock()
	b.Progress(r.Sent, r.Acknowledged, r.Delivered, time.Since(b.begin))
}

// sum completes the report.
func (b *bench) sum() *Report {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.report
	var acknowledged, delivered []time.Duration
	for i := range b.events {
		e := &b.events[i]
		if e.acknowledged > 0 {
			acknowledged = append(acknowledged, e.acknowledged-e.due)
		}
		if e.arrived > 0 {
			delivered = append(delivered, e.arrived-e.due)
		}
	}
	r.Acknowledge, r.Deliver = timesOf(acknowledged), timesOf(delivered)
	return &r
}
