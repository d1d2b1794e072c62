package rules

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
// At the end of a line it is for what stands on that line. On a line of its own it is for what begins on the next, with
// all that belongs to it: a rule, a step, a key.
type ignore struct {
	from, to int // the lines, from 1
	code     string
	at       span // of the code
	place    Finding
}

// silences says whether a finding is one that the comment is for.
func (i ignore) silences(f Finding) bool {
	return f.Severity == Warning && f.Code == i.code && f.Line >= i.from && f.Line <= i.to
}

// lateCodes are those of findings that are made of several files: see [NewSet].
var lateCodes = []string{codeSameSend}

const (
	codeSameSend = "same-send"
	codeIgnore   = "ignore"
)

var (
	ignoreComment = regexp.MustCompile(`(?m)(?:^|[ \t])#[ \t]*bellhop[ \t]*:[ \t]*([^\r\n]*)`)
	ignoreWord    = regexp.MustCompile(`[^\s,]+`)
)

// silence takes away the findings that comments of the file ignore, and reports the comments that ignore none. It
// returns those that are for what is found in several files together.
func (r *report) silence() []ignore {
	var late []ignore
	for _, i := range r.ignores() {
		before := len(r.findings)
		r.findings = slices.DeleteFunc(r.findings, i.silences)
		switch {
		case len(r.findings) < before:
		case slices.Contains(lateCodes, i.code):
			i.place = r.finding(Warning, codeIgnore, i.at, "", noneIgnored, quote(i.code))
			late = append(late, i)
		case slices.ContainsFunc(r.findings, func(f Finding) bool { return f.Code == i.code && f.Line >= i.from && f.Line <= i.to }):
			r.warnf(codeIgnore, i.at, "", "%s is a mistake here, and only warnings can be ignored", quote(i.code))
		default:
			near := closest(i.code, codesOf(r.findings, i.from, i.to))
			r.warnf(codeIgnore, i.at, near, noneIgnored+"%s", quote(i.code), didYouMean(near))
		}
	}
	return late
}

const noneIgnored = "there is no warning %s to ignore here"

func codesOf(findings []Finding, from, to int) (codes []string) {
	for _, f := range findings {
		if f.Severity == Warning && f.Line >= from && f.Line <= to {
			codes = append(codes, f.Code)
		}
	}
	return codes
}

// ignores reads the comments of the file that begin with bellhop: and reports those that say nothing.
func (r *report) ignores() (out []ignore) {
	if r.src.root == nil || !strings.Contains(string(r.src.data), "bellhop") {
		return nil
	}
	data := string(r.src.data)
	scalars := r.src.scalars()
	for _, m := range ignoreComment.FindAllStringSubmatchIndex(data, -1) {
		at := m[0] + strings.IndexByte(data[m[0]:], '#')
		if slices.ContainsFunc(scalars, func(s span) bool { return s.from <= at && at < s.to }) {
			continue // in a text
		}
		words := ignoreWord.FindAllStringIndex(data[m[2]:m[3]], -1)
		place := func(word []int) span { return span{m[2] + word[0], m[2] + word[1]} }
		if len(words) == 0 || data[m[2]+words[0][0]:m[2]+words[0][1]] != "ignore" {
			where, suggestion := span{at, m[3]}, ""
			if len(words) > 0 {
				where, suggestion = place(words[0]), "ignore"
			}
			r.warnf(codeIgnore, where, suggestion, "after bellhop: write ignore and the warning, such as # bellhop: ignore missing-value")
			continue
		}
		if len(words) == 1 {
			r.warnf(codeIgnore, place(words[0]), "", "write which warning to ignore, such as # bellhop: ignore missing-value")
		}
		from, to := r.src.ignored(at)
		for _, word := range words[1:] {
			code := place(word)
			out = append(out, ignore{from: from, to: to, code: data[code.from:code.to], at: code})
		}
	}
	return out
}

// scalars are the places of all texts of the file.
func (s *source) scalars() (out []span) {
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

// ignored are the lines that a comment at an offset is for.
func (s *source) ignored(at int) (from, to int) {
	line, _ := s.position(at)
	lines := strings.Split(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(s.data)), "\n")
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
		deeper := indent(i) > indent(first) || indent(i) == indent(first) && dash(i) && !dash(first) // the list of a key
		if !deeper {
			break
		}
		last = i
	}
	return first + 1, last + 1
}

// unignored are the findings about several files that none of them ignores, and those about comments that ignore none.
func unignored(findings []Finding, files []*File) []Finding {
	for _, f := range files {
		for _, i := range f.ignores {
			before := len(findings)
			findings = slices.DeleteFunc(findings, func(of Finding) bool { return of.File == f.Path && i.silences(of) })
			if len(findings) == before {
				findings = append(findings, i.place)
			}
		}
	}
	return findings
}
