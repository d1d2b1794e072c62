package engine_test

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"bellhop/engine/record"
	"bellhop/rules"
)

// A delivery in shadow mode counts as not sent: when its rule is live, a retry or a replay sends it.
func TestWatchedIsSentAfterwards(t *testing.T) {
	t.Parallel()
	sk := newSink(t, nil)
	shadow := strings.Replace(callCRM, "    on:", "    mode: shadow\n    on:", 1)
	s := start(t, setup{rules: map[string]string{"r.yaml": shadow}, yaml: crm(sk.URL)})
	first, second := s.post(booking(1)), s.post(booking(2))
	ask := func(path string) (int, string) {
		resp, err := http.Post(s.e.AdminURL()+path, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var said struct{ Error string }
		_ = json.NewDecoder(resp.Body).Decode(&said)
		return resp.StatusCode, said.Error
	}
	of := func(event string) record.Delivery {
		list := s.deliveries("event=" + event)
		if len(list) != 1 {
			t.Fatalf("%d deliveries", len(list))
		}
		return list[0]
	}
	watched := of(first.Event)
	if watched.State != record.Shadow {
		t.Fatalf("it is %s", watched.State)
	}
	if code, why := ask("/api/v1/deliveries/" + watched.ID + "/retry"); code != http.StatusConflict || !strings.Contains(why, "shadow mode") {
		t.Errorf("while the rule only watches: %d %s", code, why)
	}
	writeFile(t, s.cfg.Rules+"/r.yaml", callCRM)
	until(t, "the rule is live", func() bool {
		var list struct{ Rules []struct{ Mode string } }
		s.get("/api/v1/rules", &list)
		return len(list.Rules) == 1 && list.Rules[0].Mode == "live"
	})
	if code, why := ask("/api/v1/deliveries/" + watched.ID + "/retry"); code != http.StatusOK {
		t.Errorf("retry: %d %s", code, why)
	}
	if code, why := ask("/api/v1/events/" + second.Event + "/replay"); code != http.StatusOK {
		t.Errorf("replay: %d %s", code, why)
	}
	until(t, "both are sent", func() bool { return sk.count() == 2 })
	until(t, "both are recorded", func() bool { return of(first.Event).State == record.Sent && of(second.Event).State == record.Sent })
	// Nothing is sent twice.
	for _, path := range []string{"/api/v1/events/" + first.Event + "/replay", "/api/v1/events/" + second.Event + "/replay"} {
		ask(path)
	}
	if code, _ := ask("/api/v1/deliveries/" + watched.ID + "/retry"); code != http.StatusConflict {
		t.Errorf("a retry of what was sent: %d", code)
	}
	if of(first.Event).ID != watched.ID || sk.count() != 2 {
		t.Errorf("%d calls", sk.count())
	}
}

// If a rule is renamed, the log and the API say how many waiting deliveries this drops.
func TestRenamingSaysWhatItDrops(t *testing.T) {
	t.Parallel()
	text := strings.Replace(callCRM, "      - http:", "      - at: appointment.startTime + duration(\"10000h\")\n        http:", 1)
	s := start(t, setup{rules: map[string]string{"r.yaml": text}, yaml: crm("http://127.0.0.1:1")})
	s.post(booking(1))
	s.post(booking(2))
	var list struct{ GivenUp map[string]int }
	if s.get("/api/v1/rules", &list); len(list.GivenUp) != 0 {
		t.Errorf("given up before: %v", list.GivenUp)
	}
	writeFile(t, s.cfg.Rules+"/r.yaml", strings.Replace(text, "name: crm", "name: renamed", 1))
	until(t, "the log says so", func() bool { return strings.Contains(s.log.String(), "waiting steps are dropped") })
	if s.get("/api/v1/rules", &list); list.GivenUp["crm"] != 2 {
		t.Errorf("given up: %v", list.GivenUp)
	}
	if !strings.Contains(s.log.String(), "count=2") {
		t.Error("the log does not say how many")
	}
	// Another change does not say it again.
	writeFile(t, s.cfg.Rules+"/other.yaml", strings.Replace(text, "name: crm", "name: other", 1))
	until(t, "the other file is loaded", func() bool {
		return slices.ContainsFunc(s.e.Rules(), func(r *rules.Rule) bool { return r.Name == "other" })
	})
	writeFile(t, s.cfg.Rules+"/other.yaml", strings.Replace(text, "name: crm", "name: third", 1))
	until(t, "the third rule is loaded", func() bool {
		return slices.ContainsFunc(s.e.Rules(), func(r *rules.Rule) bool { return r.Name == "third" })
	})
	if n := strings.Count(s.log.String(), "waiting steps are dropped"); n != 1 {
		t.Errorf("the log says it %d times", n)
	}
}

// The metrics have the number of waiting, pending, retrying and dead deliveries, and the age of the oldest of each.
func TestBacklogMetrics(t *testing.T) {
	t.Parallel()
	text := strings.Replace(callCRM, "      - http:", "      - at: appointment.startTime + duration(\"10000h\")\n        http:", 1)
	s := start(t, setup{rules: map[string]string{"r.yaml": text}, yaml: crm("http://127.0.0.1:1")})
	s.post(booking(1))
	s.post(booking(2))
	resp, err := http.Get(s.e.AdminURL() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`bellhop_deliveries{state="waiting"} 2`, `bellhop_deliveries{state="dead"} 0`, `bellhop_deliveries_oldest_seconds{state="waiting"} `} {
		if !strings.Contains(string(body), want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
}
