// Package engine is the program as a value: it takes in webhooks, matches them against the rules of a
// watched folder and delivers what these say. [New] builds all of it, [Engine.Run] serves until its context
// ends.
//
// The way of an event: package hook verifies and normalises the request, package receive stores it with
// everything it causes in one transaction, and package work makes the deliveries that the store's queue
// says are due.
package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"bellhop/actions"
	"bellhop/engine/admin"
	"bellhop/engine/config"
	"bellhop/engine/hook"
	"bellhop/engine/metrics"
	"bellhop/engine/receive"
	"bellhop/engine/store"
	"bellhop/engine/work"
	"bellhop/rules"
	"bellhop/rules/live"
	"bellhop/rules/text"
)

// Options say what to run. Config is required.
type Options struct {
	Config *config.Config
	Logger *slog.Logger // nil discards; secrets of the configuration are hidden from it

	// Found is told what is wrong with a rule file, once for every change of it, in place of the log; nil logs it.
	Found   func([]text.Finding)
	Version string

	// Tune changes how deliveries are made from what the configuration says.
	Tune func(*work.Options)
}

// An Engine runs once.
type Engine struct {
	cfg     *config.Config
	log     *slog.Logger
	metrics *metrics.Metrics
	store   *store.Store
	folder  *live.Folder
	worker  *work.Worker

	hookListener, adminListener net.Listener
	hookServer, adminServer     *http.Server
}

// New opens the store, loads the rules and binds both listeners. What it has opened is closed by Run, or
// by New itself if it fails.
func New(ctx context.Context, o Options) (_ *Engine, err error) {
	cfg := o.Config
	redactor := actions.NewRedactor(cfg.Secrets())
	handler := slog.DiscardHandler
	if o.Logger != nil {
		handler = o.Logger.Handler()
	}
	e := &Engine{cfg: cfg, log: slog.New(actions.RedactHandler(handler, redactor)), metrics: metrics.New()}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.close())
		}
	}()

	if e.store, err = store.Open(ctx, store.Options{Dir: cfg.Store, Logger: e.log}); err != nil {
		return nil, err
	}
	e.metrics.Registry.MustRegister(backlog{context.WithoutCancel(ctx), e.store, e.log})
	compile := cfg.RuleOptions()
	e.folder, err = live.Open(ctx, live.Options{
		Dir: cfg.Rules,
		Compile: func(path string, data []byte) (*rules.File, []text.Finding) {
			return rules.Compile(path, data, compile)
		},
		Good: e.store,
		Changed: func(s live.Snapshot) {
			e.count(s)
			e.metrics.Reloads.WithLabelValues(result(s)).Inc()
			e.tellGivenUp(ctx, s)
		},
		Found:  o.Found,
		Logger: e.log,
	})
	if err != nil {
		return nil, err
	}
	e.count(e.folder.Snapshot())

	guard, err := actions.NewGuard(actions.GuardOptions{Allow: cfg.Egress.Allow})
	if err != nil {
		return nil, fmt.Errorf("egress: %w", err)
	}
	connections := make(map[string]actions.Connection, len(cfg.Connections))
	for name, c := range cfg.Connections {
		connections[name] = c.Connection
	}
	receiver := receive.New(receive.Options{Store: e.store, Rules: e.folder.Snapshot, Zone: cfg.Zone, Metrics: e.metrics, Logger: e.log})
	workOptions := work.Options{
		Store: e.store, Due: receiver.Due, Destination: receiver.Destination, Guard: guard, Connections: connections, Redactor: redactor, Metrics: e.metrics, Logger: e.log,
		Attempts: cfg.Delivery.Attempts, MaxAge: cfg.Delivery.MaxAge, Places: cfg.Delivery.Concurrency,
		PerDestination: cfg.Delivery.PerDestination, Stop: cfg.Delivery.Shutdown,
	}
	if o.Tune != nil {
		o.Tune(&workOptions)
	}
	e.worker = work.New(workOptions)

	intake, err := e.intake(receiver)
	if err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	if e.hookListener, err = lc.Listen(ctx, "tcp", cfg.Listen); err != nil {
		return nil, fmt.Errorf("listen for webhooks: %w", err)
	}
	if e.adminListener, err = lc.Listen(ctx, "tcp", cfg.Admin); err != nil {
		return nil, fmt.Errorf("listen for operators: %w", err)
	}
	e.hookServer = intake
	e.adminServer = &http.Server{
		Handler: admin.New(admin.Options{
			Store: e.store, Receiver: receiver, Folder: e.folder, Metrics: e.metrics, Logger: e.log, Version: o.Version, Compile: compile, Token: cfg.AdminToken,
			Destinations: e.worker.Destinations,
		}),
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(e.log.Handler(), slog.LevelDebug),
	}
	return e, nil
}

// intake builds the public side.
func (e *Engine) intake(r hook.Receiver) (*http.Server, error) {
	handler, err := hook.New(hook.Options{
		Sources: e.cfg.Sources, Receiver: r, MaxConcurrent: e.cfg.Intake.MaxConcurrent, PerAddress: e.cfg.Intake.PerAddress, Zone: e.cfg.Zone, Logger: e.log,
		Observe: func(o hook.Observation) {
			e.metrics.Answers.WithLabelValues(o.Source, strconv.Itoa(o.Code)).Inc()
			e.metrics.AnswerSeconds.Observe(o.Took.Seconds())
		},
	})
	if err != nil {
		return nil, err
	}
	return hook.Server(handler, e.log), nil
}

// HookURL is where webhooks are taken in, such as http://127.0.0.1:8080.
func (e *Engine) HookURL() string { return "http://" + e.hookListener.Addr().String() }

// AdminURL is where operators look.
func (e *Engine) AdminURL() string { return "http://" + e.adminListener.Addr().String() }

// Files are the rule files with their status.
func (e *Engine) Files() []live.FileStatus { return e.folder.Files() }

// Rules are the rules in force.
func (e *Engine) Rules() []*rules.Rule { return e.folder.Set().Rules() }

// Reload looks at the rule folder now.
func (e *Engine) Reload() { e.folder.Reload() }

// How long requests under way may take when the engine stops: those of senders, who are answered within that time,
// and after everything else those of operators. With the time for attempts under way, a stop takes less than the ten
// seconds that containers are given.
const (
	answerTime   = 6500 * time.Millisecond // a connection on which nothing came counts as idle only after five to six seconds
	operatorTime = time.Second
)

// Run serves until ctx ends or something fails that cannot be gone on without. It then stops in the order
// in which nothing is lost: no new webhooks, those under way answered, attempts under way finished within
// the configured time and the rest given back to the queue, and the store closed last.
func (e *Engine) Run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, e.close()) }()
	group, ctx := errgroup.WithContext(ctx)
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServing()

	group.Go(func() error { return e.serve(ctx, e.hookServer, e.hookListener, answerTime) })
	group.Go(func() error { return e.worker.Run(ctx) })
	group.Go(func() error { return e.prune(ctx) })
	group.Go(func() error { return ignoreCancel(e.folder.Run(ctx)) })

	// The operators' side is up until everything else is down: a slow stop can be watched.
	var last errgroup.Group
	last.Go(func() error { return e.serve(serving, e.adminServer, e.adminListener, operatorTime) })
	err = group.Wait()
	stopServing()
	return errors.Join(err, last.Wait())
}

func ignoreCancel(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// serve answers requests until ctx ends, and then those under way for as long as grace says.
func (e *Engine) serve(ctx context.Context, s *http.Server, l net.Listener, grace time.Duration) error {
	failed := make(chan error, 1)
	go func() { failed <- s.Serve(l) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	err := s.Shutdown(limit)
	if err != nil {
		err = errors.Join(fmt.Errorf("requests were cut off: %w", err), s.Close())
	}
	if e := <-failed; !errors.Is(e, http.ErrServerClosed) {
		err = errors.Join(err, e)
	}
	return err
}

// pruneEvery is how often what is older than the retention is deleted, unless that is short.
const pruneEvery = 10 * time.Minute

func (e *Engine) prune(ctx context.Context) error {
	tick := time.NewTicker(min(pruneEvery, max(e.cfg.Retention/4, time.Second)))
	defer tick.Stop()
	for {
		n, err := e.store.Prune(ctx, e.oldest(ctx))
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			e.log.Error("old events could not be deleted; this will be tried again later", "error", err)
		case n > 0:
			e.log.Info("deleted events that are older than the retention", "count", n, "retention", e.cfg.Retention)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// oldest is the time before which nothing is kept: the retention before the newest event, so that a clock that is far
// ahead deletes nothing. The operator is told of such a clock.
func (e *Engine) oldest(ctx context.Context) time.Time {
	now := time.Now()
	newest, err := e.store.Newest(ctx)
	if err != nil {
		e.log.Error("the newest event could not be looked up; nothing is deleted", "error", err)
		return time.Time{}
	}
	if newest.IsZero() || !now.After(newest.Add(e.cfg.Retention)) {
		return now.Add(-e.cfg.Retention)
	}
	e.log.Warn("the newest event is older than the retention: either nothing has come for that long, or this machine's clock is ahead; nothing is deleted by the clock",
		"newest", newest.UTC(), "now", now.UTC(), "retention", e.cfg.Retention)
	return newest.Add(-e.cfg.Retention)
}

func (e *Engine) close() error {
	var errs []error
	for _, l := range []net.Listener{e.hookListener, e.adminListener} {
		if l == nil {
			continue
		}
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if e.store != nil {
		errs = append(errs, e.store.Close())
	}
	return errors.Join(errs...)
}

// count keeps the gauges of rule files.
func (e *Engine) count(s live.Snapshot) {
	n := map[live.Status]int{}
	for i := range s.Files {
		n[s.Files[i].Status]++
	}
	for _, status := range []live.Status{live.OK, live.Failed} {
		e.metrics.RuleFiles.WithLabelValues(string(status)).Set(float64(n[status]))
	}
	e.metrics.Rules.Set(float64(len(s.Set.Rules())))
}

// tellGivenUp says what waits for steps that a change has taken away.
func (e *Engine) tellGivenUp(ctx context.Context, s live.Snapshot) {
	plans, err := e.store.Waiting(ctx)
	if err != nil {
		if ctx.Err() == nil {
			e.log.Error("waiting deliveries could not be counted", "error", err)
		}
		return
	}
	gone := store.GivenUp(plans, s.Set)
	for _, rule := range slices.Sorted(maps.Keys(gone)) {
		e.log.Warn("this change drops waiting steps: their rule or step is no longer there", "rule", rule, "count", gone[rule])
	}
}

func result(s live.Snapshot) string {
	if s.Problem != "" {
		return string(live.Failed)
	}
	for i := range s.Files {
		if s.Files[i].Status == live.Failed {
			return string(live.Failed)
		}
	}
	return string(live.OK)
}
