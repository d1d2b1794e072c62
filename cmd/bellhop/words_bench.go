package main

import (
	"fmt"
	"time"

	"bellhop/cmd/bellhop/bench"
	"bellhop/engine/config"
)

func (p *program) printBenchWritten(f benchFlags, sink string) {
	defaults := config.Default()
	p.printf(`%s has a configuration and %s now. It calls %s, where bench must be reachable.

  %s run --config %s
  %s bench --url http://%s --sink %s --locations %d
`, f.write, count(max(f.locations, f.rules), "rule"), sink, p.name, quoted(f.write+"/"+config.FileName), p.name, defaults.Listen, sink, f.locations)
}

func (p *program) printBenchProgress(sent, acknowledged, delivered int, at time.Duration) {
	_, _ = fmt.Fprintf(p.stderr, "\r%4s: %d sent, %d acknowledged, %d delivered", at.Round(time.Second), sent, acknowledged, delivered)
}

func (p *program) printBench(f benchFlags, r *bench.Report) {
	if p.stderr.terminal {
		_, _ = fmt.Fprint(p.stderr, "\r\x1b[K")
	}
	rate := "as fast as they went"
	if f.rate > 0 {
		rate = fmt.Sprintf("%d a second", f.rate)
	}
	p.printf("%s in %.1f s, %s, from %s over %s.\n\n", count(r.Sent, "webhook"), r.Seconds, rate, count(f.locations, "location"), count(f.connections, "connection"))
	p.printf("%-13s %9s %10s %9s %9s %9s %9s %9s\n", "", "number", "a second", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "max ms")
	row := func(name string, n int, seconds float64, t bench.Times) {
		p.printf("%-13s %9d %10.0f %9.1f %9.1f %9.1f %9.1f %9.1f\n", name, n, float64(n)/seconds, t.P50, t.P90, t.P99, t.P999, t.Max)
	}
	row("acknowledged", r.Acknowledged, r.Seconds, r.Acknowledge)
	row("delivered", r.Delivered, r.Seconds, r.Deliver)
	if r.Bare != nil {
		row("bare server", r.Bare.Acknowledged, r.Bare.Seconds, r.Bare.Acknowledge)
		p.printf("\nIt acknowledged %.0f %% of what the bare server did, which only appends each webhook to a file on the same disk", 100*r.Bare.Ratio)
		if f.signed {
			p.printf(" and verifies no signature")
		}
		p.printf(".")
	}
	p.printf("\n")
	if r.Good() {
		p.printf("Every acknowledged event was delivered, under one key.\n")
	}
	for _, wrong := range []struct {
		n    int
		what string
	}{
		{r.Refused, "refused"}, {r.Failed, "without an answer"}, {r.Missing, "acknowledged and not delivered"}, {r.Twice, "delivered under a second key"},
	} {
		if wrong.n > 0 {
			p.printf("%s %s.\n", count(wrong.n, "webhook"), wrong.what)
		}
	}
	if r.Repeated > 0 {
		p.printf("%s arrived again, under the same key.\n", count(r.Repeated, "delivery"))
	}
	if r.FirstFailure != "" {
		p.printf("The first that went wrong: %s\n", r.FirstFailure)
	}
	if r.Acknowledged > 0 && r.Delivered == 0 {
		p.printf("Nothing arrived: the server needs the rules and the connection that `%s bench --write FOLDER` writes, and must reach --sink.\n", p.name)
	}
}
