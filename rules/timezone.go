package rules

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"bellhop/rules/lang"
	"bellhop/rules/text"
)

// ZoneWords returns the words that `timezone` accepts besides names of zones.
func ZoneWords() []lang.Word {
	return []lang.Word{
		{Name: "contact", Doc: "The zone of the person who booked, where the event says it; else as location."},
		{Name: "location", Doc: "The zone of the location, where the event says it; else the configured one."},
		{Name: "user", Doc: "The zone of the colleague who is assigned, where the event says it; else as location."},
	}
}

// zoneExpression recognises contact.timezone and the like, with or without {{ }}.
var zoneExpression = regexp.MustCompile(`^(?:\{\{ *)?([A-Za-z]+)(?:\.[\w.]+)?(?: *\}\})?$`)

// zoneOwners are words that people use for whose zone is meant.
var zoneOwners = map[string]string{
	"contact": "contact", "guest": "contact", "customer": "contact", "client": "contact", "patient": "contact", "person": "contact", "attendee": "contact", "booker": "contact",
	"appointment": "contact", "user": "user", "staff": "user", "assignee": "user", "colleague": "user", "agent": "user", "owner": "user",
	"location": "location", "account": "location", "business": "location", "company": "location", "office": "location", "calendar": "location",
}

// ownerOf says whose zone was meant by an expression or by a word for a person; "" if it is neither.
func ownerOf(written string) string {
	m := zoneExpression.FindStringSubmatch(strings.TrimSpace(written))
	if m == nil {
		return ""
	}
	return zoneOwners[strings.ToLower(m[1])]
}

// parseZone reads a rule's `timezone`: a zone, or whose zone it is.
func parseZone(r *text.Document, n *yaml.Node) (zone *time.Location, whose string) {
	expression := func(at text.Span, owner string) {
		r.Errorf("time-zone", at, owner, "timezone takes no expression; write %s", cmp.Or(owner, "contact, user or location, or a name such as Europe/London"))
	}
	if text.LooksLikeTemplate(n) {
		at := r.At(n)
		owner := ownerOf(r.In(at))
		expression(at, owner)
		return nil, ""
	}
	t, ok := r.Scalar(n, text.Quote("timezone"))
	if !ok {
		return nil, ""
	}
	at, owner := t.Span(0, len(t.Value)), ownerOf(t.Value)
	switch {
	case t.Value == owner && owner != "":
		return nil, owner
	case strings.Contains(t.Value, "{{") || owner != "" && strings.Contains(t.Value, "."):
		at, suggestion := t.Mend(at, owner)
		expression(at, suggestion)
		return nil, ""
	case owner != "":
		r.Mendf(text.Error, "time-zone", t, at, owner, "%s is not a time zone%s", text.Quote(t.Value), text.DidYouMean(owner))
		return nil, ""
	}
	zone, ok = lang.LoadZone(t.Value)
	if !ok {
		suggestion := lang.ClosestZone(t.Value)
		hint := text.DidYouMean(suggestion)
		if suggestion == "" {
			hint = "; write it as Area/City, such as Europe/London"
		}
		r.Mendf(text.Error, "time-zone", t, at, suggestion, "%s is not a time zone%s", text.Quote(t.Value), hint)
		return nil, ""
	}
	if place, why := lang.NoSummer(t.Value); why != "" {
		r.Mendf(text.Warning, "time-zone", t, at, place, "%s", why)
	}
	return zone, ""
}

// zones returns the zone in which a rule sees the times of an event, and the zone of texts without an offset. unknown is
// what has to be looked up before they are known; nil if they are.
func (b *body) zones(ev *Event) (zone, naive *time.Location, unknown *lang.Unknown) {
	naive = b.naive
	if naive == nil {
		naive = time.UTC
	}
	if b.whose == "" {
		return b.zone, naive, nil
	}
	for _, owner := range slices.Compact([]string{b.whose, "location"}) {
		field := owner + ".timezone"
		name, _ := valueOf(field)(ev).(string)
		if unknown == nil && ev.seeks(field, name) {
			id, _ := valueOf(owner + ".id")(ev).(string)
			unknown = &lang.Unknown{Object: owner, ID: id}
		}
		if z, ok := lang.FindZone(name); ok {
			return z, z, unknown
		}
	}
	return naive, naive, unknown
}

// view returns how the rule sees the times of an event.
func (b *body) view(ev *Event) (v lang.View) {
	v.Zone, v.Naive, v.Await = b.zones(ev)
	v.Language = b.languageFor(ev)
	if b.window.hours != nil {
		v.Closed = b.window.hours.closed
	}
	return v
}

// zoneName identifies the zone of a rule; "" means each time's own offset.
func (b *body) zoneName() string {
	if b.zone != nil {
		return b.zone.String()
	}
	return b.whose
}

// fixedNaive returns the zone of texts without an offset, nil if it depends on the event.
func (b *body) fixedNaive() *time.Location {
	if b.whose != "" {
		return nil
	}
	_, naive, _ := b.zones(nil)
	return naive
}
