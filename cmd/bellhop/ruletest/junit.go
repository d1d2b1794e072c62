package ruletest

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"bellhop/rules/text"
)

type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Errors   int          `xml:"errors,attr"`
	Time     string       `xml:"time,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Time     string      `xml:"time,attr"`
	Cases    []junitCase `xml:"testcase"`
	seconds  float64
}

type junitCase struct {
	Name    string        `xml:"name,attr"`
	Class   string        `xml:"classname,attr"`
	File    string        `xml:"file,attr"`
	Line    int           `xml:"line,attr"`
	Time    string        `xml:"time,attr"`
	Failure *junitProblem `xml:"failure"`
	Error   *junitProblem `xml:"error"`
}

type junitProblem struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr"`
	Text    string `xml:",chardata"`
}

// WriteJUnit writes results in the JUnit XML that CI systems read, with a suite for each test file. Each mistake in a
// file is a test case with an error. A test that was not run because of a mistake has an error too.
func WriteJUnit(w io.Writer, results []*Result) error {
	var all junitSuites
	seconds := 0.0
	for _, r := range results {
		s := suiteOf(r)
		all.Tests, all.Failures, all.Errors = all.Tests+s.Tests, all.Failures+s.Failures, all.Errors+s.Errors
		seconds += s.seconds
		all.Suites = append(all.Suites, s)
	}
	all.Time = inSeconds(seconds)
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(&all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func suiteOf(r *Result) junitSuite {
	file := filepath.ToSlash(r.File)
	s := junitSuite{Name: file, Cases: []junitCase{}}
	add := func(c junitCase) {
		s.Tests++
		c.Class, c.File = strings.TrimSuffix(strings.TrimSuffix(file, filepath.Ext(file)), ".test"), cmp.Or(c.File, file)
		if c.Failure != nil {
			s.Failures++
		}
		if c.Error != nil {
			s.Errors++
		}
		s.Cases = append(s.Cases, c)
	}
	for _, f := range r.Findings {
		if f.Severity == text.Error {
			f.File = filepath.ToSlash(f.File)
			add(junitCase{
				Name: f.Place(), File: f.File, Line: f.Line, Time: inSeconds(0),
				Error: &junitProblem{Message: f.Message, Type: f.Code, Text: f.Place() + ": " + f.Message},
			})
		}
	}
	for i := range r.Tests {
		t := &r.Tests[i]
		c := junitCase{Name: t.Name, Line: t.Line, Time: inSeconds(t.Seconds)}
		switch t.Status {
		case Failed:
			c.Failure = &junitProblem{Message: t.Differences[0].Message, Type: "difference", Text: t.Report()}
		case NotRun:
			c.Error = &junitProblem{Message: "not run because of a mistake", Type: "not-run"}
		}
		s.seconds += t.Seconds
		add(c)
	}
	s.Time = inSeconds(s.seconds)
	return s
}

func inSeconds(s float64) string { return fmt.Sprintf("%.6f", s) }

// Report describes the test's differences for people: a sentence for each, and below it the lines that differ.
func (t *Test) Report() string {
	var b strings.Builder
	if len(t.Happened) > 0 {
		fmt.Fprintf(&b, "the event was %s\n", strings.Join(t.Happened, ", "))
	}
	for _, d := range t.Differences {
		fmt.Fprintf(&b, "line %d: %s\n", d.Line, d.Message)
		for l := range strings.Lines(d.Diff) {
			b.WriteString("    " + l)
		}
	}
	return b.String()
}
