package live

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"bellhop/rules/text"
)

// A FileStatus says whether the content of a rule file is in force and, if not, why.
type FileStatus struct {
	Path     string         `json:"path"`
	Status   Status         `json:"status"`
	Error    string         `json:"error"`    // one sentence, "" if the status is ok
	Findings []text.Finding `json:"findings"` // in the file as it is, including warnings
	Lines    []string       `json:"lines"`    // for each finding, the line that it points at

	// The version in force. It differs from the file if the status is failed.
	InForce  bool      `json:"inForce"` // there is a version in force
	Hash     string    `json:"hash"`    // the first 12 digits of its SHA-256, "" if there is none
	LoadedAt time.Time `json:"loadedAt"`
	Rules    int       `json:"rules"`
	People   int       `json:"people"` // people, calendars and locations
}

// Status is ok if the content of a file is in force.
type Status string

const (
	OK     Status = "ok"
	Failed Status = "failed"
)

// maxLine is how many characters of a line are shown.
const maxLine = 200

func short(sum [sha256.Size]byte) string { return hex.EncodeToString(sum[:6]) }

// publish makes the current state visible to everybody.
func (f *Folder) publish() {
	f.dirty = false
	s := &Snapshot{Set: f.set, Problem: f.problem, Files: make([]FileStatus, 0, len(f.files)), Versions: []FileVersion{}}
	for _, path := range slices.Sorted(maps.Keys(f.files)) {
		fl := f.files[path]
		if fl.force != nil {
			s.Versions = append(s.Versions, FileVersion{Path: path, Hash: fl.force.hash()})
		}
		if !fl.taken.gone || fl.unquiet { // otherwise it is new and has not settled
			s.Files = append(s.Files, fl.status(f.problem))
		}
	}
	s.ID = SetID(s.Versions)
	f.now.Store(s)
}

// SetID returns the [Snapshot.ID] of versions that are sorted by path.
func SetID(list []FileVersion) string {
	h := sha256.New()
	for _, v := range list {
		_, _ = fmt.Fprintf(h, "%q %s\n", v.Path, v.Hash)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

func (f *Folder) tell() {
	if f.o.Changed != nil {
		f.o.Changed(f.Snapshot())
	}
}

func (fl *file) status(problem string) FileStatus {
	s := FileStatus{Path: fl.path, Status: OK, Findings: slices.Concat(fl.findings, fl.joined)}
	for _, found := range s.Findings {
		s.Lines = append(s.Lines, fl.lines[found.Line])
	}
	if v := fl.force; v != nil {
		s.InForce, s.Hash, s.LoadedAt, s.Rules, s.People = true, short(v.sum), v.at, len(v.file.Rules), v.file.People()
	}
	switch {
	case problem != "":
		s.Error = problem
	case fl.unquiet:
		s.Error = "the file keeps changing and is not taken until it rests"
	case fl.force == nil || fl.taken.sum != fl.force.sum || fl.force.old && text.HasErrors(fl.findings):
		s.Error = firstError(s.Findings)
	default:
		return s
	}
	s.Status = Failed
	switch {
	case s.InForce && problem != "":
		s.Error += "; the rules of this file stay in force"
	case s.InForce:
		s.Error += fmt.Sprintf("; its last good version, %s of %s, stays in force", s.Hash, s.LoadedAt.UTC().Format(time.RFC3339))
	case fl.stale != "":
		s.Error += "; " + fl.stale
	default:
		s.Error += "; none of its rules is in force"
	}
	return s
}

// firstError returns the first error, and how many more there are.
func firstError(findings []text.Finding) string {
	first, more := "", -1
	for _, found := range findings {
		if found.Severity != text.Error {
			continue
		}
		if more++; more == 0 {
			first = found.Place() + ": " + found.Message
		}
	}
	if more > 0 {
		first += fmt.Sprintf(" (and %d more)", more)
	}
	return first
}

// report reports the findings of one file.
func (f *Folder) report(fl *file, findings []text.Finding) {
	failed := text.HasErrors(findings)
	told := findings[:min(len(findings), loggedFindings)]
	if f.o.Found != nil && len(told) > 0 {
		f.o.Found(told)
	} else {
		for _, found := range told {
			log := f.log.Warn
			if found.Severity == text.Error {
				log = f.log.Error
			}
			log("a finding in a rule file", "at", found.Place(), "severity", found.Severity, "message", found.Message,
				"text", fl.lines[found.Line], "suggestion", found.Suggestion)
		}
	}
	if more := len(findings) - len(told); more > 0 {
		f.log.Warn("more findings in a rule file are not shown; check lists all", "file", fl.path, "findings", more)
	}
	if !failed {
		return
	}
	if v := fl.force; v != nil {
		f.log.Error("a rule file was not loaded; its last good version stays in force",
			"file", fl.path, "version", short(v.sum), "of", v.at, "rules", len(v.file.Rules))
	} else {
		f.log.Error("a rule file was not loaded, and no version of it is in force", "file", fl.path)
	}
}

// pointedAt adds to lines the lines of data that findings point at, by number.
func pointedAt(lines map[int]string, data []byte, findings []text.Finding) map[int]string {
	want := map[int]bool{}
	for _, found := range findings {
		want[found.Line] = true
	}
	for n := 1; len(data) > 0 && len(want) > 0; n++ {
		line, rest, _ := bytes.Cut(data, []byte("\n"))
		if want[n] {
			if lines == nil {
				lines = map[int]string{}
			}
			lines[n] = shown(line)
		}
		data = rest
	}
	return lines
}

func shown(line []byte) string {
	text := strings.ToValidUTF8(strings.TrimRight(string(line), "\r"), "\uFFFD")
	if utf8.RuneCountInString(text) > maxLine {
		text = string([]rune(text)[:maxLine]) + "…"
	}
	return text
}
