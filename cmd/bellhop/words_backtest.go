package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"bellhop/cmd/bellhop/backtest"
)

// What backtest prints.

// How many days and recipients are shown, for all rules and for one rule.
const (
	shownRows       = 10
	shownRowsOfRule = 5
)

func (p *program) printBacktest(r *backtest.Report, dir string) {
	p.printf("%s from %s to %s, run through %s; nothing is sent.\n", p.stdout.bold(count(r.Events, "event")), local(r.Since), local(r.Until), dir)
	p.remark(r.Received-r.Events, "%d more reach no rule: they are stale, ignored or unreadable.", r.Received-r.Events)
	if r.Events == 0 {
		p.printf("There is nothing to compare.\n")
		return
	}
	p.remark(r.OtherVersions, "%s came when other rules were in force; \"present\" is what the current rules make of them.", count(r.OtherVersions, "event"))
	p.remark(r.RecordedDiffers, "What was recorded at the time differs from that in %s.", count(r.RecordedDiffers, "message"))
	if !r.Differs() {
		p.printf("\n%s: %s before and after%s.\n", p.stdout.paint("32", "No difference"), count(r.Present, "message"), toCome(r.Waiting.Present))
	} else {
		p.printf("\n")
		p.table(append([]string{""}, tallyHead...), [][]string{append([]string{"messages"}, tallyRow(&r.Tally)...)})
		p.printf("\n")
		p.printDays(r.Days, &r.Waiting, shownRows)
		if r.Waiting.Differs() {
			p.printf("%s\n", p.stdout.dim("To come is what still waits at the end. It is sent later, and as shown only if nothing changes until then."))
		}
		p.printf("\n")
		p.printRecipients(r.Recipients, shownRows)
	}
	same := 0
	for i := range r.Rules {
		rule := &r.Rules[i]
		if !rule.Differs() && len(rule.Unsent) == 0 && rule.Watched == 0 {
			same++
			continue
		}
		p.printRuleDifference(rule, r.Events)
	}
	if same > 0 && r.Differs() {
		p.printf("\n%s\n", p.stdout.dim(count(same, "rule")+" would send the same as now."))
	}
	p.remark(r.Uncounted, "There are too many recipients to count them one by one.")
	p.remark(r.Unfollowed, "So many steps wait that %s could not be followed; they are counted as if nothing had changed after their event.", count(r.Unfollowed, "step"))
}

var tallyHead = []string{"PRESENT", "PROPOSED", "ADDED", "REMOVED", "CHANGED"}

func tallyRow(t *backtest.Tally) []string {
	return []string{itoa(t.Present), itoa(t.Proposed), itoa(t.Added), itoa(t.Removed), itoa(t.Changed)}
}

// toCome returns the words for n messages that still wait, "" for none.
func toCome(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" (%d to come)", n)
}

// printDays prints the last days on which messages differ, and the differences in those that still wait.
func (p *program) printDays(days []backtest.Day, waiting *backtest.Tally, most int) {
	days = slices.DeleteFunc(slices.Clone(days), func(d backtest.Day) bool { return !d.Differs() })
	var rows [][]string
	first := max(0, len(days)-most)
	for i := range days[first:] {
		d := &days[first+i]
		rows = append(rows, append([]string{d.Day}, tallyRow(&d.Tally)...))
	}
	if waiting.Differs() {
		rows = append(rows, append([]string{"to come"}, tallyRow(waiting)...))
	}
	p.table(append([]string{"DAY"}, tallyHead...), rows)
	p.remark(first, "and %s before", count(first, "day"))
}

func (p *program) printRecipients(list []backtest.Recipient, most int) {
	list = slices.DeleteFunc(slices.Clone(list), func(r backtest.Recipient) bool { return !r.Differs() })
	var rows [][]string
	for i := range list[:min(len(list), most)] {
		to := &list[i]
		rows = append(rows, append([]string{short(to.Action+" "+to.To, 60)}, tallyRow(&to.Tally)...))
	}
	p.table(append([]string{"RECIPIENT"}, tallyHead...), rows)
	p.remark(len(list)-len(rows), "and more")
}

func (p *program) printRuleDifference(r *backtest.Rule, events int) {
	p.printf("\n%s", p.stdout.bold("rule "+clean(oneLine(r.Rule))))
	switch {
	case r.New:
		p.printf(" (new)")
	case r.Gone:
		p.printf(" (gone)")
	}
	p.printf(": %s now%s, %s then%s", count(r.Present, "message"), toCome(r.Waiting.Present), p.stdout.bold(itoa(r.Proposed)), toCome(r.Waiting.Proposed))
	if r.Proposed > 0 {
		p.printf(", for %d of %s, to %s", r.Events, count(events, "event"), count(r.Distinct, "recipient"))
	}
	p.printf("\n")
	if r.Watched > 0 {
		p.printf("  only recorded, because the rule is in shadow mode: %s\n", count(r.Watched, "message"))
	}
	for _, why := range r.Unsent {
		p.printf("  %s %s: %s\n", p.stdout.paint("33", "not sent"), count(why.Count, "time"), short(why.Reason, 200))
	}
	if !r.Differs() {
		return
	}
	p.printDays(r.Days, &r.Waiting, shownRowsOfRule)
	p.printRecipients(r.Recipients, shownRowsOfRule)
	for i := range r.Examples {
		p.printDifference(&r.Examples[i])
	}
	left := map[backtest.Kind]int{backtest.Added: r.Added, backtest.Removed: r.Removed, backtest.Changed: r.Changed}
	for i := range r.Examples {
		left[r.Examples[i].Kind]--
	}
	var more []string
	for _, kind := range []backtest.Kind{backtest.Added, backtest.Removed, backtest.Changed} {
		if left[kind] > 0 {
			more = append(more, fmt.Sprintf("%d %s", left[kind], kind))
		}
	}
	if len(more) > 0 {
		p.printf("  %s\n", p.stdout.dim("and "+strings.Join(more, ", ")+"; --limit shows more"))
	}
}

var kindMarks = map[backtest.Kind]struct{ mark, colour string }{
	backtest.Added:   {"+", "32"},
	backtest.Removed: {"-", "31"},
	backtest.Changed: {"~", "33"},
}

func (p *program) printDifference(d *backtest.Difference) {
	kind := kindMarks[d.Kind]
	what := fmt.Sprintf("%s %s: %s, step %d", kind.mark, d.Kind, d.Action, d.Step)
	if due := dues(d); due != "" {
		what += ", " + due
	}
	if d.Waiting {
		what += ", to come"
	}
	p.printf("  %s %s\n", p.stdout.paint(kind.colour, what),
		p.stdout.dim(clean(fmt.Sprintf("(event %s of %s, appointment %s)", d.Event, d.At.Local().Format(time.DateTime), d.Appointment))))
	if d.Reason != "" {
		p.printf("      %s\n", clean(oneLine(d.Reason)))
	}
	switch d.Kind {
	case backtest.Added:
		p.printRequest(d.Proposed, "      ")
	case backtest.Removed:
		p.printRequest(d.Present, "      ")
	default:
		p.printChangedRequest(d.Present, d.Proposed)
	}
}

// dues says when a message of a step that waits is sent; "" if the step does not wait.
func dues(d *backtest.Difference) string {
	was, is := d.PresentDue, d.ProposedDue
	at := func(t time.Time) string {
		if t.IsZero() {
			return "at once"
		}
		return "at " + local(t)
	}
	switch {
	case was.IsZero() && is.IsZero():
		return ""
	case d.Kind == backtest.Added || d.Kind == backtest.Changed && was.Equal(is):
		return at(is)
	case d.Kind == backtest.Removed:
		return at(was)
	}
	return at(is) + " instead of " + at(was)
}

// printChangedRequest prints the keys of a request that differ, as they were and as they would be.
func (p *program) printChangedRequest(before, after json.RawMessage) {
	was, okBefore := pairs(before)
	is, okAfter := pairs(after)
	if !okBefore || !okAfter {
		p.printRequest(after, "      ")
		return
	}
	value := func(list []pair, key string) json.RawMessage {
		if i := slices.IndexFunc(list, func(kv pair) bool { return kv.key == key }); i >= 0 {
			return list[i].value
		}
		return nil
	}
	var keys []string
	for _, kv := range append(slices.Clone(was), is...) {
		if !slices.Contains(keys, kv.key) {
			keys = append(keys, kv.key)
		}
	}
	for _, key := range keys {
		old, now := value(was, key), value(is, key)
		if bytes.Equal(old, now) {
			continue
		}
		for _, side := range []struct {
			mark  string
			value json.RawMessage
		}{{"-", old}, {"+", now}} {
			if side.value != nil {
				p.printPair(pair{key, side.value}, "      "+side.mark+" ")
			}
		}
	}
}
