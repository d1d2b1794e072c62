package live

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"bellhop/rules/text"
)

// The limits of a rules folder. For the size of a file see [text.MaxFileSize].
const (
	maxFiles   = 10_000
	maxFolders = 10_000
	maxDepth   = 64
)

// IsRules reports whether a file of this name (without folders) is a rule file: *.yaml or *.yml, but neither a test
// nor a temporary file of editors and synchronisers.
func IsRules(name string) bool {
	return !hidden(name) && isYAML(name) && !IsTest(name)
}

// IsTest reports whether a file of this name contains tests of rules: *.test.yaml or *.test.yml.
func IsTest(name string) bool {
	return !hidden(name) && isYAML(name) && strings.HasSuffix(stem(name), ".test")
}

func isYAML(name string) bool {
	ext := strings.ToLower(filepath.Ext(name))
	return ext == ".yaml" || ext == ".yml"
}

func stem(name string) string {
	return strings.ToLower(strings.TrimSuffix(name, filepath.Ext(name)))
}

// hidden reports names that look like a rule file or a folder but are not. Other temporary files (x.yaml~, #x.yaml#,
// .x.yaml.swp, 4913, x.yaml.tmp) do not end in .yaml anyway.
func hidden(name string) bool {
	return strings.HasPrefix(name, ".") || strings.HasPrefix(name, "~$") || strings.HasPrefix(name, "~syncthing~")
}

// Paths returns the rule files under dir as Open would load them: relative to dir, with slashes, sorted. A file that
// cannot be read is among them; [Read] then says why. Those beyond the first [maxFiles] are not loaded. For others, see
// [Options.Also].
func Paths(dir string, others ...string) ([]string, error) {
	l, err := listAll(dir, others)
	if err != nil {
		return nil, fmt.Errorf("reading the rules folder %s: %w", dir, err)
	}
	paths := make([]string, len(l.files))
	for i, e := range l.files {
		paths[i] = e.path
	}
	return paths, nil
}

// Read reads the rule file of that path under dir. If it cannot be used, a finding at its start says why.
func Read(dir, path string) ([]byte, []text.Finding) {
	data, problem := read(filepath.Join(dir, filepath.FromSlash(path)))
	if problem != (trouble{}) {
		return nil, []text.Finding{problem.finding(path)}
	}
	return data, nil
}

// A trouble says why a file cannot be read, in words that are the same at every look.
type trouble struct{ code, message string }

func (t trouble) finding(path string) text.Finding { return text.AtStart(path, t.code, t.message) }

func unreadable(err error) trouble {
	return trouble{"unreadable", "this file cannot be read: " + cause(err)}
}

var (
	tooLarge = trouble{"too-large", fmt.Sprintf(
		"this file is larger than %d KiB, which is more than a rule file may have; split it", text.MaxFileSize>>10)}
	oneTooMany = trouble{"too-many-files", fmt.Sprintf("this file is not read: the folder has more than %d rule files", maxFiles)}
	isFolder   = trouble{"unreadable", "this is a folder with the name of a rule file"}
	notRegular = trouble{"unreadable", "this is not a regular file"}
)

// cause returns the message of a file system error without the path.
func cause(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "it is a link to something that does not exist"
	case errors.Is(err, fs.ErrPermission):
		return "permission denied"
	}
	return WithoutPath(err).Error()
}

// A look is the result of looking at a file once. Equal looks found the same.
type look struct {
	gone    bool
	problem trouble
	sum     [sha256.Size]byte
	size    int
}

// readable reports whether there is content.
func (l look) readable() bool { return !l.gone && l.problem == (trouble{}) }

// OpenRegular opens a regular file for reading. Anything else is an error: opening a pipe would wait for its writer,
// and reading a device may never end. It does not wait even if the file was replaced by a pipe in the meantime.
func OpenRegular(name string) (*os.File, error) {
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a regular file", name)
	}
	return os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
}

// read returns the content of a rule file, or why it cannot be used.
func read(name string) ([]byte, trouble) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, unreadable(err)
	}
	if t := judge(info); t != (trouble{}) {
		return nil, t
	}
	f, err := OpenRegular(name)
	if err != nil {
		return nil, unreadable(err)
	}
	defer func() { _ = f.Close() }() // the file was only read
	data, err := io.ReadAll(io.LimitReader(f, text.MaxFileSize+1))
	if err != nil {
		return nil, unreadable(err)
	}
	if len(data) > text.MaxFileSize {
		return nil, tooLarge
	}
	return data, trouble{}
}

func judge(info fs.FileInfo) trouble {
	switch {
	case info.IsDir():
		return isFolder
	case !info.Mode().IsRegular():
		return notRegular
	case info.Size() > text.MaxFileSize:
		return tooLarge
	}
	return trouble{}
}

// A listing is the content of the folder.
type listing struct {
	root   fs.FileInfo
	files  []entry                // sorted by path
	broken []entry                // folders that cannot be read, and links that may be such folders
	gone   []entry                // further folders that are missing
	dirs   map[string]fs.FileInfo // the real folders to watch
}

// An entry is one path as a person sees it in the folder, with links followed.
type entry struct {
	path    string
	real    string      // where to read it
	info    fs.FileInfo // of the target, for a link
	problem trouble     // known without reading it
}

// unreadable reports whether path lies in a folder that cannot be read, and why.
func (l *listing) unreadable(path string) (trouble, bool) {
	for _, b := range slices.Concat(l.broken, l.gone) {
		if strings.HasPrefix(path, b.path+"/") {
			return b.problem, true
		}
	}
	return trouble{}, false
}

// list finds the rule files under dir. Links are followed. Every real folder and file is visited once, however many
// names lead to it, preferably under its own name. So links cannot form a loop, and a folder laid out by Kubernetes
// (x.yaml → ..data/x.yaml, ..data → ..2026) shows only x.yaml.
func list(dir string) (*listing, error) {
	root, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, WithoutPath(err)
	}
	if root, err = filepath.Abs(root); err != nil {
		return nil, err
	}
	info, err := os.Stat(root)
	switch {
	case err != nil:
		return nil, WithoutPath(err)
	case !info.IsDir():
		return nil, errors.New("it is not a folder")
	}
	w := walk{
		listing: &listing{root: info, dirs: map[string]fs.FileInfo{root: info}},
		visited: map[string]bool{root: true},
		folders: []step{{real: root}},
	}
	if err := w.run(); err != nil {
		return nil, err
	}
	return w.listing, nil
}

// listAll finds the files under a folder and under others, which may be missing. The paths of the others are relative to the
// first, such as ../directory/users.yaml. Another that lies in a folder before it is part of that one.
func listAll(dir string, others []string) (*listing, error) {
	all, err := list(dir)
	if err != nil {
		return nil, err
	}
	for _, other := range others {
		prefix := filepath.ToSlash(relative(dir, other))
		l, err := list(other)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			all.gone = append(all.gone, entry{path: prefix, problem: trouble{"unreadable", "the folder " + other + " is gone; if that is meant, leave an empty one"}})
			continue
		case err != nil:
			return nil, fmt.Errorf("%s: %w", other, err)
		}
		if slices.ContainsFunc(slices.Collect(maps.Values(all.dirs)), func(info fs.FileInfo) bool { return os.SameFile(info, l.root) }) {
			continue
		}
		for _, list := range []*[]entry{&l.files, &l.broken} {
			for i := range *list {
				(*list)[i].path = prefix + "/" + (*list)[i].path
			}
		}
		all.files, all.broken = append(all.files, l.files...), append(all.broken, l.broken...)
		maps.Copy(all.dirs, l.dirs)
	}
	slices.SortFunc(all.files, func(a, b entry) int { return strings.Compare(a.path, b.path) })
	return all, nil
}

// relative returns the path of another folder as seen from a folder; its absolute path if there is no way.
func relative(dir, other string) string {
	from, err := filepath.Abs(dir)
	to, err2 := filepath.Abs(other)
	if err != nil || err2 != nil {
		return other
	}
	if rel, err := filepath.Rel(from, to); err == nil {
		return rel
	}
	return to
}

// WithoutPath removes the path and the operation from a file system error. The caller names the file as the user wrote it.
func WithoutPath(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}

type walk struct {
	*listing
	visited map[string]bool
	folders []step
	links   []step
}

type step struct {
	path, real string
	depth      int
}

func (w *walk) run() error {
	seen := 0
	for len(w.folders)+len(w.links) > 0 {
		if len(w.folders) == 0 {
			link := w.links[0]
			w.links = w.links[1:]
			w.follow(link)
		} else {
			next := w.folders[0]
			w.folders = w.folders[1:]
			if seen++; seen > maxFolders {
				return fmt.Errorf("it has more than %d folders", maxFolders)
			}
			if err := w.folder(next); err != nil {
				return err
			}
		}
	}
	slices.SortFunc(w.files, func(a, b entry) int { return strings.Compare(a.path, b.path) })
	for i := maxFiles; i < len(w.files); i++ {
		w.files[i].problem = oneTooMany
	}
	return nil
}

func (w *walk) folder(s step) error {
	entries, err := os.ReadDir(s.real)
	if err != nil {
		if s.path == "" {
			return WithoutPath(err)
		}
		if !errors.Is(err, fs.ErrNotExist) { // otherwise it was removed after its parent was read
			t := trouble{"unreadable", "this folder cannot be read: " + cause(err)}
			w.broken = append(w.broken, entry{path: s.path, problem: t})
			w.files = append(w.files, entry{path: s.path, problem: t})
		}
		return nil
	}
	for _, e := range entries {
		name := e.Name()
		if hidden(name) {
			continue
		}
		at := step{path: s.path + name, real: filepath.Join(s.real, name), depth: s.depth + 1}
		if s.path != "" {
			at.path = s.path + "/" + name
		}
		switch {
		case e.Type()&fs.ModeSymlink != 0:
			w.links = append(w.links, at)
		case e.IsDir():
			info, err := e.Info()
			if err == nil {
				w.enter(at, info)
			}
		case IsRules(name):
			info, err := e.Info()
			if errors.Is(err, fs.ErrNotExist) {
				continue // it was removed after the folder was read
			}
			if err != nil {
				w.files = append(w.files, entry{path: at.path, problem: unreadable(err)})
				continue
			}
			w.visited[at.real] = true
			w.files = append(w.files, entry{path: at.path, real: at.real, info: info, problem: judge(info)})
		}
	}
	return nil
}

// enter queues a folder unless it was visited under another name.
func (w *walk) enter(s step, info fs.FileInfo) {
	switch {
	case IsRules(filepath.Base(s.path)):
		w.files = append(w.files, entry{path: s.path, problem: isFolder})
		w.broken = append(w.broken, entry{path: s.path, problem: isFolder})
	case s.depth > maxDepth:
		t := trouble{"unreadable", fmt.Sprintf("this folder is not read: it lies more than %d levels deep", maxDepth)}
		w.files = append(w.files, entry{path: s.path, problem: t})
	case !w.visited[s.real]:
		w.visited[s.real] = true
		w.dirs[s.real] = info
		w.folders = append(w.folders, s)
	}
}

func (w *walk) follow(s step) {
	named := IsRules(filepath.Base(s.path))
	info, err := os.Stat(s.real) // first, because its error is clearer than that of EvalSymlinks
	real := ""
	if err == nil {
		real, err = filepath.EvalSymlinks(s.real)
	}
	if err != nil {
		if _, there := os.Lstat(s.real); errors.Is(there, fs.ErrNotExist) {
			return // the link itself was removed
		}
		t := unreadable(err)
		w.broken = append(w.broken, entry{path: s.path, problem: t})
		if named {
			w.files = append(w.files, entry{path: s.path, problem: t})
		}
		return
	}
	s.real = real
	if info.IsDir() {
		w.enter(s, info)
		return
	}
	if !named || w.visited[real] {
		return
	}
	w.visited[real] = true
	if dir := filepath.Dir(real); w.dirs[dir] == nil {
		if info, err := os.Stat(dir); err == nil {
			w.dirs[dir] = info
		}
	}
	w.files = append(w.files, entry{path: s.path, real: real, info: info, problem: judge(info)})
}
