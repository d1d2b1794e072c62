package rules

import (
	"net/mail"
	"strings"
	"unicode"

	"bellhop/rules/lang"
	"bellhop/rules/text"
)

// A person who books must not choose recipients. In an address, a value is one display name or one address, depending on
// its place: before the <…>, inside it, or alone. Only an expression whose value is a list stands for several.

// addressee says how a value between two parts of a text with addresses is escaped.
func addressee(before, after string) escape {
	before, quoted := lastItem(before)
	after, _, _ = strings.Cut(after, ",")
	switch {
	case quoted:
		return escapeQuoted
	case inAngles(before):
		if strings.HasSuffix(strings.TrimSpace(before), "<") && strings.HasPrefix(strings.TrimSpace(after), ">") {
			return escapeAddress
		}
		return escapeAddressPart
	case strings.Contains(after, "<"):
		return escapeName
	case strings.TrimSpace(before+after) == "":
		return escapeMailbox
	}
	return escapeAddressPart
}

// lastItem returns the text after the last comma that is not in quotes, and whether it ends inside quotes.
func lastItem(s string) (item string, quoted bool) {
	from := 0
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == ',' && !quoted:
			from = i + 1
		}
	}
	return s[from:], quoted
}

// noMailbox reports whether a rendered text names nobody: it is empty, or has an empty address.
func noMailbox(s string) bool {
	s = strings.TrimSpace(s)
	inner, ok := strings.CutSuffix(s, ">")
	return s == "" || ok && strings.HasSuffix(strings.TrimSpace(inner), "<")
}

func inAngles(s string) bool { return strings.LastIndexByte(s, '<') > strings.LastIndexByte(s, '>') }

// displayName returns a value as a display name, "" if it is empty.
func displayName(s string) string {
	if s = strings.TrimSpace(oneLine(s)); s == "" {
		return ""
	}
	if !strings.ContainsAny(s, `()<>[]:;@\,."=?`) { // no character has a special meaning
		return s
	}
	return `"` + quotedText.Replace(s) + `"`
}

var quotedText = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// oneAddress returns a value as one mailbox, with its name if named is set. "" stays "".
func oneAddress(s string, named bool) (string, error) {
	trimmed := strings.TrimSpace(oneLine(s))
	if trimmed == "" {
		return "", nil
	}
	a, err := mail.ParseAddress(trimmed)
	if err != nil { // a domain may end in the dot of the root
		a, err = mail.ParseAddress(strings.TrimSuffix(trimmed, "."))
	}
	if err != nil || strings.ContainsAny(trimmed, ";,") && a.Name == "" {
		return "", lang.Errorf("%s is not one e-mail address", text.Quote(shorten(trimmed)))
	}
	if !named || a.Name == "" {
		return strings.Trim((&mail.Address{Address: a.Address}).String(), "<>"), nil
	}
	return displayName(a.Name) + " <" + strings.Trim((&mail.Address{Address: a.Address}).String(), "<>") + ">", nil
}

// addressPart returns a value that is a part of an address, such as the part before its @.
func addressPart(s string) (string, error) {
	s = strings.TrimSpace(oneLine(s))
	if strings.ContainsFunc(s, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("!#$%&'*+-/=?^_`{|}~.@", r)
	}) {
		return "", lang.Errorf("%s cannot be a part of an e-mail address", text.Quote(shorten(s)))
	}
	return s, nil
}

// oneLine replaces line breaks and other control characters by a space. A line break would begin another header.
func oneLine(s string) string {
	if !strings.ContainsFunc(s, unicode.IsControl) {
		return s
	}
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return unicode.IsControl(r) }), " ")
}

func shorten(s string) string {
	if r := []rune(s); len(r) > 100 {
		return string(r[:100]) + "…"
	}
	return s
}
