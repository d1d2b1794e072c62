package rules

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"bellhop/actions"
	"bellhop/rules/lang"
	"bellhop/rules/text"
)

// Hours are the times of the week at which something may be sent, except on closed days. They are read in the zone of the
// rule that uses them. They are immutable.
type Hours struct {
	name     string // in bellhop.yaml; "" if they are written in a rule
	openings []opening
	closed   lang.Days
}

// An opening is a time of one day of the week, in minutes from its midnight. It can end on the next day.
type opening struct {
	day      time.Weekday
	from, to int
}

// maxClosed is how many days of closed hours are looked through for the next or the last open ones.
const maxClosed = 400

// ParseHours reads hours, such as "Mon-Fri 09:00-18:00, Sat 10:00-14:00", that are closed on some days. name is the name under
// which rules use them. An error says what is wrong; suggestion is then what was meant, or "".
func ParseHours(name, open string, closed lang.Days) (h *Hours, suggestion string, err error) {
	h = &Hours{name: name, closed: closed}
	h.openings, suggestion, err = parseOpenings(open)
	return h, suggestion, err
}

var weekdays = [7]string{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"}

const (
	anyDay  = `[A-Za-z]{2,10}\.?`
	anyTime = `(\d{1,2})(?:[:.h](\d\d))? ?([ap]\.?m\.?)?(?: Uhr)?`
)

var (
	dayRange   = regexp.MustCompile(`(?i)^(` + anyDay + `)(?: ?(?:-|to|through|thru|until|bis) ?(` + anyDay + `))?$`)
	hoursRange = regexp.MustCompile(`(?i)^(?:from )?` + anyTime + ` ?(?:-|to|until|till|bis) ?` + anyTime + `$`)
	itemParts  = regexp.MustCompile(`^([^0-9]*?)((?i:from )?[0-9].*)?$`)
	everyDay   = regexp.MustCompile(`(?i)^(daily|every ?day|all days|always)$`)
)

// errHours says how hours are written.
var errHours = errors.New("hours are days and times, such as Mon-Fri 09:00-18:00, Sat 10:00-14:00")

// parseOpenings reads days and times. It understands more than is accepted, so that it can say what was meant.
func parseOpenings(written string) (list []opening, suggestion string, err error) {
	var days, last []time.Weekday // those that wait for their times, and those of the times before
	var words, canonical []string
	for item := range strings.SplitSeq(strings.NewReplacer("–", "-", "—", "-", ";", ",", " and ", ",", " & ", ",").Replace(written), ",") {
		item = strings.TrimSpace(item)
		m := itemParts.FindStringSubmatch(item)
		if item == "" || m == nil {
			return nil, "", errHours
		}
		if name := strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(m[1]), ":")); name != "" {
			of, word, ok := daysOf(name)
			if !ok {
				return nil, "", errHours
			}
			days, words = append(days, of...), append(words, word)
		}
		if m[2] == "" {
			continue
		}
		from, to, ok := timesOf(m[2])
		if !ok {
			return nil, "", errHours
		}
		if len(days) > 0 {
			last = days
		} else if last == nil {
			last = []time.Weekday{0, 1, 2, 3, 4, 5, 6}
		}
		for _, day := range last {
			o := opening{day, from, to}
			if to <= from {
				o.to += 24 * 60
			}
			list = append(list, o)
		}
		times := fmt.Sprintf("%02d:%02d-%02d:%02d", from/60, from%60, to/60, to%60)
		if canonical = append(canonical, strings.TrimSpace(strings.Join(words, ", ")+" "+times)); from == to {
			return nil, "", fmt.Errorf("%s begins when it ends; the whole day is 00:00-24:00", times)
		}
		days, words = nil, nil
	}
	if len(days) > 0 {
		return nil, "", fmt.Errorf("%s has no times; write them behind it, such as %[1]s 09:00-18:00", strings.Join(words, ", "))
	}
	if s := strings.Join(canonical, ", "); !strictHours.MatchString(written) {
		return nil, s, fmt.Errorf("%w; this is written %s", errHours, s)
	}
	slices.SortFunc(list, func(a, b opening) int { return cmp.Or(int(a.day)-int(b.day), a.from-b.from) })
	return list, "", nil
}

// strictHours are hours as they are accepted.
var strictHours = regexp.MustCompile(`^(?:(?:[A-Z][a-z]{2,8}(?:-[A-Z][a-z]{2,8})?[, ]\s*)*\d{1,2}:\d\d-\d{1,2}:\d\d(?:,\s*|$))+$`)

// daysOf reads one day or a range of days.
func daysOf(text string) (list []time.Weekday, word string, ok bool) {
	if everyDay.MatchString(text) {
		return []time.Weekday{0, 1, 2, 3, 4, 5, 6}, "Mon-Sun", true
	}
	switch strings.ToLower(text) {
	case "weekdays", "workdays", "working days":
		text = "Mon-Fri"
	case "weekends", "weekend":
		text = "Sat-Sun"
	}
	m := dayRange.FindStringSubmatch(text)
	if m == nil {
		return nil, "", false
	}
	from, ok := dayOf(m[1])
	if !ok || m[2] == "" {
		return []time.Weekday{from}, weekdays[from], ok
	}
	to, ok := dayOf(m[2])
	for day := from; ; day = (day + 1) % 7 {
		if list = append(list, day); day == to {
			return list, weekdays[from] + "-" + weekdays[to], ok
		}
	}
}

// dayOf reads Mon, Monday and the like.
func dayOf(text string) (time.Weekday, bool) {
	text = strings.ToLower(strings.TrimSuffix(text, "."))
	if day, ok := shortDays[text]; ok {
		return day, true
	}
	text = strings.TrimSuffix(text, "s")
	for day := range time.Saturday + 1 {
		if len(text) >= 3 && strings.HasPrefix(strings.ToLower(day.String()), text) {
			return day, true
		}
	}
	return 0, false
}

// shortDays are days in two letters, in English and in German.
var shortDays = map[string]time.Weekday{
	"mo": time.Monday, "tu": time.Tuesday, "we": time.Wednesday, "th": time.Thursday, "fr": time.Friday, "sa": time.Saturday, "su": time.Sunday,
	"di": time.Tuesday, "mi": time.Wednesday, "do": time.Thursday, "so": time.Sunday,
}

// timesOf reads 09:00-18:00 and the like, in minutes from midnight.
func timesOf(text string) (from, to int, ok bool) {
	m := hoursRange.FindStringSubmatch(strings.TrimSpace(text))
	if m == nil {
		return 0, 0, false
	}
	from, ok = minuteOf(m[1], m[2], m[3])
	to, fine := minuteOf(m[4], m[5], m[6])
	return from, to, ok && fine && from < 24*60
}

// minuteOf reads a time of the day. half is am or pm, or "".
func minuteOf(hour, minute, half string) (int, bool) {
	h, _ := strconv.Atoi(hour) // it has digits only
	m, _ := strconv.Atoi(minute)
	switch half = strings.ToLower(strings.ReplaceAll(half, ".", "")); {
	case half != "" && (h < 1 || h > 12):
		return 0, false
	case half == "am" && h == 12:
		h = 0
	case half == "pm" && h < 12:
		h += 12
	}
	return h*60 + m, m < 60 && (h < 24 || h == 24 && m == 0)
}

// String returns the hours for people: "the hours desk".
func (h *Hours) String() string { return strings.TrimSpace("the hours " + h.name) }

// identity identifies all that the hours mean.
func (h *Hours) identity() string { return fmt.Sprintf("%q %v %v", h.name, h.openings, h.closed) }

// A span is one opening of a certain day.
type span struct{ from, to time.Time }

// spans returns the openings that begin a number of days after the day of t, by the clocks of its location, in order.
func (h *Hours) spans(t time.Time, days int) (list []span) {
	year, month, day := t.Date()
	midnight := time.Date(year, month, day+days, 0, 0, 0, 0, time.UTC)
	if h.closed.Has(midnight) {
		return nil
	}
	for _, o := range h.openings {
		if o.day == midnight.Weekday() {
			minutes := func(n int) time.Time { return lang.Clock(midnight.Add(time.Duration(n)*time.Minute), t.Location()) }
			list = append(list, span{minutes(o.from), minutes(o.to)})
		}
	}
	return list
}

// open reports whether it is open at t, by the clocks of its location.
func (h *Hours) open(t time.Time) bool {
	for days := -1; days <= 0; days++ {
		for _, s := range h.spans(t, days) {
			if !t.Before(s.from) && t.Before(s.to) {
				return true
			}
		}
	}
	return false
}

// next returns when it opens after t, which is closed. ok is false if it never does.
func (h *Hours) next(t time.Time) (at time.Time, ok bool) {
	for days := range maxClosed {
		for _, s := range h.spans(t, days) {
			if s.from.After(t) {
				return s.from, true
			}
		}
	}
	return at, false
}

// last returns the last open minute before t, which is closed. ok is false if there is none.
func (h *Hours) last(t time.Time) (at time.Time, ok bool) {
	for days := 0; days > -maxClosed; days-- {
		for _, s := range slices.Backward(h.spans(t, days)) {
			if end := s.to.Add(-time.Minute); !end.After(t) && end.After(at) && !end.Before(s.from) {
				at, ok = end, true
			}
		}
		if ok && days < 0 {
			break
		}
	}
	return at, ok
}

// What is done with a step that is due outside the hours.
const (
	outsideWait    = "wait"    // it is sent when they open
	outsideEarlier = "earlier" // it is sent in the last open minute before
	outsideSkip    = "skip"    // it is not sent
)

// outsideWords returns the values of `outside`.
func outsideWords() []lang.Word {
	return []lang.Word{
		{Name: outsideWait, Doc: "It is sent when they open, unless it is too late then; this is what happens without outside."},
		{Name: outsideEarlier, Doc: "It is sent in the last open minute before."},
		{Name: outsideSkip, Doc: "It is not sent."},
	}
}

// A window is the hours of a rule or a step, and what is done outside them. It is immutable.
type window struct {
	hours   *Hours // nil: always open
	outside string // "": not given
}

// or returns the window of a step in a rule with another.
func (w window) or(rule window) window {
	return window{cmp.Or(w.hours, rule.hours), cmp.Or(w.outside, rule.outside, outsideWait)}
}

// window reads `hours` and `outside`. above is the window of the rule, for a step.
func (s *scope) window(hours, outside *text.Pair, above window, o Options) (w window) {
	r := s.Doc
	if hours != nil {
		w.hours = readHours(r, hours.Value, o)
	}
	if outside == nil {
		return w
	}
	t, ok := r.Scalar(outside.Value, text.Quote("outside"))
	if !ok {
		return w
	}
	words := []string{outsideWait, outsideEarlier, outsideSkip}
	if w.outside = t.Value; !slices.Contains(words, w.outside) {
		suggestion := cmp.Or(outsideAliases[strings.ToLower(t.Value)], text.Closest(t.Value, words))
		r.Mendf(text.Error, "outside", t, t.Span(0, len(t.Value)), suggestion, `"outside" is %s, not %s%s`, text.OneOf(words), text.Quote(t.Value), text.DidYouMean(suggestion))
	} else if hours == nil && above.hours == nil {
		r.Warnf("outside", r.At(outside.Key), "", `"outside" says what is done outside the hours, and there are no "hours" here`)
	}
	return w
}

var outsideAliases = map[string]string{
	"later": outsideWait, "delay": outsideWait, "next": outsideWait, "postpone": outsideWait, "hold": outsideWait, "after": outsideWait, "before": outsideEarlier, "previous": outsideEarlier,
	"sooner": outsideEarlier, "last": outsideEarlier, "drop": outsideSkip, "ignore": outsideSkip, "never": outsideSkip, "no": outsideSkip, "false": outsideSkip, "cancel": outsideSkip, "discard": outsideSkip,
}

// hourKeys are the keys of hours that are written as a map.
var hourKeys = []string{"open", "closed"}

// readHours reads `hours`: a name from bellhop.yaml, or hours as they are written there. It returns nil after a mistake.
func readHours(r *text.Document, n *yaml.Node, o Options) *Hours {
	what := text.Quote("hours")
	if n.Kind == yaml.MappingNode && !text.LooksLikeTemplate(n) {
		var open *text.Scalar
		var closed lang.Days
		before := r.Errors()
		for _, p := range r.Entries(n, what, hourKeys) {
			if p.Name == "open" {
				open, _ = r.Scalar(p.Value, text.Quote("open"))
			} else {
				closed = readClosed(r, p.Value)
			}
		}
		if open == nil && r.Errors() == before {
			r.Errorf("missing-key", r.At(n), "", `these hours do not say when they are open, such as open: "Mon-Fri 09:00-18:00"`)
		}
		if open == nil {
			return nil
		}
		return openAt(r, open, closed)
	}
	t, ok := r.Scalar(n, what)
	if !ok {
		return nil
	}
	if strings.Contains(t.Value, "{{") {
		r.Errorf("hours", r.At(n), "", `"hours" takes no expression; write days and times, or the name of hours in bellhop.yaml`)
		return nil
	}
	if h := o.Hours[t.Value]; h != nil {
		return h
	}
	names := text.SortedKeys(o.Hours)
	if _, suggestion, err := parseOpenings(t.Value); suggestion != "" || !errors.Is(err, errHours) || strings.ContainsAny(t.Value, "0123456789") && text.Closest(t.Value, names) == "" {
		return openAt(r, t, nil)
	}
	suggestion := text.Closest(t.Value, names)
	hint := text.DidYouMean(suggestion) + text.ListIfNone(suggestion, names)
	if len(names) == 0 {
		hint = "; there are none. Write them here, such as Mon-Fri 09:00-18:00"
	}
	r.Mendf(text.Error, "unknown-hours", t, t.Span(0, len(t.Value)), suggestion, "there are no hours %s in bellhop.yaml%s", text.Quote(t.Value), hint)
	return nil
}

// openAt reads hours that have no name.
func openAt(r *text.Document, t *text.Scalar, closed lang.Days) *Hours {
	h, suggestion, err := ParseHours("", t.Value, closed)
	if err != nil {
		r.Mendf(text.Error, "hours", t, t.Span(0, len(t.Value)), suggestion, "%s", err)
		return nil
	}
	return h
}

// readClosed reads the days on which hours are closed: one, or a list.
func readClosed(r *text.Document, n *yaml.Node) (days lang.Days) {
	items := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		items = r.Items(n, text.Quote("closed"))
	}
	for _, item := range items {
		t, ok := r.Scalar(item, text.Quote("closed"))
		if !ok {
			continue
		}
		more, suggestion, err := days.With(t.Value)
		if err != nil {
			r.Mendf(text.Error, "closed", t, t.Span(0, len(t.Value)), suggestion, "%s", err)
			continue
		}
		days = more
	}
	return days
}

// within moves a moment for which a step is planned into its hours. until is the last time at which it may be sent then, zero
// if there is none; skip is why it is not sent.
func (st *step) within(r *run, moment time.Time) (at, until time.Time, skip string, err error) {
	a := &r.ev.Appointment
	w := st.window.or(r.body.window)
	if w.hours == nil {
		return moment, st.wait.until(moment, a), "", nil
	}
	if moment, err = r.clocks(moment); err != nil || w.hours.open(moment) {
		return moment, st.wait.until(moment, a), "", err
	}
	why := w.hours.String() + " are closed at " + moment.Format("15:04 on Mon 2 Jan 2006")
	switch w.outside {
	case outsideSkip:
		return at, until, why, nil
	case outsideEarlier:
		if at, ok := w.hours.last(moment); ok {
			return at, later(st.wait.until(moment, a), at.Add(punctual)), "", nil
		}
		return at, until, why + " and were never open before", nil
	}
	at, ok := w.hours.next(moment)
	start := a.StartTime
	switch late := st.wait.late; {
	case !ok:
		return at, until, why + " and do not open again", nil
	case late > 0 && at.Sub(moment) > late:
		return at, until, fmt.Sprintf("%s and open at %s, which is later than %s", why, at.Format("15:04 on Mon 2 Jan 2006"), actions.Duration(late)), nil
	case late >= 0 && moment.Before(start) && !at.Before(start):
		return at, until, fmt.Sprintf("%s and open at %s, when the appointment has begun", why, at.Format("15:04 on Mon 2 Jan 2006")), nil
	case late > 0:
		return at, later(moment.Add(late), at.Add(punctual)), "", nil
	}
	return at, st.wait.until(at, a), "", nil
}

// opens returns when a step may be sent that would be sent now: zero if that is now. skip is why it is not sent at all.
func (st *step) opens(r *run, now time.Time) (at time.Time, skip string, err error) {
	w := st.window.or(r.body.window)
	if w.hours == nil {
		return at, "", nil
	}
	now, err = r.clocks(now)
	if err != nil || w.hours.open(now) || w.hours.open(now.Add(-punctual)) {
		return at, "", err
	}
	why := w.hours.String() + " are closed at " + now.Format("15:04 on Mon 2 Jan 2006")
	if w.outside == outsideSkip {
		return at, why, nil
	}
	at, ok := w.hours.next(now)
	if !ok {
		return at, why + " and do not open again", nil
	}
	return at, "", nil
}

// clocks returns a time as the clocks of the rule's zone show it, or those of the configured zone if the rule has none.
func (r *run) clocks(t time.Time) (time.Time, error) {
	if r.Await != nil {
		return t, *r.Await
	}
	return t.In(cmp.Or(r.Zone, r.Naive)), nil
}

// Opens returns when a step may be sent that is rendered already, and would be sent now: zero if that is now. skip is why it is
// not sent at all. unknown is what has to be looked up first; nil if nothing has to be. key is its [Step.Key].
func (s *Set) Opens(name string, number int, key string, ev *Event, now time.Time) (at time.Time, skip string, unknown *lang.Unknown) {
	rule, st := s.find(name, number, key)
	if st == nil || st.window.or(rule.body().window).hours == nil {
		return at, "", nil
	}
	r := newRun(s.know(ev), now)
	r.start(rule)
	at, skip, err := st.opens(r, now)
	if u, ok := lang.UnknownIn(err); ok {
		unknown = &u
	}
	return at, skip, unknown
}

// A Bound says what decides whether a rendered step may go out.
type Bound struct {
	Hours   bool // it has hours
	Limits  bool // its rule has limits
	Consent bool // it is not sent to an address that is suppressed
}

// Bounds returns what decides whether a rendered step may go out. key is its [Step.Key].
func (s *Set) Bounds(name string, number int, key string) Bound {
	rule, st := s.find(name, number, key)
	if st == nil {
		return Bound{Consent: true}
	}
	b := rule.body()
	return Bound{Hours: st.window.or(b.window).hours != nil, Limits: len(b.limits) > 0, Consent: !st.must}
}

// find finds a step, whether or not it waits. If there is no such rule, both are nil.
func (s *Set) find(name string, number int, key string) (*Rule, *step) {
	if key == "" {
		return s.immediate(name, number)
	}
	return s.held(Held{Rule: name, Step: number, Key: key})
}
