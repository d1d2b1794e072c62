// Package engine is the program as a value. It receives webhooks, matches them with the rules of a watched folder and
// sends the deliveries that the rules plan. [New] builds all of it, and [Engine.Run] serves until its context ends.
//
// This is the way of a delivery. From the request to the commit:
//
//   - hook.Handler.serve reads, verifies and normalises the webhook.
//   - receive.Receiver.Receive gives the event its id and waits until it is durable.
//   - receive.Receiver.receive, in a transaction, works out what happened, matches the rules and inserts the deliveries.
//   - store.writer.commit commits the transactions that wait together.
//
// From the time that a delivery is due to its record, one stage after the other:
//
//   - work.turn.enter takes a place for the destination.
//   - work.turn.claim marks the delivery as being sent; receive.Receiver.Due renders it, or decides that it is not sent.
//   - work.turn.look looks up whom it needs to know, and has it decided again.
//   - work.turn.wanted looks whether an event that came meanwhile has changed it.
//   - work.turn.attempt sends it.
//   - work.turn.record writes down the result.
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
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"bellhop/actions"
	"bellhop/engine/admin"
	"bellhop/engine/config"
	"bellhop/engine/hook"
	"bellhop/engine/metrics"
	"bellhop/engine/people"
	"bellhop/engine/receive"
	"bellhop/engine/store"
	"bellhop/engine/work"
	"bellhop/rules"
	"bellhop/rules/live"
	"bellhop/rules/text"
)

// Options say what to run. Config is required; every other zero value works.
type Options struct {
	Config *config.Config
	Logger *slog.Logger // never gets a secret of the configuration; nil logs nothing

	// Found gets the mistakes in a rule file, once for each change of the file. New calls it, and later a goroutine of
	// Run. nil logs the mistakes instead.
	Found   func([]text.Finding)
	Version string // is shown to operators

	// People looks up what is not known of people and places; nil looks nobody up.
	People work.People

	// Tune changes the options of the worker after they were set from the configuration. nil changes nothing.
	Tune func(*work.Options)
}

// An Engine is the program, built and ready to run. Run is called once. The other methods are safe for concurrent use.
type Engine struct {
	cfg      *config.Config // as it was at the start
	log      *slog.Logger
	redactor *actions.Redactor
	metrics  *metrics.Metrics
	store    *store.Store
	folder   *live.Folder
	receiver *receive.Receiver
	worker   *work.Worker

	intakeHandler *hook.Handler

	givenUp map[string]int // by rule, the waiting deliveries without a step, as told last
	differ  atomic.Int64   // how many other nodes have other rules than this one

	hookListener, adminListener net.Listener
	hookServer, adminServer     *http.Server
}

// New opens the store, loads the rules and binds both listeners. An error says which of these failed; New then closes
// what it has opened. Without an error, Run must be called, because only Run closes it. ctx must last as long as the
// engine runs.
func New(ctx context.Context, o Options) (_ *Engine, err error) {
	cfg := o.Config
	handler := slog.DiscardHandler
	if o.Logger != nil {
		handler = o.Logger.Handler()
	}
	e := &Engine{cfg: cfg, redactor: actions.NewRedactor(cfg.Secrets()), metrics: metrics.New()}
	e.log = slog.New(actions.RedactHandler(handler, e.redactor))
	defer func() {
		if err != nil {
			err = errors.Join(err, e.close())
		}
	}()

	if e.store, err = store.Open(ctx, store.Options{At: cfg.Store, Node: cfg.NodeName(), Version: o.Version, Logger: e.log}); err != nil {
		return nil, err
	}
	e.metrics.Registry.MustRegister(backlog{context.WithoutCancel(ctx), e.store, e.log})
	if e.folder, err = e.openRules(ctx, o.Found); err != nil {
		return nil, err
	}
	e.loaded(ctx, e.folder.Snapshot())

	guard, err := actions.NewGuard(actions.GuardOptions{Allow: cfg.Egress.Allow})
	if err != nil {
		return nil, fmt.Errorf("egress: %w", err)
	}
	shared := connections(cfg)
	if o.People == nil && cfg.People != nil {
		api, _ := shared[cfg.People.Connection].(*actions.HTTPAPI) // as the configuration was checked
		o.People = people.New(people.Options{People: *cfg.People, API: api, Guard: guard, Store: e.store, Logger: e.log})
	}
	e.receiver = receive.New(receive.Options{Store: e.store, Rules: e.folder.Snapshot, Zone: cfg.Zone, Metrics: e.metrics, Logger: e.log, Asks: o.People != nil, Brake: cfg.Delivery.Brake, Differ: func() bool { return e.differ.Load() > 0 }})
	workOptions := work.Options{
		Store: e.store, Due: e.receiver.Due, Destination: e.receiver.Destination, People: o.People, Guard: guard, Connections: shared, Own: e.ownConnection, Redactor: e.redactor, Metrics: e.metrics, Logger: e.log,
		Attempts: cfg.Delivery.Attempts, MaxAge: cfg.Delivery.MaxAge, Places: cfg.Delivery.Concurrency,
		PerDestination: cfg.Delivery.PerDestination, Stop: cfg.Delivery.Shutdown,
	}
	if o.Tune != nil {
		o.Tune(&workOptions)
	}
	e.worker = work.New(workOptions)

	intake, err := e.intake()
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
			Store: e.store, Receiver: e.receiver, Folder: e.folder, Metrics: e.metrics, Logger: e.log, Version: o.Version, Compile: cfg.RuleOptions(), Token: cfg.AdminToken,
			Destinations: e.worker.Destinations,
		}),
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(e.log.Handler(), slog.LevelDebug),
	}
	return e, nil
}

// ownConnection returns a connection of a location's own; nil if it has none with this name.
func (e *Engine) ownConnection(location, name string) actions.Connection {
	if f := e.folder.Set().LocationFile(location); f != nil {
		return f.Value.(*config.Location).Connection(name)
	}
	return nil
}

// openRules loads the folder of rules.
func (e *Engine) openRules(ctx context.Context, found func([]text.Finding)) (*live.Folder, error) {
	return live.Open(ctx, live.Options{
		Dir: e.cfg.Rules, Also: e.cfg.Folders(), Compiler: e.compile(e.cfg),
		Good: e.store,
		Changed: func(s live.Snapshot) {
			e.metrics.Reloads.WithLabelValues(result(s)).Inc()
			e.loaded(ctx, s)
		},
		Found:  found,
		Logger: e.log,
	})
}

// intake returns the server for webhooks.
func (e *Engine) intake() (_ *http.Server, err error) {
	e.intakeHandler, err = hook.New(hook.Options{
		Sources: e.cfg.Sources, Receiver: e.receiver, MaxConcurrent: e.cfg.Intake.MaxConcurrent, PerAddress: e.cfg.Intake.PerAddress, Zone: e.cfg.Zone, Logger: e.log,
		Observe: func(o hook.Observation) {
			e.metrics.Answers.WithLabelValues(o.Source, strconv.Itoa(o.Code)).Inc()
			e.metrics.AnswerSeconds.Observe(o.Took.Seconds())
		},
	})
	if err != nil {
		return nil, err
	}
	return hook.Server(e.intakeHandler, e.log), nil
}

// HookURL returns the base URL for webhooks, for example http://127.0.0.1:8080.
func (e *Engine) HookURL() string { return "http://" + e.hookListener.Addr().String() }

// AdminURL returns the base URL of the API and the status page.
func (e *Engine) AdminURL() string { return "http://" + e.adminListener.Addr().String() }

// Files returns the rule files with their status.
func (e *Engine) Files() []live.FileStatus { return e.folder.Files() }

// Rules returns the rules in force.
func (e *Engine) Rules() []*rules.Rule { return e.folder.Set().Rules() }

// Reload makes Run look at the rule folder now. It does not wait for the result.
func (e *Engine) Reload() { e.folder.Reload() }

// These are the times that requests under way have to end when the engine stops. The time for attempts under way runs
// together with answerTime. By default a stop takes less than ten seconds, which is the time that containers have.
const (
	answerTime   = 6500 * time.Millisecond // for senders; net/http calls an unused connection idle after 5 to 6 seconds
	operatorTime = time.Second             // for operators, after everything else has stopped
)

// Run serves until ctx ends or a part fails that the engine needs. It then stops without losing anything. It accepts no
// more webhooks and answers those under way. At the same time it waits for the attempts under way, at most for the
// configured time, and leaves the rest in the queue. It then stops serving operators, and closes the store last.
//
// Run returns nil if ctx has ended and everything stopped in time. If requests were cut off, it returns an error.
func (e *Engine) Run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, e.close()) }()
	group, ctx := errgroup.WithContext(ctx)
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServing()

	group.Go(func() error { return e.serve(ctx, e.hookServer, e.hookListener, answerTime) })
	group.Go(func() error { return e.worker.Run(ctx) })
	group.Go(func() error { return e.prune(ctx) })
	group.Go(func() error { return e.store.Attend(ctx, e.compare) })
	group.Go(func() error { return ignoreCancel(e.folder.Run(ctx)) })

	// Operators are served until everything else has stopped, so that they can watch a slow stop.
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

// serve answers requests until ctx ends. It then waits for the requests under way, at most for grace. It cuts off those
// that remain, and returns an error for them.
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

// pruneEvery is the longest time between two deletions of old events. If the retention is short, it is a quarter of it.
const pruneEvery = 10 * time.Minute

// prune deletes events that are older than the retention, at once and then regularly, until ctx ends. It logs errors
// and returns nil.
func (e *Engine) prune(ctx context.Context) error {
	every := min(pruneEvery, max(e.cfg.Retention/4, time.Second))
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		n := 0
		turn, err := e.store.Turn(ctx, "prune", every*9/10)
		if err == nil && turn {
			n, err = e.store.Prune(ctx, e.oldest(ctx))
		}
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

// oldest returns the time before which events are deleted. This is the retention before now. If the newest event is
// older than the retention, the clock can be far ahead. oldest then logs a warning and returns the retention before
// that event. If the newest event cannot be read, it returns the zero time, so that nothing is deleted.
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

// close closes what New has opened. It can be called before all of it is open.
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

// loaded notes the rules that are in force from now on. It must not be called concurrently.
func (e *Engine) loaded(ctx context.Context, s live.Snapshot) {
	e.count(s)
	e.tellGivenUp(ctx, s)
	if err := e.store.Announce(ctx, s.ID, s.Versions); err != nil && ctx.Err() == nil {
		e.log.Error("the other nodes could not be told which rules are in force here", "error", err)
	}
}

// count sets the metrics of rule files and rules.
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

// tellGivenUp logs, for each rule, how many waiting deliveries lost their step by the change. What earlier changes
// dropped is not told again.
func (e *Engine) tellGivenUp(ctx context.Context, s live.Snapshot) {
	plans, err := e.store.Waiting(ctx)
	if err != nil {
		if ctx.Err() == nil {
			e.log.Error("waiting deliveries could not be counted", "error", err)
		}
		return
	}
	gone := store.GivenUp(plans, s.Set)
	before := e.givenUp
	e.givenUp = gone
	for _, rule := range slices.Sorted(maps.Keys(gone)) {
		if gone[rule] <= before[rule] {
			continue
		}
		e.log.Warn("waiting steps are dropped: their rule or step is no longer there", "rule", rule, "count", gone[rule]-before[rule])
	}
}

// result returns the label of a reload in the metrics: failed if the folder or a file has a problem.
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
