// Package lsp is a language server for rule files, their tests and bellhop.yaml. Over stdin and stdout, it tells editors
// the findings. For rule files and tests it also offers completions, and explains words.
package lsp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"sync"

	"github.com/creachadair/jrpc2"
	"github.com/creachadair/jrpc2/channel"
	"github.com/creachadair/jrpc2/handler"

	"bellhop/engine/config"
	"bellhop/rules/text"
)

// Options are the options of a server. The zero value works.
type Options struct {
	// Config is the path of the configuration for all files; "" is the nearest bellhop.yaml in a file's folder or above.
	Config string
	// Lookup finds environment variables; nil is os.LookupEnv.
	Lookup func(name string) (string, bool)
	// Version is the version that the server tells the editor.
	Version string
}

// GCPercent is a good value for debug.SetGCPercent in a process that only serves an editor. Every keystroke compiles a
// file again. With the default, a third of the time would be spent on collecting, because few megabytes are alive.
const GCPercent = 400

// errNoShutdown says that the editor ended the session without a shutdown request. The protocol requires the exit
// status 1 then.
var errNoShutdown = errors.New("the editor went away without a shutdown request")

// The protocol's own error codes.
const (
	notInitialized   jrpc2.Code = -32002
	requestCancelled jrpc2.Code = -32800
)

// A server is one session with one editor.
type server struct {
	options Options
	rpc     *jrpc2.Server
	wake    chan struct{} // receives when something has changed that findings depend on
	working sync.WaitGroup

	mu          sync.Mutex
	initialized bool
	shutdown    bool
	watches     bool     // the editor can notify of changed files
	folders     []string // the folders that the editor has open
	open        map[string]*document
	changes     int
	projects    map[string]*project
}

// Serve answers the editor that writes to in and reads from out, until the editor sends exit, in ends, or ctx ends. It
// returns nil if the editor sent shutdown before, and otherwise [errNoShutdown] or the error of the connection. Unless in
// has ended, a read from it can still be running when Serve returns.
func Serve(ctx context.Context, in io.Reader, out io.Writer, o Options) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := &server{options: o, wake: make(chan struct{}, 1), open: map[string]*document{}, projects: map[string]*project{}}
	output := struct { // the caller closes it
		io.Writer
		io.Closer
	}{out, io.NopCloser(nil)}
	s.rpc = jrpc2.NewServer(s.methods(cancel), &jrpc2.ServerOptions{
		AllowPush: true, DisableBuiltin: true, NewContext: func() context.Context { return ctx },
	}).Start(channel.LSP(in, output))
	s.working.Go(func() { s.work(ctx) })
	ended := make(chan error, 1)
	go func() { ended <- s.rpc.Wait() }() // ends when in ends
	var err error
	select {
	case err = <-ended:
	case <-ctx.Done():
		s.rpc.Stop()
	}
	cancel()
	s.working.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.shutdown:
		return nil
	case err != nil:
		return fmt.Errorf("talking to the editor: %w", err)
	}
	return errNoShutdown
}

// methods are the requests and notifications that the server knows. end ends the session.
func (s *server) methods(end func()) handler.Map {
	return handler.Map{
		"exit": func(context.Context, *jrpc2.Request) (any, error) {
			end()
			return nil, nil
		},
		"initialize":                      handle(s, locked(s, s.initialize)),
		"initialized":                     handle(s, s.afterInitialize),
		"shutdown":                        handle(s, locked(s, s.endSession)),
		"$/cancelRequest":                 handle(s, s.cancel),
		"textDocument/didOpen":            handle(s, locked(s, s.didOpen)),
		"textDocument/didChange":          handle(s, locked(s, s.didChange)),
		"textDocument/didSave":            handle(s, locked(s, s.filesChanged)),
		"textDocument/didClose":           handle(s, locked(s, s.didClose)),
		"workspace/didChangeWatchedFiles": handle(s, locked(s, s.filesChanged)),
		"textDocument/completion":         handle(s, s.completion),
		"textDocument/hover":              handle(s, s.hover),
		"textDocument/codeAction":         handle(s, s.codeActions),
	}
}

// A method answers a request or a notification, whose answer is nil.
type method[P any] func(context.Context, *P) (any, error)

// locked returns a method that holds s.mu.
func locked[P any](s *server, m method[P]) method[P] {
	return func(ctx context.Context, p *P) (any, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		return m(ctx, p)
	}
}

// handle makes a handler of a method. A panic in the method fails the request, but does not end the session.
func handle[P any](s *server, m method[P]) jrpc2.Handler {
	return func(ctx context.Context, req *jrpc2.Request) (result any, err error) {
		defer func() {
			if p := recover(); p != nil {
				result, err = nil, jrpc2.Errorf(jrpc2.InternalError, "%s failed; that is a mistake in Bellhop, please report it: %v", req.Method(), p)
			}
		}()
		s.mu.Lock()
		initialized, shutdown := s.initialized, s.shutdown
		s.mu.Unlock()
		switch {
		case shutdown:
			return nil, jrpc2.Errorf(jrpc2.InvalidRequest, "the session is being ended")
		case !initialized && req.Method() != "initialize":
			return nil, jrpc2.Errorf(notInitialized, "the session has not been initialized")
		}
		params := new(P)
		if req.HasParams() {
			if err := json.Unmarshal([]byte(req.ParamString()), params); err != nil {
				return nil, jrpc2.Errorf(jrpc2.InvalidParams, "the parameters of %s cannot be read: %v", req.Method(), err)
			}
		}
		result, err = m(ctx, params)
		if err == nil && !req.IsNotification() && ctx.Err() != nil {
			return nil, jrpc2.Errorf(requestCancelled, "cancelled")
		}
		return result, err
	}
}

func (s *server) initialize(_ context.Context, p *initializeParams) (any, error) {
	if s.initialized {
		return nil, jrpc2.Errorf(jrpc2.InvalidRequest, "the session has been initialized already")
	}
	s.initialized = true
	s.watches = p.Capabilities.Workspace.DidChangeWatchedFiles.DynamicRegistration
	for _, f := range append(p.WorkspaceFolders, workspaceFolder{p.RootURI}) {
		if path := pathOf(f.URI); path != "" {
			s.folders = append(s.folders, path)
		}
	}
	return map[string]any{
		"capabilities": capabilities(),
		"serverInfo":   map[string]any{"name": "bellhop", "version": s.options.Version},
	}, nil
}

// afterInitialize asks the editor to notify of changed files.
func (s *server) afterInitialize(ctx context.Context, _ *struct{}) (any, error) {
	s.mu.Lock()
	watches := s.watches
	s.mu.Unlock()
	if !watches {
		return nil, nil
	}
	s.working.Go(func() { // ends with the answer, or with the session
		_, _ = s.rpc.Callback(ctx, "client/registerCapability", map[string]any{"registrations": []any{map[string]any{
			"id": "files", "method": "workspace/didChangeWatchedFiles",
			"registerOptions": map[string]any{"watchers": []any{map[string]any{"globPattern": "**/*.{yaml,yml}"}}},
		}}}) // an editor that refuses still notifies of files that it saves
	})
	return nil, nil
}

func (s *server) endSession(context.Context, *struct{}) (any, error) {
	s.shutdown = true
	return nil, nil
}

func (s *server) cancel(_ context.Context, p *cancelParams) (any, error) {
	s.rpc.CancelRequest(string(p.ID))
	return nil, nil
}

func (s *server) didOpen(_ context.Context, p *documentParams) (any, error) {
	s.changes++
	d := &document{uri: p.TextDocument.URI, path: pathOf(p.TextDocument.URI), text: p.TextDocument.Text, version: p.TextDocument.Version, changed: s.changes}
	s.open[d.uri] = d
	s.look(true)
	return nil, nil
}

func (s *server) didChange(_ context.Context, p *documentParams) (any, error) {
	d, ok := s.open[p.TextDocument.URI]
	if !ok {
		return nil, nil
	}
	for _, c := range p.ContentChanges {
		d.apply(c)
	}
	s.changes++
	d.version, d.changed = p.TextDocument.Version, s.changes
	s.look(false)
	return nil, nil
}

// filesChanged is for files that were saved in the editor or changed elsewhere.
func (s *server) filesChanged(context.Context, *struct{}) (any, error) {
	s.look(true)
	return nil, nil
}

func (s *server) didClose(ctx context.Context, p *documentParams) (any, error) {
	if d, ok := s.open[p.TextDocument.URI]; ok {
		delete(s.open, d.uri)
		s.changes++
		s.look(true)
		return nil, s.rpc.Notify(ctx, "textDocument/publishDiagnostics", publishParams{URI: d.uri, Version: d.version, Diagnostics: []diagnostic{}})
	}
	return nil, nil
}

// look makes work look at the documents again. If folders is true, the folders of rules are listed again too. The caller
// holds s.mu.
func (s *server) look(folders bool) {
	if folders {
		for _, p := range s.projects {
			p.stale.Store(true)
		}
	}
	select {
	case s.wake <- struct{}{}:
	default: // work is going to look anyway
	}
}

// work finds mistakes after every change, and sends them to the editor. Changes during one run are handled together in
// the next run, so that it does not fall behind fast typing.
func (s *server) work(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		}
		if s.tell(ctx) != nil {
			return // the editor is gone
		}
	}
}

// tell looks at all documents and sends the editor the findings that have changed.
func (s *server) tell(ctx context.Context) error {
	for _, p := range s.lookAt() {
		if err := s.rpc.Notify(ctx, "textDocument/publishDiagnostics", p); err != nil {
			return err
		}
	}
	return nil
}

// lookAt finds the mistakes in all documents. It returns the documents that changed, or whose findings changed.
func (s *server) lookAt() []publishParams {
	s.mu.Lock()
	byProject := map[*project][]*document{}
	for _, d := range s.open {
		p := s.projectOf(d)
		copied := *d
		byProject[p] = append(byProject[p], &copied)
	}
	s.mu.Unlock()
	var news []publishParams
	for p, open := range byProject {
		found := findingsSafely(p, open)
		s.mu.Lock()
		for _, looked := range open {
			d, ok := s.open[looked.uri]
			if !ok || d.changed != looked.changed {
				continue // it has changed since, and the next run will look at it
			}
			findings := found[d.uri]
			same := d.foundAt == d.changed && slices.Equal(d.found, findings)
			d.found, d.foundAt = findings, d.changed
			if !same {
				news = append(news, publishParams{d.uri, d.version, diagnostics(d)})
			}
		}
		s.mu.Unlock()
	}
	return news
}

// findingsSafely keeps a mistake of ours from ending the session.
func findingsSafely(p *project, open []*document) (found map[string][]text.Finding) {
	defer func() {
		if recover() != nil {
			found = nil
		}
	}()
	return p.findings(open)
}

func diagnostics(d *document) []diagnostic {
	r := newRuler(d.text)
	list := []diagnostic{}
	for _, f := range d.found {
		list = append(list, diagnosticOf(f, r))
	}
	return list
}

func diagnosticOf(f text.Finding, r *ruler) diagnostic {
	d := diagnostic{Range: r.rangeOf(f), Severity: 1, Code: f.Code, Source: "bellhop", Message: f.Message}
	if f.Severity == text.Warning {
		d.Severity = 2
	}
	if f.Code == "unused-let" {
		d.Tags = []int{1}
	}
	return d
}

// projectOf returns the project that a document belongs to. The caller holds s.mu.
func (s *server) projectOf(d *document) *project {
	dir := ""
	if d.path != "" {
		dir = filepath.Dir(d.path)
	} else if len(s.folders) > 0 {
		dir = s.folders[0]
	}
	p := &project{configPath: s.options.Config, lookup: s.options.Lookup}
	if p.configPath == "" && dir != "" {
		p.configPath = config.Nearest(dir, math.MaxInt)
	}
	if p.configPath != "" {
		p.root = filepath.Dir(p.configPath)
	} else if i := slices.IndexFunc(s.folders, func(f string) bool { return isBelow(f, dir) }); i >= 0 {
		p.root = s.folders[i]
	} else {
		p.root = dir
	}
	key := p.configPath + "\n" + p.root
	if known, ok := s.projects[key]; ok {
		return known
	}
	s.projects[key] = p
	return p
}

// rulesAt returns an open rule file or test file, and its guide. It returns false for any other document.
func (s *server) rulesAt(uri string) (document, *guide, bool) {
	s.mu.Lock()
	d, ok := s.open[uri]
	if !ok {
		s.mu.Unlock()
		return document{}, nil, false
	}
	copied, p := *d, s.projectOf(d)
	s.mu.Unlock()
	g, ok := p.guideFor(&copied)
	return copied, g, ok
}

func (s *server) completion(_ context.Context, p *documentParams) (any, error) {
	list := completionList{Items: []completionItem{}}
	d, g, ok := s.rulesAt(p.TextDocument.URI)
	if !ok {
		return list, nil
	}
	at := offset(d.text, p.Position)
	pl, ok := placeAt(d.text, at)
	if !ok {
		return list, nil
	}
	words, word := g.choices(pl)
	from := at - len(word)
	if from < 0 || d.text[from:at] != word { // the text has escapes here, but words to choose have none
		return list, nil
	}
	rest := ""
	if f := g.at(pl.path).form; word != "" || pl.key || f == wordForm { // in an expression, text after the cursor is another word
		rest = wordFrom(d.text[at:])
	}
	where := textRange{positionOf(d.text, from), positionOf(d.text, at+len(rest))}
	if where.Start.Line != where.End.Line {
		return list, nil
	}
	for i, w := range words {
		item := completionItem{
			Label: w.Name, Kind: w.kind, Detail: w.Type, FilterText: w.Name,
			SortText: fmt.Sprintf("%04d", i), TextEdit: textEdit{where, w.insert},
		}
		if w.Doc != "" || len(w.Uses) > 0 {
			item.Documentation = &markup{"markdown", w.describe()}
		}
		list.Items = append(list.Items, item)
	}
	return list, nil
}

func (s *server) hover(_ context.Context, p *documentParams) (any, error) {
	d, g, ok := s.rulesAt(p.TextDocument.URI)
	if !ok {
		return nil, nil
	}
	at := offset(d.text, p.Position)
	pl, ok := placeAt(d.text, at)
	if !ok {
		return nil, nil
	}
	text, ok := g.describe(pl)
	if !ok {
		return nil, nil
	}
	return hover{markup{"markdown", text}}, nil
}

// codeActions offers the suggestions of the findings as quick fixes.
func (s *server) codeActions(ctx context.Context, p *documentParams) (any, error) {
	actions := []codeAction{}
	if len(p.Context.Only) > 0 && !slices.ContainsFunc(p.Context.Only, func(k string) bool { return k == "quickfix" || k == "" }) {
		return actions, nil
	}
	s.mu.Lock()
	d, ok := s.open[p.TextDocument.URI]
	stale := ok && d.foundAt != d.changed
	s.mu.Unlock()
	if !ok {
		return actions, nil
	}
	if stale { // the text has changed since, and the quick fixes must fit the current text
		if err := s.tell(ctx); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if d.foundAt != d.changed {
		return actions, nil
	}
	r := newRuler(d.text)
	for _, f := range d.found {
		at := r.rangeOf(f)
		if f.Suggestion == "" || at.before(p.Range) || p.Range.before(at) {
			continue
		}
		actions = append(actions, codeAction{
			Title: title(f, at), Kind: "quickfix", Diagnostics: []diagnostic{diagnosticOf(f, r)}, IsPreferred: true,
			Edit: workspaceEdit{map[string][]textEdit{d.uri: {{at, f.Suggestion}}}},
		})
	}
	return actions, nil
}

func title(f text.Finding, at textRange) string {
	text := []rune(f.Suggestion)
	if len(text) > 60 {
		text = append(text[:60], '…')
	}
	if at.Start == at.End {
		return "Insert " + string(text)
	}
	return "Replace with " + string(text)
}
