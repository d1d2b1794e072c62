package lang

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"bellhop/actions"
)

// ClockTime reads times such as 9am, 09:00 and 9:30 pm and returns them as 15:04.
func ClockTime(text string) (string, bool) {
	m := clockWords.FindStringSubmatch(text)
	if m == nil || m[2] == "" && m[3] == "" && !strings.EqualFold(m[4], "o'clock") && !strings.EqualFold(m[4], "uhr") {
		return "", false
	}
	hour, _ := strconv.Atoi(m[1])
	minute, _ := strconv.Atoi(m[2])
	if half := strings.ToLower(m[3]); half != "" {
		if hour < 1 || hour > 12 {
			return "", false
		}
		if hour %= 12; half[0] == 'p' {
			hour += 12
		}
	} else if strings.Contains(text, ".") { // a decimal number
		return "", false
	}
	return fmt.Sprintf("%02d:%02d", hour, minute), hour < 24 && minute < 60
}

// A Stretch is an amount of time with its sign, such as 24h or 3 days.
type Stretch struct{ Sign, Amount string }

var calendarAmount = regexp.MustCompile(`^(?i)([0-9]{1,4}) ?(?:(d|days?)|(w|wks?|weeks?)|(mths?|months?)|(y|yrs?|years?)|(?:workdays?|weekdays?))[ ,]*$`)

// From returns the expression for the time that is this much before or after another. Days and longer are counted on
// the calendar, because a day is not always 24 hours long.
func (c Stretch) From(anchor string) (string, bool) {
	m := calendarAmount.FindStringSubmatch(c.Amount)
	if m == nil {
		amount, ok := ReadDuration(c.Amount)
		return fmt.Sprintf("%s %s duration(%q)", anchor, c.Sign, amount), ok
	}
	n, _ := strconv.Atoi(m[1]) // digits only
	function := "addWorkdays"
	switch {
	case m[2] != "":
		function = "addDays"
	case m[3] != "":
		function, n = "addDays", 7*n
	case m[4] != "":
		function = "addMonths"
	case m[5] != "":
		function, n = "addMonths", 12*n
	}
	if c.Sign == "-" {
		n = -n
	}
	return fmt.Sprintf("%s(%s, %d)", function, anchor, n), true
}

// ReadDuration reads a duration, and also what is nearly one, such as 24 hours.
func ReadDuration(text string) (string, bool) {
	text = strings.TrimRight(text, " ,")
	_, err := actions.ParseDuration(text)
	if wrong, is := errors.AsType[*actions.DurationError](err); is {
		return wrong.Suggestion, wrong.Suggestion != ""
	}
	return text, err == nil
}

var clockWords = regexp.MustCompile(`^(?i)([0-9]{1,2})(?:[:.]([0-9]{2}))?(?:[:.][0-9]{2})?(?: ?(am|pm|a\.m\.|p\.m\.)| ?(h|hrs|o'clock|uhr))?$`)
