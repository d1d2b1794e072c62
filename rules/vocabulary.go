package rules

import (
	"bellhop/rules/lang"
)

// This file describes what rule files may contain, for the schema and for editors. The words are the same that the
// files are checked with.

// A Key is one key of a rule.
type Key struct {
	Name     string
	Doc      string // one sentence for people
	Example  string // a value as it is written in a file
	Required bool
}

// Keys returns the keys of a rule, in the order in which people write them.
func Keys() []Key {
	return []Key{
		{Name: "name", Required: true, Example: "desk-new-booking", Doc: "The rule's name, unique over all rule files."},
		{Name: "description", Example: "Tell the front desk about confirmed bookings", Doc: "What the rule is for."},
		{Name: "on", Required: true, Example: "[booked, confirmed]", Doc: "The events at which the rule is looked at: one, or a list."},
		{Name: "when", Example: "appointment.startTime > now()", Doc: "The condition, an expression that is true or false; without one, the rule always applies."},
		{Name: "timezone", Example: "America/Chicago", Doc: "The time zone in which this rule sees times: its name, or whose it is: contact, user or location. Without it, each time is seen in its own offset."},
		{Name: "language", Example: "de", Doc: "The language in which names of days and months print, or whose it is: contact, user or location. Without it, that of the location if it is known, else the configured one."},
		{Name: "hours", Example: "Mon-Fri 09:00-18:00, Sat 10:00-14:00", Doc: "When the steps of this rule may be sent, in its time zone: days and times, or the name of hours in bellhop.yaml."},
		{Name: "outside", Example: "earlier", Doc: "What is done with a step that is due outside the hours: wait until they open, send it earlier, or skip it."},
		{Name: "limit", Example: "{per: contact.id, max: 1, every: 24h}", Doc: "How often the steps of this rule may be sent for each value of an expression; what is over is skipped. Without per, at each location. Several limits are a list."},
		{Name: "let", Example: "{day: 'date(appointment.startTime, \"Mon 2 Jan 15:04\")'}", Doc: "Named values, each an expression; computed in written order, when first needed, and usable below."},
		{Name: "then", Required: true, Example: "[{slack: {channel: \"#front-desk\", text: \"New: {{ appointment.title }}\"}}]", Doc: "What the rule does: a list of steps, each with one action."},
		{Name: "enabled", Example: "false", Doc: "A rule that is not enabled is checked, and never applies."},
		{Name: "mode", Example: "shadow", Doc: "shadow matches, renders and records, and sends nothing; live is what a rule without a mode does."},
	}
}

var ruleKeys = keyNames(Keys())

// StepKeys returns the keys of a step besides its action.
func StepKeys() []Key {
	return []Key{
		{Name: "at", Example: aMoment, Doc: "When the step is done, an expression that gives a time; without one, at once. Until then the step moves with its appointment, and is cancelled with it."},
		{Name: "late", Example: "2h", Doc: "What becomes of a step whose moment has passed already: skip, as without a word, send, or how much later than its moment it may be sent. send also sends a message about an appointment that was over when it was first seen, with or without at."},
		{Name: "latest", Example: "true", Doc: "Only the last state of an appointment matters: what is not sent yet is replaced by what a later event makes of the step. Without it, calls go out one after the other, in the order of their events."},
		{Name: "hours", Example: "Mon-Fri 09:00-18:00", Doc: "When this step may be sent, instead of the hours of its rule."},
		{Name: "outside", Example: "skip", Doc: "What is done with this step if it is due outside the hours: wait until they open, send it earlier, or skip it."},
		{Name: "transactional", Example: "true", Doc: "The message is sent whether or not its recipient wants messages: one that the recipient has asked for, such as the answer to a cancellation."},
	}
}

var stepKeys = keyNames(StepKeys())

// LateWords returns the values of `late` besides a duration.
func LateWords() []lang.Word {
	return []lang.Word{
		{Name: lateSkip, Doc: "It is not sent; this is what a step without late does."},
		{Name: lateSend, Doc: "It is sent, however late."},
	}
}

func keyNames(keys []Key) (names []string) {
	for _, k := range keys {
		names = append(names, k.Name)
	}
	return names
}

// Events returns the words that `on` may contain.
func Events() []lang.Word {
	docs := map[string]string{
		Create:      "The platform says that an appointment was created.",
		Update:      "The platform says that an appointment was changed.",
		Delete:      "The platform says that an appointment was deleted.",
		Booked:      "An appointment is seen for the first time, and is not cancelled.",
		Rescheduled: "The start or the end was changed.",
		Confirmed:   "The status became confirmed.",
		Showed:      "The status became showed: the guest came.",
		NoShow:      "The status became noshow: the guest did not come.",
		Cancelled:   "The appointment was cancelled or deleted; once, however often that is said, until it is taken back.",
		Reassigned:  "The appointment was given to another colleague.",
		Updated:     "Anything else was changed.",
	}
	var words []lang.Word
	for _, name := range Names() {
		words = append(words, lang.Word{Name: name, Doc: docs[name]})
	}
	return words
}

// Variables returns the names that an expression may begin with, including those that have fields.
func Variables() []lang.Word {
	docs := map[string]string{
		"appointment": "The appointment, as it is with this event.",
		"previous":    "The appointment as it was before this event; empty if it was not known.",
		"contact":     "The person who booked, as far as is known; a missing field is empty.",
		"user":        "The colleague who is assigned, as far as is known; a missing field is empty.",
		"users":       "The colleagues who take part, a list; each has the fields of user.",
		"calendar":    "The calendar of the appointment, as far as is known; a missing field is empty.",
		"location":    "The location that the event came for, as far as is known; a missing field is empty.",
		"changed":     "The names of the appointment's fields that this event changed.",
		"custom":      "The custom data of a workflow webhook; anything in it may be missing.",
		"locationId":  "The location that the event came for.",
		"on":          "What happened: the type and the derived event names.",
		"raw":         "The webhook's body as it came; anything in it may be missing.",
		"receivedAt":  "When the event was received.",
		"source":      "Who sent the event: the name in /hooks/….",
		"type":        "The type as the platform says it: AppointmentCreate, AppointmentUpdate or AppointmentDelete.",
	}
	var words []lang.Word
	for _, name := range world.Names() {
		w := lang.Word{Name: name, Doc: docs[name]}
		if t, ok := world.Variables[name]; ok && !t.Open() {
			w.Type = t.String()
		}
		words = append(words, w)
	}
	return words
}

// FieldsBelow returns the fields of one of the variables, in the order of the struct; nil if it has no known ones.
func FieldsBelow(variable string) []lang.Word {
	of, ok := objects[variable]
	if !ok {
		return nil
	}
	var words []lang.Word
	for f := range of.Fields() {
		name, doc := f.Tag.Get("json"), f.Tag.Get("doc")
		if doc == "" {
			continue // not for expressions
		}
		words = append(words, lang.Word{Name: name, Type: world.Objects[variable].Fields[name].String(), Doc: doc})
	}
	if variable == "contact" {
		words = append(words, lang.Word{Name: "appointments", Type: world.Objects[variable].Fields["appointments"].String(), Doc: "What else is remembered of the person at this location, at most 100, those that start latest first; each has the fields of appointment."})
	}
	return words
}
