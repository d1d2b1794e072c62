// Package live keeps the rules of a folder loaded while people edit it.
//
// [Open] loads the folder once; [Folder.Run] then watches it until its context ends. Every change builds a new
// [rules.Set] and swaps one pointer: an event is matched with the rules before the change or after it, never a
// mixture.
//
// The promises to the author of a rule file:
//
//   - a change is in force within two seconds of the file being whole, with file system events or without;
//   - a file is taken only when two looks some time apart found the same content, so that one which is
//     being written is not taken by halves;
//   - a file with a mistake keeps its own last good version, also over a restart, and all other files are
//     unaffected; its mistakes stand in its [FileStatus] and in the log;
//   - a folder that cannot be read, or is gone, changes nothing but the status of its files.
//
// File system events only make it look sooner: network mounts send none, a renamed folder takes its watch along, and
// queues overflow. Only a look at the disk decides.
package live

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"bellhop/rules"
	"bellhop/rules/text"
)

const (
	defaultPoll = time.Second

	// pause is the time between two looks at something that changed.
	pause = 150 * time.Millisecond
	// calm is how long new content must stay the same before it is taken. doubtful is the same for what may be an
	// unfinished save: a file that is gone, unreadable or shorter than before.
	calm     = pause
	doubtful = 3 * pause
	// batch is how long a settled change waits for others that have not settled, so that a checkout of many files is
	// one swap, and a renamed file does not conflict with the names in its old file.
	batch = 700 * time.Millisecond
	// restless is how long a file may keep changing before its status says so.
	restless = 5 * time.Second

	// debounce is the time from the first event to the look that it causes.
	debounce = 30 * time.Millisecond
	// fresh: if a file's modification time is within this time before its last look, its size and times do not prove
	// that it is unchanged. Some file systems have clocks that tick only every two seconds.
	fresh = 2 * time.Second
	// At each poll, the files that were not read for the longest time are read again, whatever their size and time
	// are.
	rereadFiles = 64
	rereadBytes = 4 << 20

	// loggedFindings is how many findings of one file are logged one by one; its status holds them all.
	loggedFindings = 20
)

// Options say which folder is watched, and how. Dir and Compile are required.
type Options struct {
	Dir string
	// Also are more folders with files of the same kinds, as of people. They may be missing. The paths of their files are
	// relative to Dir, such as ../directory/users.yaml.
	Also []string
	Compiler
	// Good keeps the last good version of each file over restarts. If it is nil, they are only in memory.
	Good Versions
	// Poll is the time between two looks at the folder when nothing says that it changed. 0 is one second,
	// and more than that cannot keep the promise of two seconds.
	Poll time.Duration
	// NoWatch turns file system events off: changes are found by polling only.
	NoWatch bool
	// Changed is called after every swap and every change of a status, from the goroutine of Run. It is not called
	// for what Open found.
	Changed func(Snapshot)
	// Found is called with what is wrong with a file, once for every change of it; if it is nil, that is logged. It
	// is called from Open and from the goroutine of Run. Paths are as in [FileStatus].
	Found func([]text.Finding)
	// Logger logs what happens to the folder. nil discards it.
	Logger *slog.Logger
}

// A Compiler compiles files. Compile is required.
type Compiler struct {
	// Compile compiles a file's content, which does not change later. The path is relative to Dir, with slashes. It is
	// called from several goroutines.
	Compile func(path string, data []byte) (*rules.File, []text.Finding)
	// Recall makes a file of what [rules.File.Digest] wrote when its content had been compiled, without checking it. If
	// it is nil, or returns an error, the content is compiled. It is called from several goroutines.
	Recall func(path string, data []byte, digest string) (*rules.File, []text.Finding, error)
	// Stamp identifies all that Compile depends on besides its arguments: the program and its configuration. It has no
	// space. A stored version with another stamp is compiled again. If it is "", all are.
	Stamp string
}

// Versions stores the last good version of each rule file. Its methods are called from several goroutines, but for a
// path from one at a time. An error of GoodVersions makes Open fail. Any other error is logged once and keeps no rule
// from being loaded; the call is repeated, at first with the next poll, later every minute.
type Versions interface {
	GoodVersions(ctx context.Context) ([]Version, error)
	PutGood(ctx context.Context, v Version) error // replaces the version of the same path
	DropGood(ctx context.Context, path string) error
}

// A Version is the content of a rule file that loaded without an error.
type Version struct {
	Path string
	Hash string // SHA-256 in hexadecimal
	Data []byte
	At   time.Time // when it came into force

	// Stamp says what the file was checked with, and what was found. It is "" if that is not known.
	Stamp string
}

// A Snapshot is the state at one moment. It is immutable.
type Snapshot struct {
	Set     *rules.Set
	Files   []FileStatus // by path
	Problem string       // why the folder cannot be read, "" if it can

	// Versions are the versions in force, sorted by path. ID identifies them: a snapshot with the same ID has the
	// same rules.
	Versions []FileVersion
	ID       string
}

// A FileVersion names one version of one file.
type FileVersion struct {
	Path string `json:"path"`
	Hash string `json:"hash"` // SHA-256 in hexadecimal
}

// A Folder keeps the rules of a folder loaded. It is safe for concurrent use.
type Folder struct {
	o    Options
	log  *slog.Logger
	now  atomic.Pointer[Snapshot]
	ask  chan struct{}
	next atomic.Pointer[Compiler] // compiles from the next look on; nil if nothing changed
	runs atomic.Bool
	good *keeper

	// The following fields belong to Open, then to the goroutine of Run.
	files   map[string]*file
	root    fs.FileInfo // the folder when it was last read
	problem string      // why it cannot be read now
	doubt   string      // a problem that may be temporary
	doubted time.Time   // when doubt was first seen
	set     *rules.Set
	rejoin  bool // the set is out of date
	dirty   bool // a status has changed since the last snapshot
	order   int
	polled  time.Time
	took    time.Duration // duration of the last look
	dirs    map[string]fs.FileInfo
}

func same(a, b fs.FileInfo) bool { return a != nil && b != nil && os.SameFile(a, b) }

// A file is one path under the folder.
type file struct {
	path string

	real string      // where it was last read
	info fs.FileInfo // its info at that time
	read time.Time   // when it was last read

	seen    look      // the new content that has not settled, if pending
	since   time.Time // when seen was first seen
	began   time.Time // since when the file has differed from taken
	pending bool
	ready   bool
	unquiet bool // it has been changing for longer than restless

	taken    look           // the content that settled last
	findings []text.Finding // findings in the content taken
	joined   []text.Finding // findings from joining it with the other files
	lines    map[int]string // the lines that findings point at
	stale    string         // why its stored good version cannot be used

	candidate *version // compiled, but not in force: another file has one of its names
	force     *version
}

// A version is compiled content.
type version struct {
	file     *rules.File
	sum      [sha256.Size]byte
	size     int
	at       time.Time
	order    int // rises with every version, so that the newer of two files is known
	findings []text.Finding
	old      bool   // compiled by an earlier compiler
	data     []byte // until it is passed to the store
}

func (v *version) hash() string { return hex.EncodeToString(v.sum[:]) }

// Open loads the folder once. A folder that does not exist or cannot be read is an error. Mistakes in its files are
// not; they are in [Folder.Files]. A broken file starts with its last good version.
func Open(ctx context.Context, o Options) (*Folder, error) {
	if o.Compile == nil {
		return nil, errors.New("opening the rules folder: no compiler")
	}
	if o.Poll <= 0 {
		o.Poll = defaultPoll
	}
	f := &Folder{
		o: o, log: o.Logger,
		ask:   make(chan struct{}, 1),
		files: map[string]*file{},
	}
	f.set, _ = rules.NewSet(nil)
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	f.good = newKeeper(o.Good, f.log)
	good := map[string]Version{}
	if o.Good != nil {
		stored, err := o.Good.GoodVersions(ctx)
		if err != nil {
			return nil, fmt.Errorf("reading the last good versions of rule files: %w", err)
		}
		for _, v := range stored {
			good[v.Path] = v
		}
	}
	l, err := listAll(o.Dir, o.Also)
	if err != nil {
		return nil, fmt.Errorf("opening the rules folder %s: %w", o.Dir, err)
	}
	if err := f.load(ctx, l, good); err != nil {
		return nil, err
	}
	f.publish()
	f.good.store(ctx)
	return f, nil
}

// load takes every file as it is: waiting for files to settle would only delay the start, and Run looks again at
// once.
func (f *Folder) load(ctx context.Context, l *listing, good map[string]Version) error {
	f.root, f.dirs = l.root, l.dirs
	found := l.files
	for path := range good {
		if why, ok := l.unreadable(path); ok && !slices.ContainsFunc(found, func(e entry) bool { return e.path == path }) {
			found = append(found, entry{path: path, problem: why})
		}
	}
	slices.SortFunc(found, func(a, b entry) int { return strings.Compare(a.path, b.path) })
	readings := make([]reading, len(found))
	for i, e := range found {
		readings[i].file, readings[i].entry = f.newFile(e.path), e
		if v, ok := good[e.path]; ok {
			readings[i].good = &v
		}
	}
	everywhere(len(readings), func(i int) {
		if ctx.Err() == nil {
			f.read(&readings[i])
		}
	})
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("loading the rules folder: %w", err)
	}
	for i := range readings {
		r := &readings[i]
		if r.good != nil {
			f.recall(r)
		}
		f.take(r.file, r.seen, r.data, r.now)
	}
	for path := range good {
		if f.files[path] == nil {
			f.good.put(path, nil)
		}
	}
	f.rejoin = true // make a set, even without files
	for f.rejoin {
		f.join()
	}
	return nil
}

// A reading is a file that is read at the start.
type reading struct {
	file  *file
	entry entry
	good  *Version          // its stored good version, nil if there is none
	sum   [sha256.Size]byte // of the good version

	seen look
	data []byte
	now  *compiled // the content, if it is not that of the good version
	was  *compiled // the good version
	anew bool      // the good version was compiled again
}

// A compiled is the result of compiling some content.
type compiled struct {
	file     *rules.File // nil if any finding is an error
	findings []text.Finding
}

// read looks at a file and compiles what may come into force. It is called for several files at once.
func (f *Folder) read(r *reading) {
	r.seen, r.data = f.look(r.file, r.entry)
	unchanged := false
	if r.good != nil {
		r.sum = sha256.Sum256(r.good.Data)
		unchanged = r.seen.readable() && r.sum == r.seen.sum
		if r.was = f.known(r); r.was == nil {
			r.was, r.anew = f.compile(r.file, r.good.Data), true
		}
	}
	switch {
	case !r.seen.readable():
	case !unchanged:
		r.now = f.compile(r.file, r.data)
	case r.was.file == nil:
		r.now = r.was
	}
}

// known returns what was stored with a good version. It returns nil if that has to be found out again.
func (f *Folder) known(r *reading) *compiled {
	digest, ok := strings.CutPrefix(r.good.Stamp, f.o.Stamp+" ")
	if !ok || f.o.Stamp == "" || f.o.Recall == nil || r.good.Hash != hex.EncodeToString(r.sum[:]) {
		return nil
	}
	file, findings, err := f.o.Recall(r.file.path, r.good.Data, digest)
	if err != nil {
		f.log.Warn("what was stored of a rule file cannot be used, so it is checked again", "file", r.file.path, "error", err)
		return nil
	}
	return &compiled{file, findings}
}

// keep has a version stored as the last good one of its file.
func (f *Folder) keep(path string, v *version, data []byte) {
	good := &Version{Path: path, Hash: v.hash(), Data: data, At: v.at}
	if f.o.Stamp != "" && f.o.Recall != nil {
		if digest, err := v.file.Digest(v.findings); err == nil {
			good.Stamp = f.o.Stamp + " " + digest
		}
	}
	f.good.put(path, good)
}

func (f *Folder) compile(fl *file, data []byte) *compiled {
	file, findings := f.o.Compile(fl.path, data)
	return &compiled{file, findings}
}

// recall puts a stored good version into force. If the file still has that content, that is its version as usual.
func (f *Folder) recall(r *reading) {
	fl, v, sum := r.file, r.good, r.sum
	if r.was.file == nil {
		why := firstError(r.was.findings)
		fl.stale = fmt.Sprintf("its last good version, %s of %s, no longer loads: %s", short(sum), v.At.UTC().Format(time.RFC3339), why)
		if sum != r.seen.sum {
			f.log.Error("the last good version of a rule file no longer loads", "file", fl.path, "error", why)
		}
		return
	}
	f.order++
	fl.force = &version{file: r.was.file, sum: sum, size: len(v.Data), at: v.At, order: f.order, findings: r.was.findings}
	if r.anew && f.o.Stamp != "" {
		f.keep(fl.path, fl.force, v.Data)
	}
}

// Set returns the rules in force. It is never nil.
func (f *Folder) Set() *rules.Set { return f.now.Load().Set }

// Files returns the rule files, sorted by path.
func (f *Folder) Files() []FileStatus { return f.now.Load().Files }

// Snapshot returns the rules in force and the files they are from.
func (f *Folder) Snapshot() Snapshot { return *f.now.Load() }

// Reload asks for a look at every file now, without waiting for an event or the poll. It does not wait for that look.
func (f *Folder) Reload() { wake(f.ask) }

// wake sends to a channel with room for one, unless there is something in it already.
func wake(asleep chan<- struct{}) {
	select {
	case asleep <- struct{}{}:
	default:
	}
}

// Recompile compiles all files again with another compiler. It does not wait for that. A file that has a mistake then keeps the
// version that is in force.
func (f *Folder) Recompile(c Compiler) {
	f.next.Store(&c)
	f.Reload()
}

// renew makes every file one that was not compiled yet, if there is another compiler.
func (f *Folder) renew() bool {
	c := f.next.Swap(nil)
	if c == nil {
		return false
	}
	f.o.Compiler = *c
	for _, fl := range f.files {
		fl.taken = look{}
		if fl.force != nil {
			fl.force.old = true
		}
	}
	return true
}

// Run watches the folder until ctx is done, and then returns nil. It may be called once.
func (f *Folder) Run(ctx context.Context) error {
	if !f.runs.CompareAndSwap(false, true) {
		return errors.New("the rules folder is being watched already")
	}
	var w *watcher
	var hints <-chan struct{}
	if !f.o.NoWatch {
		var err error
		if w, err = newWatcher(f.o.Dir, f.log); err != nil {
			f.log.Warn("changes of rules are found by polling alone", "every", f.o.Poll, "error", err)
		} else {
			defer w.close()
			hints = w.hints
			w.sync(f.dirs)
		}
	}
	// Storing has a goroutine of its own: a store that hangs delays no reload.
	var storing sync.WaitGroup
	defer storing.Wait()
	storing.Go(func() { f.good.run(ctx, f.o.Poll) })

	timer := time.NewTimer(0)
	defer timer.Stop()
	var last, due time.Time // of the last look, and of the next
	for {
		all := false
		select {
		case <-ctx.Done():
			return nil
		case <-hints:
			// Not sooner than a multiple of the cost of a look, so that a flood of events cannot keep the process
			// busy.
			next := time.Now().Add(debounce)
			if rest := last.Add(4 * f.took); rest.After(next) {
				next = rest
			}
			if next.Before(due) {
				due = next
				timer.Reset(time.Until(due))
			}
			continue
		case <-f.ask:
			all = true
		case <-timer.C:
		}
		next := f.scan(ctx, all)
		if ctx.Err() != nil {
			return nil
		}
		if w != nil && w.sync(f.dirs) {
			next = min(next, debounce) // changes before the new watch caused no event
		}
		last = time.Now()
		due = last.Add(max(next, 4*f.took))
		timer.Reset(time.Until(due))
	}
}

// scan looks at the folder, takes what has settled, and returns when to look again. With all, every file is read,
// even if it looks unchanged.
func (f *Folder) scan(ctx context.Context, all bool) time.Duration {
	start := time.Now()
	all = f.renew() || all
	poll := start.Sub(f.polled) >= f.o.Poll
	if poll {
		f.polled = start
	}
	l, err := listAll(f.o.Dir, f.o.Also)
	problem := ""
	switch {
	case err != nil:
		problem = "the rules folder cannot be read: " + err.Error()
		if errors.Is(err, fs.ErrNotExist) {
			problem = "the rules folder is gone"
		}
	case len(l.files) == 0 && len(l.broken) == 0 && f.inForce() && (f.problem != "" || !same(f.root, l.root)):
		// A share that is not mounted is an empty folder, and one that is being restored starts empty.
		problem = "the rules folder was replaced by an empty one"
	}
	if problem != "" {
		f.dirs = nil
		if err == nil {
			f.dirs = l.dirs
		}
		return f.troubled(problem)
	}
	if f.problem != "" {
		f.dirty = true
		f.log.Info("the rules folder is back", "dir", f.o.Dir)
	}
	f.problem, f.doubt = "", ""
	f.root, f.dirs = l.root, l.dirs

	f.see(l, all, poll)
	f.took = time.Since(start)
	f.settle(ctx)
	next := f.o.Poll
	now := time.Now()
	for _, fl := range f.files {
		if !fl.pending {
			continue
		}
		if !fl.unquiet && now.Sub(fl.began) >= restless {
			fl.unquiet, f.dirty = true, true
			f.log.Warn("a rule file keeps changing and is not taken until it rests", "file", fl.path)
		}
		next = min(next, pause)
	}
	if f.dirty {
		f.publish()
		f.tell()
	}
	return next
}

// troubled records that the folder cannot be read. All rules stay in force.
func (f *Folder) troubled(problem string) time.Duration {
	now := time.Now()
	for _, fl := range f.files {
		fl.pending, fl.ready = false, false
	}
	if problem == f.problem {
		f.doubt = ""
		return f.o.Poll
	}
	if problem != f.doubt {
		f.doubt, f.doubted = problem, now
	}
	if now.Sub(f.doubted) < doubtful {
		return min(f.o.Poll, pause)
	}
	f.problem, f.doubt = problem, ""
	f.log.Error(problem+"; the rules in force stay", "dir", f.o.Dir)
	f.publish()
	f.tell()
	return f.o.Poll
}

func (f *Folder) inForce() bool {
	for _, fl := range f.files {
		if fl.force != nil {
			return true
		}
	}
	return false
}
