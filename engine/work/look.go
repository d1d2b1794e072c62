package work

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"bellhop/actions"
	"bellhop/engine/people"
	"bellhop/engine/record"
	"bellhop/rules"
	"bellhop/rules/lang"
)

// People looks up people and places of a location by their ids. An error is [people.ErrNotFound], a [*people.Wait], or one
// that [actions.Classify] understands. It is called from several goroutines at once.
type People interface {
	Contact(ctx context.Context, location, id string) (rules.Contact, error)
	User(ctx context.Context, location, id string) (rules.User, error)
	Calendar(ctx context.Context, location, id string) (rules.Calendar, error)
	Location(ctx context.Context, id string) (rules.Location, error)
}

// tooMany is how long a delivery is postponed while there are too many look-ups under way.
const tooMany = 500 * time.Millisecond

// look looks up what the delivery needs to know, and has it decided again with the answer, until it needs no more. A
// look-up that fails is an attempt that failed. While too many are under way, the delivery is postponed, so that an API that
// hangs delays only those that need it.
func (t *turn) look() next {
	for t.d.Wants != nil {
		select {
		case t.looking <- struct{}{}:
		default:
			t.postpone = tooMany
			t.putOff()
			return goOn
		}
		start := time.Now()
		err := t.answer(t.ctx, &t.d)
		<-t.looking
		if wait, ok := errors.AsType[*people.Wait](err); ok {
			t.postpone = max(wait.For, time.Millisecond)
			t.putOff()
			return goOn
		}
		switch {
		case errors.Is(err, people.ErrNotFound):
			t.d.State, t.d.Reason = record.Skipped, "unresolved "+t.d.Wants.Object+": "+t.o.Redactor.Redact(err.Error())
			return goOn
		case err != nil:
			err = fmt.Errorf("look up the %s %s: %w", t.d.Wants.Object, t.d.Wants.ID, err)
			_ = t.result(t.ctx, &t.d, start, actions.Receipt{}, err)
			t.d.Attempts[len(t.d.Attempts)-1].Outcome = record.LookedUp
			if t.d.State == record.Retrying {
				t.postpone = max(time.Until(t.d.Due), time.Millisecond)
			}
			return goOn
		}
		if t.claimed(t.job.Resume(t.ctx, &t.d, t.o.Due)) == over {
			return over
		}
	}
	return goOn
}

// answer looks up what a delivery wants, and adds it to its people.
func (w *Worker) answer(ctx context.Context, d *record.Delivery) error {
	if w.o.People == nil {
		return actions.Own(errors.New("`people` is not configured"))
	}
	var known rules.Directory
	if d.People != nil {
		if err := json.Unmarshal(d.People, &known); err != nil {
			return actions.Own(fmt.Errorf("what was looked up before: %w", err))
		}
	}
	if err := add(ctx, w.o.People, d.Location, *d.Wants, &known); err != nil {
		return err
	}
	var err error
	d.People, err = json.Marshal(known)
	return err
}

// add looks up one person or place and adds it to those that are known.
func add(ctx context.Context, p People, location string, want lang.Unknown, known *rules.Directory) (err error) {
	id := want.ID
	switch want.Object {
	case "contact":
		var c rules.Contact
		if c, err = p.Contact(ctx, location, id); err == nil {
			known.Contacts = with(known.Contacts, id, c)
		}
	case "user":
		var u rules.User
		if u, err = p.User(ctx, location, id); err == nil {
			known.Users = with(known.Users, id, u)
		}
	case "calendar":
		var c rules.Calendar
		if c, err = p.Calendar(ctx, location, id); err == nil {
			known.Calendars = with(known.Calendars, id, c)
		}
	case "location":
		var l rules.Location
		if l, err = p.Location(ctx, id); err == nil {
			known.Locations = with(known.Locations, id, l)
		}
	default:
		err = actions.Own(fmt.Errorf("nobody can look up a %s", want.Object))
	}
	return err
}

func with[T any](m map[string]T, id string, v T) map[string]T {
	if m == nil {
		m = map[string]T{}
	}
	m[id] = v
	return m
}
