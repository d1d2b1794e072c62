package text

import (
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// An ignore is a comment that silences warnings on purpose:
//
//	when: appointment.title != ""   # bellhop: ignore always-true
//
// At the end of a line, it applies to that line. On a line of its own, it applies to what begins on the next line,
// with everything that belongs to it: a rule, a step, a key.
type ignore struct {
	Ignore
	at Span // where the code is written
}

// An Ignore is a comment that silences warnings.
type Ignore struct {
	From, To int // the lines it applies to, counted from 1
	Code     string
	Unused   Finding // what is wrong with it if there is no such warning
}

// silences reports whether the comment applies to a finding.
func (i Ignore) silences(f Finding) bool {
	return f.Severity == Warning && f.Code == i.Code && i.covers(f)
}

func (i Ignore) covers(f Finding) bool { return f.Line >= i.From && f.Line <= i.To }

const codeIgnore = "ignore"

// Ignores are the comments of one file that apply to findings about several files together.
type Ignores []Ignore

var (
	ignoreComment = regexp.MustCompile(`(?m)(?:^|[ \t])#[ \t]*bellhop[ \t]*:[ \t]*([^\r\n]*)`)
	ignoreWord    = regexp.MustCompile(`[^\s,]+`)
)

// Silence removes the findings that comments of the file ignore, and reports comments that ignore nothing. Comments
// for the codes in late, whose findings are about several files together, are returned.
func (r *Document) Silence(late ...string) Ignores {
	var out Ignores
	for _, i := range r.ignores() {
		before := len(r.findings)
		r.findings = slices.DeleteFunc(r.findings, i.silences)
		switch {
		case len(r.findings) < before:
		case slices.Contains(late, i.Code):
			i.Unused = r.finding(Warning, codeIgnore, i.at, "", noneIgnored, Quote(i.Code))
			out = append(out, i.Ignore)
		case slices.ContainsFunc(r.findings, func(f Finding) bool { return f.Code == i.Code && i.covers(f) }):
			r.Warnf(codeIgnore, i.at, "", "%s is a mistake here, and only warnings can be ignored", Quote(i.Code))
		default:
			var codes []string
			for _, f := range r.findings {
				if f.Severity == Warning && i.covers(f) {
					codes = append(codes, f.Code)
				}
			}
			near := Closest(i.Code, codes)
			r.Warnf(codeIgnore, i.at, near, noneIgnored+"%s", Quote(i.Code), DidYouMean(near))
		}
	}
	return out
}

const noneIgnored = "there is no warning %s to ignore here"

// ignores reads the comments of the file that begin with "bellhop:" and reports those that cannot be understood.
func (r *Document) ignores() (out []ignore) {
	if r.src.root == nil {
		return nil
	}
	data := string(r.src.data)
	var scalars []Span
	for _, m := range comments(data) {
		if scalars == nil {
			scalars = r.src.scalars()
		}
		at := m[0] + strings.IndexByte(data[m[0]:], '#')
		if slices.ContainsFunc(scalars, func(s Span) bool { return s.From <= at && at < s.To }) {
			continue // inside a text
		}
		words := ignoreWord.FindAllStringIndex(data[m[2]:m[3]], -1)
		place := func(word []int) Span { return Span{m[2] + word[0], m[2] + word[1]} }
		if len(words) == 0 || data[m[2]+words[0][0]:m[2]+words[0][1]] != "ignore" {
			where, suggestion := Span{at, m[3]}, ""
			if len(words) > 0 {
				where, suggestion = place(words[0]), "ignore"
			}
			r.Warnf(codeIgnore, where, suggestion, "after bellhop: write ignore and the warning, such as # bellhop: ignore missing-value")
			continue
		}
		if len(words) == 1 {
			r.Warnf(codeIgnore, place(words[0]), "", "write which warning to ignore, such as # bellhop: ignore missing-value")
		}
		from, to := r.src.ignored(at)
		for _, word := range words[1:] {
			code := place(word)
			out = append(out, ignore{Ignore{From: from, To: to, Code: data[code.From:code.To]}, code})
		}
	}
	return out
}

// comments returns the matches of [ignoreComment]. It looks only at lines that can have one.
func comments(data string) (out [][]int) {
	from := 0
	for line := range strings.Lines(data) {
		if strings.Contains(line, "bellhop") {
			for _, m := range ignoreComment.FindAllStringSubmatchIndex(line, -1) {
				for k := range m {
					m[k] += from
				}
				out = append(out, m)
			}
		}
		from += len(line)
	}
	return out
}

// scalars returns the places of all texts of the file.
func (s *source) scalars() (out []Span) {
	var walk func(n *yaml.Node)
	walk = func(n *yaml.Node) {
		if n.Kind == yaml.ScalarNode {
			out = append(out, s.span(n))
		}
		for _, c := range n.Content {
			walk(c)
		}
	}
	walk(s.root)
	return out
}

// ignored returns the lines that a comment at an offset applies to.
func (s *source) ignored(at int) (from, to int) {
	line, _ := s.position(at)
	lines := SplitLines(string(s.data))
	blank := func(i int) bool {
		text := strings.TrimSpace(lines[i])
		return text == "" || text[0] == '#'
	}
	if !blank(line - 1) {
		return line, line
	}
	first := line
	for first < len(lines) && blank(first) {
		first++
	}
	if first == len(lines) {
		return line, line
	}
	indent := func(i int) int { return len(lines[i]) - len(strings.TrimLeft(lines[i], " ")) }
	dash := func(i int) bool { return strings.HasPrefix(strings.TrimLeft(lines[i], " "), "-") }
	last := first
	for i := first + 1; i < len(lines); i++ {
		if strings.TrimSpace(lines[i]) == "" {
			continue
		}
		deeper := indent(i) > indent(first) || indent(i) == indent(first) && dash(i) && !dash(first) // the list that belongs to a key
		if !deeper {
			break
		}
		last = i
	}
	return first + 1, last + 1
}

// Silence removes the findings that the comments ignore, and adds a finding for each comment that ignores nothing.
func (of Ignores) Silence(findings []Finding) []Finding {
	for _, i := range of {
		before := len(findings)
		findings = slices.DeleteFunc(findings, func(f Finding) bool { return f.File == i.Unused.File && i.silences(f) })
		if len(findings) == before {
			findings = append(findings, i.Unused)
		}
	}
	return findings
}
