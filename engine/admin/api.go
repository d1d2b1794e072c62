package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/google/jsonschema-go/jsonschema"
	"golang.org/x/sync/errgroup"

	"bellhop/engine/explain"
	"bellhop/engine/record"
	"bellhop/engine/store"
	"bellhop/engine/work"
	"bellhop/rules"
	"bellhop/rules/lang"
	"bellhop/rules/live"
)

// A route is one operation of the API. Both the handlers and openapi.json are made from the list of routes.
type route struct {
	method, path, summary string
	query                 []param
	answer                reflect.Type
	serve                 func(*server, *http.Request) (any, error)
	body                  reflect.Type // the type of the request's body, nil if there is none
}

type param struct{ name, doc string }

var paging = []param{{"before", "the `next` of the page before"}, {"limit", fmt.Sprintf("rows in a page, 1 to %d; %d if absent", record.MaxPage, record.PageSize)}}

func routes() []route {
	return []route{
		{"GET", "/rules", "The rules in force", nil, reflect.TypeFor[Rules](), (*server).rules, nil},
		{"GET", "/files", "The rule files, with their mistakes and the version in force", nil, reflect.TypeFor[Files](), (*server).files, nil},
		{
			"GET", "/events", "Events, newest first",
			append([]param{{"source", ""}, {"location", ""}, {"type", ""}, {"status", "accepted, stale or ignored"}, {"appointment", "its id"}}, paging...),
			reflect.TypeFor[Events](), (*server).events, nil,
		},
		{"GET", "/events/{id}", "One event, with its body and its deliveries", nil, reflect.TypeFor[Event](), (*server).event, nil},
		{"POST", "/events/{id}/replay", "Match an event against the current rules; what was enqueued for it before is not enqueued again, unless it was only recorded (shadow) or skipped", nil, reflect.TypeFor[Deliveries](), (*server).replay, nil},
		{
			"GET", "/deliveries", "Deliveries, newest first",
			append([]param{{"state", "one of " + stateWords()}, {"rule", "its name"}, {"event", "its id"}, {"appointment", "its id"}, {"location", "its id"}}, paging...),
			reflect.TypeFor[Deliveries](), (*server).deliveries, nil,
		},
		{"GET", "/deliveries/{id}", "One delivery, with its attempts and what is sent", nil, reflect.TypeFor[record.Delivery](), (*server).delivery, nil},
		{"POST", "/deliveries/{id}/retry", "Try a dead, cancelled, skipped or shadow delivery again", nil, reflect.TypeFor[record.Delivery](), (*server).retry, nil},
		{"POST", "/deliveries/{id}/cancel", "Cancel a delivery that is not being sent", nil, reflect.TypeFor[record.Delivery](), (*server).cancel, nil},
		{"POST", "/deliveries/{id}/release", "Send a delivery that the brake holds", nil, reflect.TypeFor[record.Delivery](), (*server).release, nil},
		{"POST", "/deliveries/release", "Send up to 500 of the deliveries that the brake holds", heldFilter, reflect.TypeFor[Changed](), (*server).releaseAll, nil},
		{"POST", "/deliveries/cancel", "Cancel up to 500 of the deliveries that the brake holds", heldFilter, reflect.TypeFor[Changed](), (*server).cancelAll, nil},
		{"GET", "/suppressed", "The addresses that are not written to, and those that are proposed because a destination refused them for good", paging, reflect.TypeFor[SuppressedList](), (*server).suppressed, nil},
		{"POST", "/suppressed", "Write to an address no more", nil, reflect.TypeFor[store.Suppressed](), (*server).suppress, reflect.TypeFor[Suppression]()},
		{"DELETE", "/suppressed/{id}", "Write to an address again; id is the address", []param{{"channel", "email if absent"}, {"location", "its id; the entry for all if absent"}}, reflect.TypeFor[store.Suppressed](), (*server).unsuppress, nil},
		{"GET", "/destinations", "Where deliveries went lately, and which destinations are paused, until when and why", nil, reflect.TypeFor[Destinations](), (*server).destinations, nil},
		{"GET", "/nodes", "The servers that share the database, and which rules each has in force; none if the store is a folder", nil, reflect.TypeFor[Nodes](), (*server).nodes, nil},
		{"POST", "/explain", "What each rule did about a recorded event, or would about another one, and why", nil, reflect.TypeFor[explain.Answer](), (*server).explain, reflect.TypeFor[Question]()},
		{"GET", "/openapi.json", "This description", nil, reflect.TypeFor[map[string]any](), (*server).openapi, nil},
	}
}

// Rules is a list of rules.
type Rules struct {
	Rules []Rule `json:"rules"`

	// GivenUp counts, by rule, the waiting deliveries whose step is no longer in force or whose rule is disabled.
	// They will not be sent.
	GivenUp map[string]int `json:"givenUp"`
}

// A Rule is a rule of the files in force. It can be disabled.
type Rule struct {
	Name        string   `json:"name"`
	File        string   `json:"file"`
	Description string   `json:"description"`
	On          []string `json:"on"`
	Enabled     bool     `json:"enabled"`
	Mode        string   `json:"mode"` // live or shadow
}

// Files is a list of rule files.
type Files struct {
	Files []live.FileStatus `json:"files"`
}

// Events is a page of events.
type Events struct {
	Events []record.Event `json:"events"`
	Next   string         `json:"next"` // the cursor of the next page, "" after the last
}

// An Event is an event with its deliveries.
type Event struct {
	record.Event
	Problems   []rules.Problem   `json:"problems"` // what of the body could not be read
	Deliveries []record.Delivery `json:"deliveries"`
}

// Deliveries is a page of deliveries.
type Deliveries struct {
	Deliveries []record.Delivery `json:"deliveries"`
	Next       string            `json:"next"` // the cursor of the next page, "" after the last
}

// Changed says how many deliveries were changed, and whether there are more.
type Changed struct {
	Changed int  `json:"changed"`
	More    bool `json:"more"`
}

// Destinations is a list of destinations.
type Destinations struct {
	Destinations []work.Destination `json:"destinations"`
}

// Nodes is a list of the processes that share the store.
type Nodes struct {
	Nodes []store.Node `json:"nodes"`
}

func (s *server) nodes(r *http.Request) (any, error) {
	list, err := s.Store.Nodes(r.Context())
	return Nodes{slices.Concat([]store.Node{}, list)}, err
}

func (s *server) rules(r *http.Request) (any, error) {
	plans, err := s.Store.Waiting(r.Context())
	if err != nil {
		return nil, err
	}
	list := Rules{Rules: []Rule{}, GivenUp: store.GivenUp(plans, s.Folder.Set())}
	for _, r := range s.Folder.Set().Rules() {
		mode := "live"
		if r.Shadow {
			mode = "shadow"
		}
		list.Rules = append(list.Rules, Rule{Name: r.Name, File: r.File, Description: r.Description, On: r.On, Enabled: r.Enabled, Mode: mode})
	}
	return list, nil
}

func (s *server) files(*http.Request) (any, error) { return Files{s.Folder.Files()}, nil }

// paged gets a page of rows, of the size that a request asks for, and the cursor of the next page.
func paged[Row any](r *http.Request, get func(q url.Values, limit int) ([]Row, error), id func(*Row) string) (list []Row, next string, err error) {
	q, size := r.URL.Query(), 0
	if text := q.Get("limit"); text != "" {
		if size, err = strconv.Atoi(text); err != nil || size < 1 || size > record.MaxPage {
			return nil, "", &badRequest{fmt.Sprintf("limit is a number from 1 to %d, not %q", record.MaxPage, text)}
		}
	}
	list, err = get(q, size)
	if n := len(list); n > 0 && n == cmp.Or(size, record.PageSize) {
		next = id(&list[n-1])
	}
	return list, next, err
}

func (s *server) events(r *http.Request) (any, error) {
	list, next, err := paged(r, func(q url.Values, limit int) ([]record.Event, error) {
		return s.Store.Events(r.Context(), store.EventFilter{
			Source: q.Get("source"), Location: q.Get("location"), Type: q.Get("type"), Status: q.Get("status"),
			Appointment: q.Get("appointment"), Before: q.Get("before"), Limit: limit,
		})
	}, func(e *record.Event) string { return e.ID })
	return Events{list, next}, err
}

func (s *server) event(r *http.Request) (any, error) {
	e, err := s.Store.Event(r.Context(), r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	list, err := s.Store.Deliveries(r.Context(), store.DeliveryFilter{Event: e.ID, Limit: record.MaxPage})
	slices.Reverse(list) // an event's own are read in the order of its rules
	problems := s.Receiver.Problems(&e)
	if problems == nil {
		problems = []rules.Problem{}
	}
	return Event{e, problems, s.explained(list)}, err
}

func (s *server) replay(r *http.Request) (any, error) {
	list, err := s.Receiver.Replay(r.Context(), r.PathValue("id"))
	if list == nil {
		list = []record.Delivery{}
	}
	return Deliveries{Deliveries: list}, err
}

func (s *server) deliveries(r *http.Request) (any, error) {
	list, next, err := paged(r, func(q url.Values, limit int) ([]record.Delivery, error) {
		f := store.DeliveryFilter{
			State: record.State(q.Get("state")), Rule: q.Get("rule"), Event: q.Get("event"), Appointment: q.Get("appointment"), Location: q.Get("location"),
			Before: q.Get("before"), Limit: limit,
		}
		if f.State != "" && !slices.Contains(record.States(), f.State) {
			return nil, &badRequest{fmt.Sprintf("%q is not a state of a delivery; the states are %s", f.State, stateWords())}
		}
		return s.Store.Deliveries(r.Context(), f)
	}, func(d *record.Delivery) string { return d.ID })
	return Deliveries{s.explained(list), next}, err
}

func stateWords() string {
	words := make([]string, len(record.States()))
	for i, st := range record.States() {
		words[i] = string(st)
	}
	return strings.Join(words, ", ")
}

func (s *server) destinations(*http.Request) (any, error) {
	return Destinations{s.Destinations()}, nil
}

// explained adds to the reasons of deliveries that their destination is paused.
func (s *server) explained(list []record.Delivery) []record.Delivery {
	paused := map[string]string{}
	for _, d := range s.Destinations() {
		if d.State == "paused" {
			paused[d.Name] = fmt.Sprintf("%s is paused until %s: %s", d.Name, d.Until.Format("15:04:05 MST"), d.Reason)
		}
	}
	for i := range list {
		d := &list[i]
		why := paused[d.Destination]
		if why == "" || d.State != record.Pending && d.State != record.Retrying {
			continue
		}
		if d.Reason != "" {
			d.Reason += "; "
		}
		d.Reason += why
	}
	return list
}

func (s *server) delivery(r *http.Request) (any, error) {
	d, err := s.Store.Delivery(r.Context(), r.PathValue("id"))
	return s.explained([]record.Delivery{d})[0], err
}

func (s *server) retry(r *http.Request) (any, error) {
	return s.Receiver.Retry(r.Context(), r.PathValue("id"))
}

func (s *server) cancel(r *http.Request) (any, error) {
	return s.Store.Cancel(r.Context(), r.PathValue("id"), cancelledByHand)
}

const cancelledByHand = "cancelled by an operator"

func (s *server) release(r *http.Request) (any, error) {
	return s.Store.Release(r.Context(), r.PathValue("id"))
}

// heldFilter selects deliveries that the brake holds; all without a parameter.
var heldFilter = []param{{"rule", "its name"}, {"location", "its id"}}

func (s *server) releaseAll(r *http.Request) (any, error) {
	return s.changeHeld(r, s.Store.Release)
}

func (s *server) cancelAll(r *http.Request) (any, error) {
	return s.changeHeld(r, func(ctx context.Context, id string) (record.Delivery, error) {
		return s.Store.Cancel(ctx, id, cancelledByHand)
	})
}

// changeHeld changes a page of the deliveries that the brake holds. Many at once share a transaction.
func (s *server) changeHeld(r *http.Request, change func(context.Context, string) (record.Delivery, error)) (any, error) {
	q := r.URL.Query()
	list, err := s.Store.Deliveries(r.Context(), store.DeliveryFilter{State: record.Held, Rule: q.Get("rule"), Location: q.Get("location"), Limit: record.MaxPage})
	if err != nil {
		return nil, err
	}
	var changed atomic.Int64
	group, ctx := errgroup.WithContext(r.Context())
	group.SetLimit(64)
	for i := range list {
		group.Go(func() error {
			_, err := change(ctx, list[i].ID)
			if _, gone := errors.AsType[*record.ConflictError](err); gone || errors.Is(err, store.ErrNotFound) {
				return nil // somebody else has changed it
			}
			if err == nil {
				changed.Add(1)
			}
			return err
		})
	}
	err = group.Wait()
	return Changed{int(changed.Load()), len(list) == record.MaxPage}, err
}

// schemaOptions returns how the API's types are described. [rules.Part] is described by hand because it contains
// parts, and a schema cannot be made from a recursive type.
func schemaOptions() *jsonschema.ForOptions {
	text := func() *jsonschema.Schema { return &jsonschema.Schema{Type: "string"} }
	yes := func() *jsonschema.Schema { return &jsonschema.Schema{Type: "boolean"} }
	part := &jsonschema.Schema{
		Type: "object", Description: "an expression, or a part of one, with its value", Required: []string{"source", "value"},
		Properties: map[string]*jsonschema.Schema{
			"name": text(), "source": text(), "value": text(), "missing": yes(), "error": text(), "cause": yes(),
			"parts": {Type: "array", Description: "what it is made of, each described as this is", Items: &jsonschema.Schema{Type: "object"}},
		},
	}
	return &jsonschema.ForOptions{IgnoreInvalidTypes: true, TypeSchemas: map[reflect.Type]*jsonschema.Schema{reflect.TypeFor[lang.Part](): part}}
}

// openapi describes the routes. The schemas are made from the types of the requests and answers.
func (s *server) openapi(*http.Request) (any, error) {
	type object = map[string]any
	failure := object{"description": "Refused; the body says why", "content": object{"application/json": object{
		"schema": object{"type": "object", "properties": object{"error": object{"type": "string"}}},
	}}}
	paths := object{}
	for _, r := range routes() {
		schema, err := jsonschema.ForType(r.answer, schemaOptions())
		if err != nil {
			return nil, fmt.Errorf("schema of %s: %w", r.path, err)
		}
		params := []object{}
		if strings.Contains(r.path, "{id}") {
			params = append(params, object{"name": "id", "in": "path", "required": true, "schema": object{"type": "string"}})
		}
		for _, p := range r.query {
			params = append(params, object{"name": p.name, "in": "query", "description": p.doc, "schema": object{"type": "string"}})
		}
		operation := object{
			"summary": r.summary, "parameters": params,
			"responses": object{
				"200":     object{"description": "Done", "content": object{"application/json": object{"schema": schema}}},
				"default": failure,
			},
		}
		if r.body != nil {
			body, err := jsonschema.ForType(r.body, schemaOptions())
			if err != nil {
				return nil, fmt.Errorf("schema of what %s asks: %w", r.path, err)
			}
			operation["requestBody"] = object{"required": true, "content": object{"application/json": object{"schema": body}}}
		}
		path := "/api/v1" + r.path
		item, ok := paths[path].(object)
		if !ok {
			item = object{}
			paths[path] = item
		}
		item[strings.ToLower(r.method)] = operation
	}
	return object{
		"openapi": "3.1.0",
		"info":    object{"title": "Bellhop", "version": s.Version},
		"paths":   paths,
	}, nil
}
