package rules

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/expr-lang/expr/ast"
	"gopkg.in/yaml.v3"

	"bellhop/actions"
	"bellhop/rules/lang"
	"bellhop/rules/text"
)

// The `at` of a waiting step says when it is due. When its rule applies, the step is planned: that time is computed,
// and nothing else. When the step is due, it is checked again with the appointment as it is then, and rendered. Its
// expressions see the event that planned it: its type, what happened, its contact.

// How late a step may be if the file does not say.
const (
	// Receiving and matching take some time: `at: receivedAt` does not count as late.
	punctual = time.Minute
	// A step that must not be late is still sent within this time, if Bellhop or its destination was down when it was
	// due.
	belated = time.Hour
)

// A time before firstMoment is the result of a missing time, which is in the year 1.
var firstMoment = time.Date(1000, 1, 1, 0, 0, 0, 0, time.UTC)

// A wait is a step's `at` and `late`. It is immutable.
type wait struct {
	program *lang.Program
	src     string        // as written
	late    time.Duration // how late the step may be sent; 0: not late, negative: without limit
	key     string        // identifies what is written
	keys    string        // see Step.Key
}

// wait reads the `at` and `late` of a step. It returns nil for a step that does not wait, and after a mistake.
func (s *scope) wait(at, late *text.Pair) *wait {
	before := s.Doc.Errors()
	out := &wait{}
	if late != nil {
		out.late = s.late(late.Value)
	}
	if at == nil {
		return nil
	}
	t, ok := s.momentText(at.Value)
	if !ok {
		return nil
	}
	out.src = t.Value
	program, as := s.Compile(lang.WholeOf(t))
	tree, c := as.Node, as.Checker
	if program == nil {
		return nil
	}
	s.isMoment(c, tree)
	if s.Doc.Errors() > before {
		return nil
	}
	if !s.Checked {
		s.doubtMoment(c, tree)
		s.doubtLate(c, tree, out.late)
	}
	out.program = program
	return out
}

// momentText returns the text of `at`, after the checks that do not need to read it as an expression.
func (s *scope) momentText(n *yaml.Node) (*text.Scalar, bool) {
	r := s.Doc
	switch {
	case text.LooksLikeTemplate(n):
		at := r.At(n)
		if i := strings.Index(r.In(at), "}}"); i >= 0 && n.Anchor == "" {
			at.To = at.From + i + 2
			inner, _ := unbrace(r.In(at))
			r.Errorf("braces", at, inner, "%s", lang.NoBraces)
			return nil, false
		}
	case n.Kind == yaml.SequenceNode:
		r.Errorf("type", r.At(n), "", `"at" takes one time, not a list; write a step for each time`)
		return nil, false
	case n.Kind == yaml.MappingNode:
		r.Errorf("type", r.At(n), "", `"at" takes a time, such as %s, not a map (key: value)`, aMoment)
		return nil, false
	}
	t, ok := r.Scalar(n, text.Quote("at"))
	if !ok {
		return nil, false
	}
	whole := t.Span(0, len(t.Value))
	if strings.HasPrefix(strings.TrimSpace(t.Value), "{{") {
		inner := strings.TrimSpace(strings.NewReplacer("{{ ", "", "{{", "", " }}", "", "}}", "").Replace(t.Value))
		s.bracesAround(t, inner)
		return nil, false
	}
	if expression, message, ok := spokenMoment(t.Value); ok {
		r.Mendf(text.Error, "at", t, whole, expression, "%s", message)
		return nil, false
	}
	return t, true
}

// isMoment reports the parts of an expression that may be its value but are not a time.
func (s *scope) isMoment(c *lang.Checker, n ast.Node) {
	switch m := n.(type) {
	case *ast.ConditionalNode:
		s.isMoment(c, m.Exp1)
		s.isMoment(c, m.Exp2)
		return
	case *ast.BinaryNode:
		if m.Operator == "??" {
			s.isMoment(c, m.Left)
			s.isMoment(c, m.Right)
			return
		}
	}
	t := c.Types[n].Type
	if t.Kind == lang.TimeKind || t.Kind == lang.BadKind {
		return
	}
	name, args := lang.CallOf(n)
	written := c.Source(n)
	switch {
	case t.Kind == lang.AnyKind:
		for { // find what a duration is added to or subtracted from
			b, ok := n.(*ast.BinaryNode)
			if !ok || b.Operator != "+" && b.Operator != "-" || c.Types[b.Left].Type.Kind != lang.AnyKind {
				break
			}
			n = b.Left
		}
		written = c.Source(n)
		c.FailAt(n, "at", "date("+written+")", `"at" takes a time, but %s may be anything; date(%s) reads a text as a time`, written, written)
	case t.Kind == lang.TextKind && len(args) > 0 && c.Types[args[0]].Type.Kind == lang.TimeKind:
		of := c.Source(args[0])
		c.FailAt(n, "at", of, `"at" takes a time, but %s(…) makes a text of one; the time itself is %s`, name, of)
	case t.Kind == lang.TextKind && lang.IsLiteral(n):
		if expression, message, ok := spokenMoment(written); ok {
			c.FailAt(n, "at", expression, "%s", message)
			return
		}
		c.FailAt(n, "at", "", `"at" takes a time, such as %s, but this is a text`, aMoment)
	case t.Kind == lang.TextKind && (name != "" || isSum(n)):
		c.FailAt(n, "at", "date("+written+")", `"at" takes a time, but this is a text; date(…) reads a text as a time`)
	case t.Kind == lang.DurationKind && !isSum(n):
		hint := "appointment.startTime - " + written
		c.FailAt(n, "at", hint, `"at" takes a time, but this is a duration; count it from a time, such as %s`, hint)
	case t.Kind == lang.ObjectKind && world.Objects[t.Name].Moment != "":
		c.FailAt(n, "at", written+".startTime", `"at" takes a time, such as %s.startTime, but this is %s`, written, t)
	case t.Number():
		c.FailAt(n, "at", "", `"at" takes a time, but this is a number; a duration has a unit and is counted from a time, such as %s`, aMoment)
	default:
		c.FailAt(n, "at", "", `"at" takes a time, such as %s, but this is %s`, aMoment, t)
	}
}

func isSum(n ast.Node) bool {
	b, ok := n.(*ast.BinaryNode)
	return ok && (b.Operator == "+" || b.Operator == "-")
}

// The words that `late` accepts besides a duration.
const (
	lateSkip = "skip"
	lateSend = "send"
)

func (s *scope) late(n *yaml.Node) time.Duration {
	r := s.Doc
	if n.Kind == yaml.SequenceNode || n.Kind == yaml.MappingNode && !text.LooksLikeTemplate(n) {
		r.Errorf("late", r.At(n), "", `"late" is skip, send or how much later it may be sent, such as 2h, but this is %s`, text.KindName(n))
		return 0
	}
	t, ok := r.Scalar(n, text.Quote("late"))
	if !ok {
		return 0
	}
	switch t.Value {
	case lateSkip:
		return 0
	case lateSend:
		return -1
	}
	d, err := actions.ParseDuration(t.Value)
	if err == nil {
		return max(d, punctual)
	}
	var suggestion string
	why := text.Quote(t.Value) + " is none of these"
	if m := durationCall.FindStringSubmatch(t.Value); m != nil {
		suggestion, _ = lang.ReadDuration(m[1])
	} else if suggestion, _ = lang.ReadDuration(strings.TrimLeft(t.Value, "-+ ")); suggestion == "" {
		suggestion = cmp.Or(text.Closest(t.Value, []string{lateSkip, lateSend}), lateWords[strings.ToLower(t.Value)])
	}
	if _, err := strconv.ParseFloat(t.Value, 64); err == nil && suggestion == "" {
		why = fmt.Sprintf("%s has no unit: write %[1]sm, %[1]sh or %[1]sd", strings.TrimLeft(t.Value, "-+"))
	}
	r.Mendf(text.Error, "late", t, t.Span(0, len(t.Value)), suggestion,
		`"late" is skip, send or how much later it may be sent, such as 2h; %s%s`, why, text.DidYouMean(suggestion))
	return 0
}

var durationCall = regexp.MustCompile(`^\s*duration\(\s*["']([^"']*)["']\s*\)\s*$`)

// lateWords are words that people try, and what they mean.
var lateWords = map[string]string{
	"yes": lateSend, "true": lateSend, "on": lateSend, "always": lateSend, "allow": lateSend, "anyway": lateSend, "deliver": lateSend, "run": lateSend,
	"no": lateSkip, "false": lateSkip, "off": lateSkip, "never": lateSkip, "drop": lateSkip, "discard": lateSkip, "ignore": lateSkip, "cancel": lateSkip,
	"none": lateSkip,
}

// hold makes a step wait, unless w is nil.
func (st *step) hold(w *wait) {
	if w == nil {
		return
	}
	sum := sha256.Sum256([]byte(w.src + "\x00" + st.sends))
	w.key = hex.EncodeToString(sum[:6])
	st.wait = w
}

// maxToldApart limits the steps that a key names, because every waiting delivery has one.
const maxToldApart = 20

// tellApart sets what tells the steps of a rule from those of other rules, and the [Step.Key] of the waiting ones: what is written in the step, and in all that wait. A
// key that cannot name them all contains a *.
func (rule *draft) tellApart() {
	var all []string
	for _, st := range rule.steps {
		if st.wait != nil {
			all = append(all, st.wait.key)
		}
	}
	if len(all) > maxToldApart {
		all = []string{"*"}
	}
	others := " " + strings.Join(all, " ")
	for _, st := range rule.steps {
		if st.wait != nil {
			st.wait.keys = st.wait.key + others
		}
		if st.sends != "" {
			st.sendKey, st.sends = rule.sendKeyOf(st), ""
		}
	}
}

// SameStep reports whether the same is written in two steps of a rule, by their keys, see [Step.Key].
func SameStep(a, b string) bool {
	a, _, _ = strings.Cut(a, " ")
	b, _, _ = strings.Cut(b, " ")
	return a == b
}

// A Held names a waiting step that was planned.
type Held struct {
	Rule    string
	Step    int
	Key     string    // [Step.Key], which finds the step again if steps were added before it or removed
	Planned time.Time // the value of now() in `at`, so that a time counted from it stays the same
	At      time.Time // when it was planned to be sent
	Anyway  bool      // an operator asked for it, however late it is
}

// Moment computes again when a held step is due, whatever its hours are. ev is the event that planned it, with the appointment as it is now.
// ok is false if that is unknown: the rule or its step is gone, or `at` fails. [Set.Due] says why.
func (s *Set) Moment(h Held, ev *Event) (at time.Time, ok bool) {
	rule, st := s.held(h)
	if st == nil {
		return at, false
	}
	r := newRun(s.know(ev), h.Planned)
	r.start(rule)
	at, err := st.wait.moment(r)
	return at, err == nil
}

// Keeps reports whether a held step still exists in an enabled rule.
func (s *Set) Keeps(h Held) bool {
	rule, st := s.held(h)
	return st != nil && rule.Enabled
}

// Destination returns where a held step goes, as far as that is known before it is rendered; "" if its rule or step
// is gone. location is the location of its event.
func (s *Set) Destination(h Held, location string) string {
	rule, st := s.held(h)
	if st == nil {
		return ""
	}
	return st.destination(rule, &Event{own: s.locations[location]})
}

// destination returns the step's connection or host. If that is unknown until the step is rendered, the rule's own
// name isolates it. A connection of the location's own is a destination of its own.
func (st *step) destination(rule *Rule, ev *Event) string {
	if ev.owns(st.connection) {
		return st.connection + " of " + ev.own.name
	}
	return cmp.Or(st.connection, st.to, "rule "+rule.Name)
}

// Plan plans the step at now; its rule applied before. ok is false if the step is gone.
func (s *Set) Plan(h Held, ev *Event, now time.Time) (_ Step, ok bool) {
	rule, st := s.held(h)
	if st == nil {
		return Step{}, false
	}
	r := newRun(s.know(ev), h.Planned)
	r.start(rule)
	return st.plan(r, now), true
}

// Due checks and renders a held step that is due at now. The result is like a step of a [Match], with two more
// outcomes: Skip may say why it is no longer wanted, and At may be after now if it has to wait longer. shadow says
// that its rule is in shadow mode.
func (s *Set) Due(h Held, ev *Event, now time.Time) (_ Step, shadow bool) {
	rule, st := s.held(h)
	switch {
	case rule == nil:
		return Step{Number: h.Step, Skip: "the rule is no longer there"}, false
	case !rule.Enabled:
		return Step{Number: h.Step, Skip: "the rule was switched off"}, false
	case rule.body().err != nil:
		return Step{Number: h.Step, Err: rule.body().err}, rule.Shadow
	case st == nil:
		return Step{Number: h.Step, Skip: "the rule no longer has this step"}, false
	}
	out := st.due(rule, h, s.know(ev), now)
	out.Number = h.Step
	return out, rule.Shadow
}

// due is [Set.Due] for a step that exists.
func (st *step) due(rule *Rule, h Held, ev *Event, now time.Time) Step {
	planned := newRun(ev, h.Planned)
	planned.start(rule)
	out, ok := st.outline(planned)
	if !ok || out.At.After(now.Add(time.Second)) { // a smaller difference is due to the clock or the queue
		return out
	}
	if out.At.Before(h.At) { // the rule was changed; the step keeps the moment for which it was planned
		out.At, out.Until = h.At, st.wait.until(h.At, &ev.Appointment)
	}
	if !h.Anyway && !out.Until.IsZero() && now.After(out.Until) {
		out.Skip = planned.tooLate(out.At)
		return out
	}
	r := newRun(ev, now)
	r.due = true
	r.start(rule)
	switch yes, err := r.applies(); {
	case err != nil:
		return out.failed(fmt.Errorf("condition: %w", err))
	case !yes:
		out.Skip = "the condition is no longer true"
		return out
	}
	done := st.render(r)
	if !h.Anyway && !out.Until.IsZero() && done.Opens.After(out.Until) {
		out.Skip = planned.tooLate(out.At)
		return out
	}
	done.At, done.Until, done.Key = out.At, out.Until, out.Key
	return done
}

// held finds a held step in this set. If there is no such rule, both are nil.
func (s *Set) held(h Held) (*Rule, *step) {
	rule := s.named(h.Rule)
	if rule == nil {
		return nil, nil
	}
	key, others, _ := strings.Cut(h.Key, " ")
	var same *step // the step in its place, though its text may have changed
	for _, st := range rule.body().steps {
		switch {
		case st.wait == nil:
		case st.wait.key == key:
			if same == nil || st.number == h.Step || same.wait.key != key {
				same = st
			}
		case st.number == h.Step && same == nil && !strings.Contains(others, st.wait.key): // otherwise another step is in its place
			same = st
		}
	}
	return rule, same
}

// outline returns what is known of a step before it is rendered. ok is false if it has no time; the step then says
// why. r.Now is the value of now() in `at`.
func (st *step) outline(r *run) (out Step, ok bool) {
	out = Step{Number: st.number, Action: st.kind.Name, Connection: st.connection, Key: st.wait.keys}
	out.Destination = st.destination(r.rule, r.ev)
	at, err := st.wait.moment(r)
	switch {
	case err != nil:
		out = out.failed(err)
	case at.Before(firstMoment):
		out.Skip = noMoment
	default:
		if out.At, out.Until, out.Skip, err = st.within(r, at); err != nil {
			return out.failed(err), false
		}
		ok = out.Skip == ""
	}
	return out, ok
}

// failed returns the step with an error; if that tells what has to be looked up first, with that.
func (s Step) failed(err error) Step {
	if unknown, ok := lang.UnknownIn(err); ok {
		s.Wants = &unknown
	} else {
		s.Err = err
	}
	return s
}

// wants returns a step of which something has to be looked up first.
func (st *step) wants(r *run, unknown lang.Unknown) Step {
	out := Step{Number: st.number, Action: st.kind.Name, Connection: st.connection, Destination: st.destination(r.rule, r.ev), Wants: &unknown}
	if st.wait != nil {
		out.Key = st.wait.keys
	}
	return out
}

// plan computes when a step is due. r.Now is the value of now() in `at`; now is the present.
func (st *step) plan(r *run, now time.Time) Step {
	r.Refill()
	out, ok := st.outline(r)
	if !ok {
		return out
	}
	if r.ev.Appointment.AppointmentStatus == Cancelled && !r.rule.forCancelled(r.ev) {
		out.Skip = SkipCancelled
		return out
	}
	if st.unwanted(r.ev) {
		out.Skip = skipOver
		return out
	}
	if over := now.Sub(out.At); over > punctual && st.wait.late >= 0 && over > st.wait.late {
		out.Skip = r.tooLate(out.At)
	}
	return out
}

// moment evaluates `at`.
func (w *wait) moment(r *run) (time.Time, error) {
	v, err := r.Eval(w.program)
	if err != nil {
		return time.Time{}, fmt.Errorf("at: %w", err)
	}
	at, ok := v.(time.Time)
	switch {
	case !ok:
		return time.Time{}, fmt.Errorf("at: %w", w.program.Failed(lang.Errorf("a time is needed, but the value is %s", lang.Describe(v))))
	case at.Year() > 9999:
		return time.Time{}, fmt.Errorf("at: %w", w.program.Failed(lang.Errorf("the moment lies beyond the year 9999")))
	}
	if at, err = r.Settled(at); err != nil {
		return time.Time{}, fmt.Errorf("at: %w", err)
	}
	return at, nil
}

// until returns the last time at which a step that is due at a time may be sent; zero if there is no limit.
func (w *wait) until(at time.Time, a *Appointment) time.Time {
	switch {
	case w.late < 0:
		return time.Time{}
	case w.late > 0:
		return at.Add(w.late)
	}
	until := at.Add(belated)
	if start := a.StartTime; at.Before(start) && start.Before(until) {
		until = start // a message meant for before the appointment is useless after it
	}
	if first := at.Add(punctual); until.Before(first) {
		until = first
	}
	return until
}

// SkipCancelled is the [Step.Skip] of a step planned for an appointment that is already cancelled, by a rule that is
// not for cancelled ones: a reminder, if one event cancels an appointment and moves it.
const SkipCancelled = "the appointment is cancelled"

// ForCancelled reports whether a held step, planned by ev, is meant for an appointment that is cancelled, not for one
// that takes place.
func (s *Set) ForCancelled(h Held, ev *Event) bool {
	rule, _ := s.held(h)
	return rule != nil && rule.forCancelled(ev)
}

// forCancelled reports whether the rule is meant for cancelled appointments, by its event names or its condition.
func (rule *Rule) forCancelled(ev *Event) bool {
	for _, name := range []string{Cancelled, Delete} {
		if slices.Contains(rule.On, name) && slices.Contains(ev.On, name) {
			return true
		}
	}
	return rule.cancelled
}

const noMoment = `there is no time to count from: a time that "at" names is missing`

func (r *run) tooLate(at time.Time) string {
	return "too late: it was due at " + r.Seen(at).Format("2006-01-02 15:04:05 -07:00")
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
