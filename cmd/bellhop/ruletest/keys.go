package ruletest

import (
	"slices"

	"bellhop/actions"
	"bellhop/rules"
)

// fileKeys returns the keys of a test file.
func fileKeys() []rules.Key {
	return []rules.Key{
		{Name: "tests", Required: true, Doc: "The tests of this file."},
		{Name: "rules", Example: "[desk.yaml, ../shared]", Doc: "The rule files or folders that are tested; without it, the file that this one is named after, else its folder."},
	}
}

// testKeys returns the keys of a test, in the usual order.
func testKeys() []rules.Key {
	return []rules.Key{
		{Name: "name", Required: true, Example: "a confirmed booking is announced", Doc: "What the test shows; every test has a name of its own."},
		{Name: "event", Required: true, Example: "../events/booking.json", Doc: "The webhook that is received: a file, relative to this one, or the payload itself."},
		{Name: "with", Example: "{appointment.title: Check-up}", Doc: "Changes to the event, each by its path in the payload."},
		{Name: "state", Example: "{appointmentStatus: new}", Doc: "What was known of the appointment before: fields, of which the others were as the event says, or the file of an earlier event. Without it, the appointment was never seen."},
		{Name: "people", Example: "{contacts: {epfJBd0Kh8oOOL8dKLzd: {email: guest@example.com}}}", Doc: "Who the ids stand for, as if it had been looked up; the webhook and the directory come first."},
		{Name: "history", Example: "[{appointmentStatus: noshow, startTime: 2026-11-02T10:00:00Z}]", Doc: "What else is remembered of the contact, as contact.appointments."},
		{Name: "now", Example: "2026-12-01T09:00:00Z", Doc: "When the event is received, and what now() gives; without it, the time that the event names. Without an offset it is in the configured zone."},
		{Name: "source", Example: "hoopai", Doc: "Who sends the event: hoopai if nothing is given."},
		{Name: "expect", Doc: "What must come of the event. Left empty, bellhop test --update writes it."},
	}
}

// expectKeys returns the keys of `expect`.
func expectKeys() []rules.Key {
	return []rules.Key{
		{Name: "fires", Example: "[desk-new-booking]", Doc: "The rules that fire, and no others."},
		{Name: "not", Example: "[desk-moved]", Doc: "Rules that must not fire, whatever else does."},
		{Name: "steps", Doc: "Steps that are sent at once, with what they send. Only what is given is compared."},
		{Name: "held", Doc: "The steps that wait, all of them: until when, and what they send then. An empty list says that none waits."},
		{Name: "skipped", Doc: "The steps that are not sent, each with its reason."},
	}
}

// stepKeys returns the keys of an expected step, without its action.
func stepKeys() []rules.Key {
	return []rules.Key{
		{Name: "rule", Required: true, Example: "desk-new-booking", Doc: "The rule whose step is meant."},
		{Name: "step", Example: "1", Doc: "The number of the step in its rule, 1 being the first; needed only where an action occurs twice."},
	}
}

// holdKeys returns the keys of a step under `held`, without its action.
func holdKeys() []rules.Key {
	return append(stepKeys(),
		rules.Key{Name: "until", Example: "2026-12-06T10:00:00Z", Doc: "When it is sent. Without an offset it is in the configured zone."},
		rules.Key{Name: "then", Example: "the condition is no longer true", Doc: "Why it is not sent at its moment, in place of what it sends; a part of the reason is enough."},
	)
}

// skipKeys returns the keys of a step under `skipped`.
func skipKeys() []rules.Key {
	return append(stepKeys(), rules.Key{Name: "reason", Example: "unresolved recipient", Doc: "Why it is not sent; a part of the reason is enough."})
}

// stateKeys returns the keys of a state: the fields of an appointment except its id, and `deleted` and `booked`.
func stateKeys() []rules.Key {
	var keys []rules.Key
	for _, w := range rules.FieldsBelow("previous") {
		if w.Name != "id" { // the id is that of the event
			keys = append(keys, rules.Key{Name: w.Name, Doc: w.Doc})
		}
	}
	return append(keys,
		rules.Key{Name: "deleted", Example: "true", Doc: "The appointment was deleted."},
		rules.Key{Name: "booked", Example: "false", Doc: "Whether it has been announced as booked already; it has, if nothing is given."},
	)
}

// historyKeys returns the keys of an appointment of `history`: its fields.
func historyKeys() []rules.Key {
	keys := []rules.Key{{Name: "id", Doc: "Its id."}}
	return append(keys, slices.DeleteFunc(stateKeys(), func(k rules.Key) bool { return k.Name == "deleted" || k.Name == "booked" })...)
}

// namesOf returns the names of keys, followed by the names of the actions in besides.
func namesOf(keys []rules.Key, besides []actions.Kind) []string {
	var names []string
	for _, k := range keys {
		names = append(names, k.Name)
	}
	for _, k := range besides {
		names = append(names, k.Name)
	}
	return names
}
