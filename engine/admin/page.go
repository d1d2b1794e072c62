package admin

import (
	"context"
	_ "embed"
	"html/template"
	"net/http"

	"bellhop/engine/record"
	"bellhop/engine/store"
	"bellhop/engine/work"
	"bellhop/rules/live"
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// page serves the status page: rule files, paused destinations, the latest events and the latest deliveries.
func (s *server) page(w http.ResponseWriter, r *http.Request) {
	var data struct {
		Version    string
		Files      []live.FileStatus
		Counts     []count
		Rules      string // the id of the rule set in force here
		Nodes      []store.Node
		Paused     []work.Destination
		Deliveries []record.Delivery
		Events     []Event
	}
	data.Version, data.Files = s.Version, s.Folder.Files()
	counts, err := s.Store.CountDeliveries(r.Context())
	if err == nil {
		data.Deliveries, err = s.Store.Deliveries(r.Context(), store.DeliveryFilter{Limit: 30})
	}
	data.Rules = s.Folder.Snapshot().ID
	if err == nil {
		data.Nodes, err = s.Store.Nodes(r.Context())
	}
	data.Deliveries = s.explained(data.Deliveries)
	for _, d := range s.Destinations() {
		if d.State != "ok" {
			data.Paused = append(data.Paused, d)
		}
	}
	if err == nil {
		data.Events, err = s.latest(r.Context())
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	for _, st := range record.States() {
		if n := counts[st]; n > 0 {
			data.Counts = append(data.Counts, count{st, n})
		}
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if err := pageTemplate.Execute(w, data); err != nil {
		s.Logger.Debug("the page was not read to its end", "error", err)
	}
}

// latest returns the latest events, each with the parts of its body that could not be read.
func (s *server) latest(ctx context.Context) ([]Event, error) {
	list, err := s.Store.Events(ctx, store.EventFilter{Limit: 20})
	out := make([]Event, len(list))
	for i := range list {
		out[i].Event = list[i]
		whole, err := s.Store.Event(ctx, list[i].ID)
		if err != nil {
			continue // it was deleted just now
		}
		out[i].Problems = s.Receiver.Problems(&whole)
	}
	return out, err
}

type count struct {
	State record.State
	N     int
}
