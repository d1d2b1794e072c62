package admin

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"bellhop/engine/config"
	"bellhop/engine/explain"
)

// A Question asks what the rules do with an event and why. The event is a recorded one or is in the question.
type Question struct {
	Event string `json:"event,omitempty"` // the id of a recorded event
	Rule  string `json:"rule,omitempty"`  // explain only this rule; all rules if absent

	Payload json.RawMessage `json:"payload,omitempty"` // the body of a webhook
	Source  string          `json:"source,omitempty"`  // the source that sends it; hoopai if absent
	State   json.RawMessage `json:"state,omitempty"`   // the appointment before it, or some of its fields
	Now     time.Time       `json:"now,omitzero"`      // when it is received; the current time if absent
}

func (s *server) explain(r *http.Request) (any, error) {
	var q Question
	err := readJSON(r, &q, `the question is a JSON object with "event", or with "payload" and perhaps "source", "state" and "now"; "rule" narrows it`)
	if err != nil {
		return nil, err
	}
	o := explain.Options{Rules: s.Folder.Snapshot(), Compile: s.Compile, Zone: s.Compile.Zone, Rule: q.Rule, Asks: s.Receiver.Asks}
	var answer explain.Answer
	switch isNull := func(m json.RawMessage) bool { return len(m) == 0 || string(m) == "null" }; {
	case q.Event != "" && !isNull(q.Payload), q.Event == "" && isNull(q.Payload):
		return nil, &badRequest{`one of "event" and "payload" is needed`}
	case q.Event != "":
		answer, err = explain.Event(r.Context(), s.Store, q.Event, o)
	default:
		p := explain.Payload{Source: q.Source, Body: q.Payload, At: q.Now}
		if !isNull(q.State) {
			p.State = q.State
		}
		if p.Source == "" {
			p.Source = config.DefaultSource
		}
		if p.At.IsZero() {
			p.At = time.Now()
		}
		answer, err = explain.Imagine(p, o)
	}
	var mistake *explain.MistakeError
	if errors.As(err, &mistake) {
		return nil, &badRequest{mistake.Error()}
	}
	return answer, err
}
