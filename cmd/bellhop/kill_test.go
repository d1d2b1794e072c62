package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"bellhop/engine/record"
	"bellhop/engine/store/storetest"
)

const killRules = `rules:
  - name: crm
    on: booked
    then:
      - http: { connection: sink, path: /one, json: { id: "{{ appointment.id }}" } }
      - http: { connection: sink, path: /two, json: { title: "{{ appointment.title }}" } }
      - at: receivedAt + duration("600ms")
        http: { connection: sink, path: /three, json: { now: "{{ now() }}" } }
`

// kills is how often the process is killed in each test.
var kills = flag.Int("kills", 12, "how often the tests of kills kill the program")

// TestKill checks the promises that an acknowledged event is durable (P1) and is enqueued once (P2). It starts
// the real program, posts over several connections, kills it at a random moment, and starts it again. A sender
// whose webhook was not acknowledged sends it again, as real ones do. In the end every acknowledged event
// must have its three deliveries, one of which waits for a moment, all sent, and none enqueued twice.
func TestKill(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts and kills the program many times")
	}
	var mu sync.Mutex
	calls := map[string]int{} // idempotency keys
	bodies := map[string]string{}
	sink := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the process was killed while it wrote
		}
		mu.Lock()
		defer mu.Unlock()
		key := r.Header.Get("Idempotency-Key")
		if first, again := bodies[key]; again && first != string(body) {
			t.Errorf("delivery %s was sent as %s and as %s", key, first, body)
		}
		calls[key]++
		bodies[key] = string(body)
	}))
	defer sink.Close()
	p := newRealProgram(t, killRules, fmt.Sprintf("sources: { hoopai: { verify: none } }\nconnections: { sink: { url: %q } }\negress: { allow: [127.0.0.1] }\n", sink.URL))

	acknowledged := map[string]string{} // appointment to event
	next := 0
	unsure := []string{} // posted and not acknowledged, so they are sent again
	take := func() string {
		mu.Lock()
		defer mu.Unlock()
		if n := len(unsure); n > 0 {
			id := unsure[n-1]
			unsure = unsure[:n-1]
			return id
		}
		next++
		return fmt.Sprintf("appt%06d", next)
	}
	random := rand.New(rand.NewPCG(1, uint64(time.Now().UnixNano())))
	resent, duplicates := 0, 0
	for range *kills {
		cmd := p.begin(t)
		ctx, stop := context.WithCancel(t.Context())
		var senders sync.WaitGroup
		for range 8 {
			client := &http.Client{Transport: &http.Transport{}}
			senders.Go(func() {
				defer client.CloseIdleConnections()
				for ctx.Err() == nil {
					id := take()
					event, status, err := postBooking(ctx, client, p.listen, id)
					mu.Lock()
					if err != nil {
						unsure = append(unsure, id)
						resent++
					} else {
						if status == "duplicate" {
							duplicates++
						}
						acknowledged[id] = event
					}
					mu.Unlock()
					if err != nil {
						return
					}
				}
			})
		}
		timer := time.NewTimer(time.Duration(20+random.IntN(400)) * time.Millisecond)
		<-timer.C
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		stop()
		senders.Wait()
		_ = cmd.Wait() // killed
	}

	last := p.begin(t)
	defer func() {
		_ = last.Process.Kill()
		_ = last.Wait()
	}()
	p.settled(t)

	steps := map[string]map[int]int{} // event to its steps
	repeated := 0
	mu.Lock()
	defer mu.Unlock()
	for _, d := range p.deliveries(t, "") {
		if steps[d.Event] == nil {
			steps[d.Event] = map[int]int{}
		}
		steps[d.Event][d.Step]++
		if d.State != record.Sent {
			t.Errorf("delivery %s of event %s is %s: %s", d.ID, d.Event, d.State, d.Reason)
		}
		switch n := calls[d.ID]; {
		case n == 0:
			t.Errorf("delivery %s is recorded as sent, and the sink never had it", d.ID)
		case n > 1:
			repeated += n - 1
		}
		delete(calls, d.ID)
	}
	for key := range maps.Keys(calls) {
		t.Errorf("the sink had a call %q that no delivery stands for", key)
	}
	for id, event := range acknowledged {
		if len(steps[event]) != 3 {
			t.Errorf("event %s of %s was acknowledged and has the steps %v", event, id, steps[event])
		}
	}
	for event, n := range steps {
		if n[1] != 1 || n[2] != 1 || n[3] != 1 {
			t.Errorf("event %s was enqueued as %v", event, n)
		}
	}
	if len(steps) > next || len(acknowledged) == 0 {
		t.Errorf("%d events for %d appointments", len(steps), next)
	}
	t.Logf("killed %d times: %d events acknowledged and all there, %d posts cut off and sent again (%d of them had been stored), "+
		"%d deliveries all sent and none enqueued twice, %d calls repeated with the same key",
		*kills, len(acknowledged), resent, duplicates, 3*len(steps), repeated)
}

// A realProgram is the compiled program, in a folder of its own.
type realProgram struct {
	dir, path     string
	listen, admin string
}

func newRealProgram(t *testing.T, rules, config string) *realProgram {
	t.Helper()
	p := &realProgram{dir: t.TempDir(), listen: freeAddress(t), admin: freeAddress(t)}
	p.path = filepath.Join(p.dir, "bellhop.exe")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", p.path, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	config = fmt.Sprintf("listen: %s\nadmin: %s\n", p.listen, p.admin) + config
	if storetest.Postgres() && !strings.Contains(config, "\nstore:") {
		config += fmt.Sprintf("store: %q\n", storetest.NewServer(t).Database(t))
	}
	for name, text := range map[string]string{"bellhop.yaml": config, "rules/a.yaml": rules} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(p.dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// begin starts the program and returns once it accepts events.
func (p *realProgram) begin(t *testing.T) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), p.path, "run", "--log-format", "json")
	cmd.Dir = p.dir
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stderr)
	var said strings.Builder
	for lines.Scan() {
		fmt.Fprintln(&said, lines.Text())
		if strings.Contains(lines.Text(), `"msg":"started"`) {
			go func() { _, _ = io.Copy(io.Discard, stderr) }() // ends with the process
			return cmd
		}
	}
	t.Fatalf("the program did not start:\n%s", said.String())
	return nil
}

// deliveries are all that a query finds.
func (p *realProgram) deliveries(t *testing.T, query string) (all []record.Delivery) {
	t.Helper()
	for before := ""; ; {
		var page struct {
			Deliveries []record.Delivery
			Next       string
		}
		getJSON(t, "http://"+p.admin+"/api/v1/deliveries?limit=500&before="+before+query, &page)
		all = append(all, page.Deliveries...)
		if before = page.Next; before == "" {
			return all
		}
	}
}

// settled waits until no delivery is open.
func (p *realProgram) settled(t *testing.T) {
	t.Helper()
	open := func() (n int) {
		for _, state := range []record.State{record.Waiting, record.Pending, record.Sending, record.Retrying} {
			n += len(p.deliveries(t, "&state="+string(state)))
		}
		return n
	}
	deadline := time.After(2 * time.Minute)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for open() > 0 {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("two minutes after the last start, %d deliveries are still open", open())
		}
	}
}

func postBooking(ctx context.Context, client *http.Client, addr, id string) (event, status string, err error) {
	body := fmt.Sprintf(`{"type":"AppointmentCreate","locationId":"0007BWpSzSwfiuSl0tR2","appointment":{"id":%q,"title":"First consultation","appointmentStatus":"new"}}`, id)
	return postEvent(ctx, client, "http://"+addr+"/hooks/hoopai", body)
}

// postEvent sends a webhook and returns the event and the status with which it was acknowledged.
func postEvent(ctx context.Context, client *http.Client, url, body string) (event, status string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return "", "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", "", err
	}
	defer resp.Body.Close()
	var answer struct{ Event, Status string }
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return "", "", err
	}
	if resp.StatusCode != http.StatusAccepted {
		return "", "", fmt.Errorf("answered %s", resp.Status)
	}
	return answer.Event, answer.Status, nil
}

func getJSON(t *testing.T, url string, v any) {
	t.Helper()
	if err := tryJSON(t.Context(), url, v); err != nil {
		t.Fatal(err)
	}
}

func tryJSON(ctx context.Context, url string, v any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(v); err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s %w", url, resp.Status, err)
	}
	return nil
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
