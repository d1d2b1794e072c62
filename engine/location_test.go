package engine_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"bellhop/engine/record"
	"bellhop/rules/live"
)

// Each location's booking goes through the location's own connection, if it has one, and no secret of it is seen anywhere.
// Another location is neither delayed by it nor can name it (P9).
func TestLocationsApart(t *testing.T) {
	t.Parallel()
	env := map[string]string{"SHARED": "5hared-crm-secret", "NORTH": "n0rth-crm-secret", "SOUTH": "s0uth-crm-secret", "NEW": "n3w-north-secret"}
	hang := make(chan struct{})
	release := sync.OnceFunc(func() { close(hang) })
	defer release()
	crm := func(hangs bool) *sink {
		s := newSink(t, nil)
		s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			s.mu.Lock()
			s.got = append(s.got, r.Header.Get("Authorization")+" "+r.URL.Path+" "+string(body))
			s.mu.Unlock()
			if hangs {
				<-hang
			}
			_, _ = fmt.Fprintf(w, "you sent %v", r.Header)
		})
		return s
	}
	shared, north, south, later := crm(false), crm(true), crm(false), crm(false)
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "locations"), 0o755); err != nil {
		t.Fatal(err)
	}
	location := func(name, text string) { writeFile(t, filepath.Join(dir, "locations", name), text) }
	location("north.yaml", fmt.Sprintf("id: l1\nname: Clinic North\nconnections:\n  crm: { url: %[1]q, bearer: \"${NORTH}\" }\n  own: { url: %[1]q, bearer: \"${NORTH}\" }\n", north.URL))
	location("south.yaml", fmt.Sprintf("id: l2\nconnections: { crm: { url: %q, bearer: \"${SOUTH}\" } }\n", south.URL))
	s := start(t, setup{
		dir: dir, env: env,
		rules: map[string]string{
			"all.yaml": `rules: [{ name: all, on: booked, then: [{ http: { connection: crm, path: "/all", json: { at: "{{ location.name ?? 'nowhere' }}" } } }] }]`,
			"north.yaml": `for: { locations: [north] }
rules: [{ name: north-only, on: booked, then: [{ http: { connection: own, path: /own } }] }]`,
			"thief.yaml": `for: { locations: [south] }
rules: [{ name: thief, on: booked, then: [{ http: { connection: own, path: /stolen } }] }]`,
		},
		yaml: sourceNone + fmt.Sprintf("egress: { allow: [127.0.0.1] }\nconnections: { crm: { url: %q, bearer: \"${SHARED}\" } }\n", shared.URL),
	})
	book := func(id, location string) {
		s.accept(fmt.Sprintf(`{"type":"AppointmentCreate","locationId":%q,"appointment":{"id":%q,"startTime":"2099-01-02T10:00:00Z"}}`, location, id))
	}
	for i := range 40 { // the north's own system hangs, and delays nobody else
		book(fmt.Sprint("n", i), "l1")
	}
	book("s1", "l2")
	book("x1", "l3")
	is := func(appointment, rule string) record.State {
		for _, d := range s.deliveries("appointment=" + appointment) {
			if d.Rule == rule {
				return d.State
			}
		}
		return ""
	}
	until(t, "the others are sent", func() bool { return is("s1", "all") == record.Sent && is("x1", "all") == record.Sent })
	until(t, "the north is tried", func() bool { return north.count() >= 2 })
	all := func(s *sink) string {
		s.mu.Lock()
		defer s.mu.Unlock()
		return strings.Join(s.got, "\n")
	}
	if got, want := all(south), `Bearer `+env["SOUTH"]+` /all {"at":"nowhere"}`; got != want {
		t.Errorf("the south got %s", got)
	}
	if got, want := all(shared), `Bearer `+env["SHARED"]+` /all {"at":"nowhere"}`; got != want {
		t.Errorf("the shared system got %s", got)
	}
	if got := all(north); !strings.Contains(got, `Bearer `+env["NORTH"]+` /all {"at":"Clinic North"}`) || !strings.Contains(got, " /own ") {
		t.Errorf("the north got %s", got)
	}

	// The file that names another location's connection is refused, with its place.
	files := func() map[string]live.FileStatus {
		var list struct{ Files []live.FileStatus }
		s.get("/api/v1/files", &list)
		found := map[string]live.FileStatus{}
		for _, f := range list.Files {
			found[f.Path] = f
		}
		return found
	}
	if f := files()["thief.yaml"]; f.Status != live.Failed || len(f.Findings) != 1 || f.Findings[0].Line != 2 ||
		!strings.Contains(f.Findings[0].Message, `there is no connection "own" in the configuration, and the location south has none`) {
		t.Errorf("the thief is %+v", f)
	}

	// A change is in force without a restart; a mistake leaves what was good.
	release()
	location("north.yaml", fmt.Sprintf("id: l1\nname: Clinic North\nconnections:\n  crm: { url: %[1]q, bearer: \"${NEW}\" }\n  own: { url: %[1]q }\n", later.URL))
	tries := 0
	until(t, "the new file is in force", func() bool {
		tries++
		book(fmt.Sprint("m", tries), "l1")
		return later.count() > 0
	})
	location("north.yaml", "id: l1\nconnections: { crm: { smtp: \"smtp://127.0.0.1:1?tls=none\", from: a@example.com } }\n")
	until(t, "the mistake is told", func() bool { return files()["../locations/north.yaml"].Status == live.Failed })
	location("north.yaml", fmt.Sprintf("id: l1\nconnections: { crm: { url: %q } }\n", later.URL))
	until(t, "the rules' connection is missed", func() bool {
		f := files()["../locations/north.yaml"]
		return len(f.Findings) == 1 && strings.Contains(f.Findings[0].Message, `north.yaml name the connection "own" for http, which this location no longer has`)
	})
	before := later.count()
	book("late", "l1")
	until(t, "what was good is still in force", func() bool { return later.count() == before+2 })

	everything := s.log.String()
	for _, path := range []string{"/api/v1/deliveries?limit=500", "/api/v1/files", "/api/v1/rules", "/api/v1/destinations", "/"} {
		_, body := s.call(http.MethodGet, path, nil)
		everything += body
	}
	for _, d := range s.deliveries("") {
		_, body := s.call(http.MethodGet, "/api/v1/deliveries/"+d.ID, nil)
		resp, err := http.Post(s.e.AdminURL()+"/api/v1/explain", "application/json", strings.NewReader(fmt.Sprintf(`{"event":%q}`, d.Event)))
		if err != nil {
			t.Fatal(err)
		}
		more, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		everything += body + string(more)
	}
	for name, secret := range env {
		if strings.Contains(everything, secret) {
			t.Errorf("the secret %s is seen", name)
		}
	}
	if !strings.Contains(everything, "crm of north") {
		t.Error("the location's own connection is no destination of its own")
	}
}
