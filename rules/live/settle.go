package live

import (
	"cmp"
	"context"
	"crypto/sha256"
	"io/fs"
	"maps"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"bellhop/rules"
	"bellhop/rules/text"
)

// look reads an entry and records what shows that it need not be read again.
func (f *Folder) look(fl *file, e entry) (look, []byte) {
	fl.info, fl.real, fl.read = e.info, e.real, time.Now()
	if e.problem != (trouble{}) {
		return look{problem: e.problem}, nil
	}
	data, problem := read(e.real)
	if problem != (trouble{}) {
		return look{problem: problem}, nil
	}
	return look{sum: sha256.Sum256(data), size: len(data)}, data
}

// newFile adds a file that was never taken.
func (f *Folder) newFile(path string) *file {
	fl := &file{path: path, taken: look{gone: true}}
	f.files[path] = fl
	return fl
}

// see compares the listing with the content taken.
func (f *Folder) see(l *listing, all, poll bool) {
	var due map[*file]bool
	if poll && !all {
		due = f.reread()
	}
	there := make(map[string]bool, len(l.files))
	for _, e := range l.files {
		there[e.path] = true
		fl := f.files[e.path]
		if fl == nil {
			fl = f.newFile(e.path)
		}
		if all || due[fl] || fl.changed(e) {
			seen, _ := f.look(fl, e)
			f.note(fl, seen)
		}
	}
	for path, fl := range f.files {
		if there[path] {
			continue
		}
		fl.info = nil
		if why, ok := l.unreadable(path); ok {
			f.note(fl, look{problem: why})
		} else if fl.taken.gone {
			delete(f.files, path) // it was removed before it was taken
		} else {
			f.note(fl, look{gone: true})
		}
	}
}

// changed reports whether a file must be read to know its content.
func (fl *file) changed(e entry) bool {
	was, is := fl.info, e.info
	if fl.pending || e.problem != fl.taken.problem || was == nil || is == nil || fl.real != e.real {
		return true
	}
	if was.Size() != is.Size() || !was.ModTime().Equal(is.ModTime()) || was.Mode() != is.Mode() || !os.SameFile(was, is) {
		return true
	}
	return fl.read.Sub(is.ModTime()).Abs() < fresh
}

// reread picks the files that were not read for the longest time, as many as a poll can afford; in a small folder,
// all of them. It finds changes that left size and time unchanged, and those that a network mount reports late.
func (f *Folder) reread() map[*file]bool {
	oldest := slices.SortedFunc(maps.Values(f.files), func(a, b *file) int { return a.read.Compare(b.read) })
	due := map[*file]bool{}
	bytes := 0
	for _, fl := range oldest {
		if bytes += fl.taken.size; len(due) == rereadFiles || bytes > rereadBytes {
			break
		}
		due[fl] = true
	}
	return due
}

// note records the result of a look.
func (f *Folder) note(fl *file, seen look) {
	now := time.Now()
	switch {
	case seen == fl.taken:
		fl.pending, fl.ready = false, false
		if fl.unquiet {
			fl.unquiet, f.dirty = false, true
		}
	case !fl.pending:
		fl.pending, fl.ready = true, false
		fl.seen, fl.since, fl.began = seen, now, now
	case seen != fl.seen:
		fl.ready = false
		fl.seen, fl.since = seen, now
	default:
		fl.ready = now.Sub(fl.since) >= fl.patience()
	}
}

// patience returns how long the new content must stay the same.
func (fl *file) patience() time.Duration {
	if fl.seen.size == 0 || fl.seen.size < fl.taken.size || fl.force != nil && fl.seen.size < fl.force.size {
		return doubtful // a file that is gone or unreadable has size 0
	}
	return calm
}

// settle takes everything that has settled, all of it at once.
func (f *Folder) settle(ctx context.Context) {
	now := time.Now()
	var ready []*file
	waiting, oldest := false, now
	for _, path := range slices.Sorted(maps.Keys(f.files)) {
		fl := f.files[path]
		if fl.ready {
			ready = append(ready, fl)
			if fl.since.Before(oldest) {
				oldest = fl.since
			}
		} else if fl.pending {
			waiting = true
		}
	}
	if len(ready) == 0 || waiting && now.Sub(oldest) < batch {
		return
	}
	contents := make([][]byte, len(ready))
	for i, fl := range ready {
		if !fl.seen.readable() {
			continue
		}
		var info fs.FileInfo
		if info, _ = os.Stat(fl.real); info == nil {
			info = fl.info
		}
		seen, data := f.look(fl, entry{path: fl.path, real: fl.real, info: info})
		if seen != fl.seen {
			f.note(fl, seen)
			continue
		}
		contents[i] = data
	}
	results := make([]*compiled, len(ready))
	everywhere(len(ready), func(i int) {
		if fl := ready[i]; fl.ready && fl.seen.readable() && !fl.inForce(fl.seen) && ctx.Err() == nil {
			results[i] = f.compile(fl, contents[i])
		}
	})
	if ctx.Err() != nil {
		return
	}
	for i, fl := range ready {
		if fl.ready {
			f.take(fl, fl.seen, contents[i], results[i])
		}
	}
	for f.rejoin {
		f.join()
	}
}

// everywhere calls do for the numbers below n on all processors, and waits.
func everywhere(n int, do func(i int)) { atOnce(runtime.GOMAXPROCS(0), n, do) }

// atOnce calls do for the numbers below n, several at once, and waits.
func atOnce(several, n int, do func(i int)) {
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(several, n) {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	workers.Wait()
}

// inForce reports whether the content is that of the version in force.
func (fl *file) inForce(content look) bool {
	return fl.force != nil && fl.force.sum == content.sum && !fl.force.old
}

// take makes the new content the file's content. If it is broken, the version in force stays. result is what compiling
// it gave, nil if there is no content or it is in force.
func (f *Folder) take(fl *file, seen look, data []byte, result *compiled) {
	f.dirty = true
	if fl.candidate != nil || fl.joined != nil {
		f.rejoin = true
	}
	fl.taken = seen
	fl.pending, fl.ready, fl.unquiet = false, false, false
	fl.findings, fl.joined, fl.lines, fl.candidate = nil, nil, nil, nil
	switch {
	case seen.gone:
		delete(f.files, fl.path)
		f.good.put(fl.path, nil)
		f.rejoin = f.rejoin || fl.force != nil
		f.log.Info("a rule file is gone, and so are its rules", "file", fl.path)
		return
	case seen.problem != (trouble{}):
		fl.findings = []text.Finding{seen.problem.finding(fl.path)}
	case fl.inForce(seen):
		fl.findings = fl.force.findings
	default:
		fl.findings = result.findings
		if result.file != nil {
			f.order++
			fl.candidate = &version{
				file: result.file, sum: seen.sum, size: seen.size, order: f.order, findings: fl.findings, data: data,
			}
			f.rejoin = true
		}
	}
	fl.lines = pointedAt(nil, data, fl.findings)
	f.report(fl, fl.findings)
}

// join makes one set of the versions in force and the candidates. A candidate that cannot be joined (another file
// uses one of its names) leaves its own last good version in force. It stays a candidate and comes into force when
// the conflict is gone. If some candidates win and others lose, join must run again, because the losers may have lost
// to the old versions of the winners.
func (f *Folder) join() {
	f.dirty = true
	j := joining{losers: map[*file][]text.Finding{}, before: map[*file][]text.Finding{}}
	for _, fl := range f.files {
		j.before[fl] = fl.joined
		if fl.force != nil {
			j.old = append(j.old, fl)
		}
		if fl.candidate != nil {
			j.newcomers = append(j.newcomers, fl)
		}
	}
	slices.SortFunc(j.old, func(a, b *file) int { return cmp.Compare(a.force.order, b.force.order) })
	slices.SortFunc(j.newcomers, func(a, b *file) int { return cmp.Compare(a.candidate.order, b.candidate.order) })
	// First all candidates together, so that two files may swap a name; then those without the losers, and so on,
	// until nobody loses.
	for again := true; again; {
		again = f.turn(&j)
		if !again && !j.late {
			j.late = true
			again = j.secondChance()
		}
	}
	f.finish(&j)
}

// A joining is one search for the candidates that can come into force together.
type joining struct {
	old, newcomers []*file // files with a version in force, and files with a candidate, oldest first
	losers         map[*file][]text.Finding
	before         map[*file][]text.Finding // the findings of the last joining
	late           bool                     // the losers have had a second chance
}

// files returns the versions that are tried together, candidates last, and which of them are candidates.
func (j *joining) files() ([]*rules.File, map[*file]bool) {
	var files []*rules.File
	trying := map[*file]bool{}
	for _, fl := range j.newcomers {
		trying[fl] = j.losers[fl] == nil
	}
	for _, fl := range j.old {
		if !trying[fl] && fl.force != nil {
			files = append(files, fl.force.file)
		}
	}
	for _, fl := range j.newcomers {
		if trying[fl] {
			files = append(files, fl.candidate.file)
		}
	}
	return files, trying
}

// turn tries the candidates that have not lost, and reports whether one of them loses.
func (f *Folder) turn(j *joining) bool {
	files, trying := j.files()
	set, findings := f.set.Changed(files)
	for _, fl := range f.files {
		fl.joined = j.losers[fl]
	}
	lost := false
	for _, found := range findings {
		fl := f.files[found.File]
		if fl == nil || found.Severity != text.Error && !fl.shows(trying[fl]) {
			continue
		}
		fl.joined = append(fl.joined, found)
		if found.Severity != text.Error {
			continue
		}
		if !trying[fl] && fl.force != nil {
			// Two stored versions were never in force together.
			if fl.candidate == nil {
				fl.candidate = fl.force
				j.newcomers = append(j.newcomers, fl)
			}
			fl.force = nil
		}
		j.losers[fl] = fl.joined
		lost = true
	}
	f.set = set
	return lost
}

// shows reports whether the version being joined is the content of the file, so that a warning about it is useful to
// its author.
func (fl *file) shows(candidate bool) bool {
	v := fl.force
	if candidate {
		v = fl.candidate
	}
	return v != nil && v.sum == fl.taken.sum
}

// secondChance removes from the losers those who lost a name to a file that lost in turn.
func (j *joining) secondChance() bool {
	if len(j.losers) == 0 {
		return false
	}
	owner := map[string]string{}
	files, _ := j.files()
	for _, file := range files {
		for _, rule := range file.Rules {
			owner[rule.Name] = file.Path
		}
	}
	found := false
	for _, fl := range j.newcomers {
		if j.losers[fl] == nil || slices.ContainsFunc(fl.candidate.file.Rules, func(r *rules.Rule) bool {
			has := owner[r.Name]
			return has != "" && has != fl.path
		}) {
			continue
		}
		for _, rule := range fl.candidate.file.Rules {
			owner[rule.Name] = fl.path
		}
		delete(j.losers, fl)
		found = true
	}
	return found
}

// finish brings the candidates into force that did not lose.
func (f *Folder) finish(j *joining) {
	for fl, before := range j.before {
		if fl.joined != nil && !slices.Equal(before, fl.joined) {
			fl.lines = pointedAt(fl.lines, fl.data(), fl.joined)
			f.report(fl, fl.joined)
		}
	}
	now := time.Now()
	f.rejoin = len(j.losers) > 0 && len(j.losers) < len(j.newcomers)
	for _, fl := range j.newcomers {
		if j.losers[fl] != nil {
			continue
		}
		v := fl.candidate
		v.at = now
		if v.data != nil {
			f.keep(fl.path, v, v.data)
			v.data = nil
		}
		fl.force, fl.candidate, fl.stale = v, nil, ""
		f.log.Info("rules loaded", "file", fl.path, "rules", len(v.file.Rules), "version", short(v.sum))
	}
}

// data returns the content that was taken, read again if needed; nil if the file has changed since.
func (fl *file) data() []byte {
	if fl.candidate != nil && fl.candidate.data != nil {
		return fl.candidate.data
	}
	data, _ := read(fl.real)
	if sha256.Sum256(data) != fl.taken.sum {
		return nil
	}
	return data
}
