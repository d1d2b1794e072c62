package rules

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"bellhop/rules/lang"
	"bellhop/rules/text"
)

// People who do not know that `at` is an expression write: 24h before, 9am, 2026-05-01, delay: 2h. This file
// recognises that and finds the expression for it.

// aMoment is an example of a value for `at`.
const aMoment = `appointment.startTime - duration("24h")`

// spokenMoment recognises a moment that was not written as an expression. expression is what was meant, "" if that is
// not clear.
func spokenMoment(written string) (expression, message string, ok bool) {
	text := strings.TrimSpace(written)
	if len(text) > 200 { // too long to be such a phrase
		return "", "", false
	}
	if n := len(text); n > 2 && (text[0] == '"' || text[0] == '\'') && strings.IndexByte(text[1:], text[0]) == n-2 {
		text = strings.TrimSpace(text[1 : n-1])
	}
	if writtenDate.MatchString(text) {
		if _, err := lang.ParseDate(time.UTC, text, nil); err == nil {
			expression = "date(" + strconv.Quote(text) + ")"
			return expression, "write a date as " + expression, true
		}
	}
	if foreignDate.MatchString(text) {
		return "", `write a date as date("2026-01-31 15:04")`, true
	}
	if cronLine.MatchString(text) {
		return "", `"at" takes one moment, such as ` + aMoment + ": a step does not repeat", true
	}
	if clock, day, ok := clockOfDay(text); ok {
		expression = fmt.Sprintf("clock(%s, %q)", day, clock)
		if day == "appointment.startTime" {
			return expression, fmt.Sprintf(`"at" takes a time with its day; %s on the day of the appointment is %s`, clock, expression), true
		}
		return expression, `"at" takes a time with its day: write ` + expression, true
	}
	switch strings.ToLower(text) {
	case "immediately", "asap", "instantly", "directly", "at once", "right away", "straight away":
		return "now()", `for the present time write now(); a step without "at" is done at once`, true
	}
	if expression, ok := offset(text); ok {
		return expression, `"at" takes a time, but this is a duration; count it from a time, such as ` + expression, true
	}
	words := strings.Fields(strings.ToLower(text))
	if len(words) > 1 && prose.MatchString(text) && !slices.ContainsFunc(words, isOperatorName) {
		if _, anchor, known := relation(words); known {
			expression = anchor
		}
		return expression, `"at" takes a time, such as ` + cmp.Or(expression, aMoment) + ", but these are words", true
	}
	return "", "", false
}

var (
	clockIn     = regexp.MustCompile(`(?i)\b[0-9]{1,2}(?:[:.][0-9]{2}(?:[:.][0-9]{2})?(?: ?[ap](?:m\b|\.m\.))?| ?[ap](?:m\b|\.m\.)| ?(?:o'clock|uhr)\b)`)
	writtenDate = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}`)
	foreignDate = regexp.MustCompile(`^[0-9]{1,2}([/.])[0-9]{1,2}[/.](?:[0-9]{2}|[0-9]{4})\b`)
	cronLine    = regexp.MustCompile(`^(?:[-0-9*/,]+ +){4,5}[-0-9A-Za-z*/,]+$`)
	prose       = regexp.MustCompile(`^[\p{L}0-9:,.' ]+$`)
)

// clockOfDay finds a time of the day, and the day that the other words mean: 9am the day before, tomorrow at 18:00.
func clockOfDay(text string) (clock, day string, ok bool) {
	at := clockIn.FindStringIndex(text)
	if at == nil {
		return "", "", false
	}
	if clock, ok = lang.ClockTime(text[at[0]:at[1]]); !ok {
		return "", "", false
	}
	rest := strings.ToLower(text[:at[0]] + " " + text[at[1]:])
	words := slices.DeleteFunc(strings.Fields(rest), func(w string) bool {
		return slices.Contains([]string{"the", "at", "on", "of", "appointment", "booking", "visit", "meeting", "it"}, w)
	})
	rest = strings.Join(words, " ")
	switch rest {
	case "", "day", "same day":
		return clock, "appointment.startTime", true
	case "before", "day before", "previous day", "evening before", "morning before", "night before", "eve":
		return clock, "addDays(appointment.startTime, -1)", true
	case "after", "day after", "next day", "following day", "morning after":
		return clock, "addDays(appointment.startTime, 1)", true
	case "today":
		return clock, "now()", true
	case "tomorrow":
		return clock, "addDays(now(), 1)", true
	}
	day, ok = offset(rest)
	return clock, day, ok
}

func isOperatorName(word string) bool {
	return slices.ContainsFunc(lang.Operators(), func(w lang.Word) bool { return strings.EqualFold(w.Name, word) && w.Name != "in" })
}

var workdays = regexp.MustCompile(`(?i)\b(?:working|business|work)[ -]?days?\b`)

var amounts = regexp.MustCompile(`^(?i)(in +)?([-+]?) *(?:duration\( *["']([^"']*)["'] *\)|P((?:[0-9]+D)?(?:T(?:[0-9]+H)?(?:[0-9]+M)?(?:[0-9]+S)?)?)|(?:an? +|one +)([a-z]+)|((?:[0-9][0-9.]*[ -]*[a-z]+[ ,]*)+))(.*)$`)

// offset reads a duration written without a time to count it from, and the words after it: -24h, 2 hours after the
// end, duration("1d") before.
func offset(text string) (string, bool) {
	m := amounts.FindStringSubmatch(workdays.ReplaceAllString(text, "workdays"))
	if m == nil {
		return "", false
	}
	amount := cmp.Or(m[3], strings.NewReplacer("D", "d", "H", "h", "M", "m", "S", "s", "T", "").Replace(strings.ToUpper(m[4])), m[6])
	if m[5] != "" {
		amount = "1 " + m[5]
	}
	if m[6] != "" {
		amount = strings.ReplaceAll(amount, "-", " ")
	}
	words := strings.Fields(strings.ToLower(m[7]))
	sign, anchor, ok := relation(words)
	if !ok {
		return "", false
	}
	if m[2] != "" && sign != "" || m[3] != "" && slices.Contains(words, "+") { // with a "+" it is an expression
		return "", false
	}
	if m[1] != "" && anchor == "" {
		anchor = "now()"
	}
	if sign = cmp.Or(m[2], sign); sign == "" {
		sign = "-"
		if anchor == "now()" {
			sign = "+"
		}
	}
	if anchor == "" {
		if anchor = "appointment.startTime"; sign == "+" {
			anchor = "appointment.endTime"
		}
	}
	if m[3] != "" { // written as a duration, so it is one
		return fmt.Sprintf("%s %s duration(%q)", anchor, sign, amount), true
	}
	return lang.Stretch{Sign: sign, Amount: amount}.From(anchor)
}

// relation reads what a duration is counted from, such as "before the start". ok is false if there are other words.
func relation(words []string) (sign, anchor string, ok bool) {
	for _, w := range words {
		switch w {
		case "before", "earlier", "prior", "ahead", "-":
			sign = "-"
		case "after", "later", "past", "from", "+":
			sign = "+"
		case "start", "starts", "starting", "begin", "begins", "beginning", "starttime", "appointment.starttime":
			anchor = "appointment.startTime"
		case "end", "ends", "ending", "endtime", "appointment.endtime":
			anchor = "appointment.endTime"
		case "now", "now()":
			anchor = "now()"
		case "the", "of", "to", "it", "its", "time", "appointment", "appointment's", "booking", "visit", "meeting":
		default:
			return "", "", false
		}
	}
	return sign, anchor, true
}

// momentOf returns the expression for the value of a key that other programs use for waiting: before: 24h.
func momentOf(key, value string) (string, bool) {
	value = strings.TrimSpace(value)
	switch text.FoldWord(key) {
	case "before":
		return lang.Stretch{Sign: "-", Amount: value}.From("appointment.startTime")
	case "after":
		return lang.Stretch{Sign: "+", Amount: value}.From("appointment.endTime")
	}
	return lang.Stretch{Sign: "+", Amount: value}.From("now()")
}
