package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/riverqueue/river/rivertype"
)

// WorkOptions are the options of [Store.Work].
type WorkOptions struct {
	Workers int           // jobs held at once, including those that wait for their destination
	Stop    time.Duration // how long running jobs have to finish when the queue stops
}

// Work calls h for every delivery that is due, and for some up to 6 seconds early, until ctx is done. It calls h from
// up to o.Workers goroutines. When ctx is done, it waits for the running calls and cancels their context after o.Stop.
// It returns after the last call has returned.
func (s *Store) Work(ctx context.Context, o WorkOptions, h Handler) error {
	return s.queue.work(ctx, o, h)
}

// A job holds the arguments of a River job.
type job struct {
	Delivery    string `json:"d"`
	Destination string `json:"to"`
	Turn        int    `json:"n,omitempty"`
	Waits       bool   `json:"w,omitempty"` // the step waits, so its destination can change before it is due
	// Key is that of the appointment, in a database that processes share. It is a text, because River's reading of numbers
	// keeps only 15 digits or so of them.
	Key Key `json:"k,string,omitempty"`
	// Brake is the key of the count of its rule's deliveries at its location, likewise.
	Brake Key `json:"b,string,omitempty"`

	due      time.Time
	priority int // see fairness
}

// Kind returns River's name for this kind of job. It is stored, so it must not change.
func (job) Kind() string { return "delivery" }

// maxJobAttempts is larger than any delivery's own limit of attempts, which is the one that counts. River counts an
// attempt only if a process ended during it.
const maxJobAttempts = 30_000

// Fetches of due jobs are at least fetchCooldown apart, so that one fetch gets many jobs. Without a wake-up there is a
// fetch every fetchPoll, for the jobs that have become due.
const (
	fetchCooldown = 10 * time.Millisecond
	fetchPoll     = 500 * time.Millisecond
)

// maintenance is a little longer than the 5 seconds between two looks of River at the scheduled jobs.
const maintenance = 6 * time.Second

// jobsKept is how long River keeps jobs that are done. It is short because the deliveries table is their record.
const jobsKept = time.Minute

type queue struct {
	s      *Store
	base   context.Context // for work that outlives a caller; it never ends
	driver *queueDriver
	insert *river.Client[*sql.Tx]
	held   sync.Map // the ids of the jobs that are being worked, each with when it was fetched
}

func newQueue(ctx context.Context, s *Store, driver *queueDriver) (*queue, error) {
	q := &queue{s: s, base: context.WithoutCancel(ctx), driver: driver}
	var err error
	q.insert, err = river.NewClient(q.driver, &river.Config{Logger: quiet(s.log)})
	if err != nil {
		return nil, fmt.Errorf("queue: %w", err)
	}
	return q, nil
}

func (q *queue) migrate(ctx context.Context) error {
	for _, line := range q.driver.GetMigrationLines() {
		m, err := rivermigrate.New(q.driver, &rivermigrate.Config{Line: line, Logger: quiet(q.s.log)})
		if err != nil {
			return fmt.Errorf("migrations %s: %w", line, err)
		}
		if _, err := m.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
			return fmt.Errorf("migrate %s: %w", line, err)
		}
	}
	return nil
}

func (q *queue) enqueue(ctx context.Context, tx *sql.Tx, jobs []job) error {
	if len(jobs) == 0 {
		return nil
	}
	params := make([]river.InsertManyParams, len(jobs))
	// River moves scheduled jobs to the queue every 5 seconds. A job that is due sooner is made available at once, and
	// its handler waits.
	soon := q.s.opts.Now().Add(maintenance)
	for i, j := range jobs {
		params[i] = river.InsertManyParams{Args: j, InsertOpts: &river.InsertOpts{MaxAttempts: maxJobAttempts, Priority: j.priority}}
		if j.due.After(soon) {
			params[i].InsertOpts.ScheduledAt = j.due
		}
	}
	if _, err := q.insert.InsertManyFastTx(ctx, tx, params); err != nil {
		return fmt.Errorf("enqueue: %w", err)
	}
	return q.wakeAll(ctx, tx)
}

// wake makes the queue look for due jobs now, if this process is the only one that works it.
func (q *queue) wake() {
	select {
	case q.driver.due <- struct{}{}:
	default:
	}
}

// wakeAll makes the queues of all processes look for due jobs once the transaction is committed.
func (q *queue) wakeAll(ctx context.Context, tx execer) error {
	if q.s.db.dialect().wake == "" {
		return nil
	}
	if _, err := tx.ExecContext(ctx, q.s.db.dialect().wake, insertTopic, insertPayload); err != nil {
		return fmt.Errorf("wake the queue: %w", err)
	}
	return nil
}

type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

func (q *queue) work(ctx context.Context, o WorkOptions, h Handler) error {
	workers := river.NewWorkers()
	river.AddWorker(workers, &worker{s: q.s, handle: h})
	client, err := river.NewClient(q.driver, &river.Config{
		ID:                          q.s.id,
		Queues:                      map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: o.Workers}},
		Workers:                     workers,
		Logger:                      quiet(q.s.log),
		FetchCooldown:               fetchCooldown,
		FetchPollInterval:           fetchPoll,
		JobTimeout:                  -1, // each attempt has its own timeout
		CompletedJobRetentionPeriod: jobsKept,
		CancelledJobRetentionPeriod: jobsKept,
		DiscardedJobRetentionPeriod: jobsKept,
		SoftStopTimeout:             o.Stop,
		ReindexerSchedule:           river.NeverSchedule(),
	})
	if err != nil {
		return fmt.Errorf("queue: %w", err)
	}
	// The client must not stop when ctx ends, but through Stop, which waits for the jobs.
	if err := client.Start(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("start the queue: %w", err)
	}
	<-ctx.Done()
	if err := client.Stop(context.WithoutCancel(ctx)); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("stop the queue: %w", err)
	}
	return nil
}

type worker struct {
	river.WorkerDefaults[job]
	s      *Store
	handle Handler
}

func (w *worker) Work(ctx context.Context, j *river.Job[job]) error {
	w.s.queue.held.Store(j.ID, j.AttemptedAt)
	defer w.s.queue.held.CompareAndDelete(j.ID, j.AttemptedAt) // unless it was fetched again
	if w.s.shared() {
		if err := river.RecordOutput(ctx, j.AttemptedAt); err != nil { // see fetch
			return err
		}
	}
	if again := w.handle(ctx, &Job{Destination: j.Args.Destination, store: w.s, job: j.Args, row: j.ID, fetched: j.AttemptedAt}); again > 0 {
		return river.JobSnooze(again)
	}
	return nil
}

//go:embed migration
var migrations embed.FS

// A queueDriver is River's driver for a database, with these changes. Transactions wake the listener themselves; River
// wakes it at most once in a while, so that the last job waits for a poll. Jobs that were deleted when their delivery was
// recorded are left out when River reports them done. And Bellhop's own tables are a line of migrations beside River's.
type queueDriver struct {
	riverdriver.Driver[*sql.Tx]
	line   string
	due    chan struct{} // wakes the listener; nil if the database does
	ended  sync.Map      // the ids of jobs that are deleted, but not reported done yet
	report reporter
}

var _ riverdriver.Driver[*sql.Tx] = (*queueDriver)(nil)

// A reporter writes what River reports of jobs, except of those that are deleted already.
type reporter func(context.Context, riverdriver.Executor, *riverdriver.JobSetStateIfRunningManyParams) ([]*rivertype.JobRow, error)

func (d *queueDriver) SupportsListenNotify() bool { return false }

func (d *queueDriver) GetExecutor() riverdriver.Executor {
	return &executor{Executor: d.Driver.GetExecutor(), driver: d}
}

type executor struct {
	riverdriver.Executor
	driver *queueDriver
}

func (e *executor) JobSetStateIfRunningMany(ctx context.Context, p *riverdriver.JobSetStateIfRunningManyParams) ([]*rivertype.JobRow, error) {
	p = selected(p, func(i int) bool {
		_, gone := e.driver.ended.LoadAndDelete(p.ID[i])
		return !gone
	})
	if len(p.ID) == 0 {
		return nil, nil
	}
	return e.driver.report(ctx, e.Executor, p)
}

// selected returns the part of a report that keep accepts, by index.
func selected(p *riverdriver.JobSetStateIfRunningManyParams, keep func(int) bool) *riverdriver.JobSetStateIfRunningManyParams {
	kept := *p
	kept.ID, kept.Attempt, kept.ErrData, kept.FinalizedAt = nil, nil, nil, nil
	kept.MetadataDoMerge, kept.MetadataUpdates, kept.ScheduledAt, kept.State = nil, nil, nil, nil
	for i := range p.ID {
		if !keep(i) {
			continue
		}
		kept.ID = append(kept.ID, p.ID[i])
		kept.Attempt = append(kept.Attempt, p.Attempt[i])
		kept.ErrData = append(kept.ErrData, p.ErrData[i])
		kept.FinalizedAt = append(kept.FinalizedAt, p.FinalizedAt[i])
		kept.MetadataDoMerge = append(kept.MetadataDoMerge, p.MetadataDoMerge[i])
		kept.MetadataUpdates = append(kept.MetadataUpdates, p.MetadataUpdates[i])
		kept.ScheduledAt = append(kept.ScheduledAt, p.ScheduledAt[i])
		kept.State = append(kept.State, p.State[i])
	}
	return &kept
}

func (d *queueDriver) GetListener(p *riverdriver.GetListenenerParams) riverdriver.Listener {
	if d.due == nil {
		return d.Driver.GetListener(p)
	}
	return &listener{due: d.due, schema: p.Schema}
}

func (d *queueDriver) GetMigrationLines() []string {
	return append(d.Driver.GetMigrationLines(), d.line)
}

func (d *queueDriver) GetMigrationFS(line string) fs.FS {
	if line == d.line {
		return migrations
	}
	return d.Driver.GetMigrationFS(line)
}

func (d *queueDriver) GetMigrationTruncateTables(line string, version int) []string {
	if line == d.line {
		return nil
	}
	return d.Driver.GetMigrationTruncateTables(line, version)
}

// A listener tells River's client that jobs were inserted.
type listener struct {
	due    chan struct{}
	schema string
}

// insertTopic and insertPayload are River's words for "there are new jobs in this queue".
const insertTopic = "river_insert"

var insertPayload = `{"queue": "` + river.QueueDefault + `"}`

func (l *listener) Close(context.Context) error { return nil }

func (l *listener) Connect(context.Context) error { return nil }

func (l *listener) Listen(context.Context, string) error { return nil }

func (l *listener) Ping(context.Context) error { return nil }

func (l *listener) Schema() string { return l.schema }

func (l *listener) SetAfterConnectExec(string) {}

func (l *listener) Unlisten(context.Context, string) error { return nil }

func (l *listener) WaitForNotification(ctx context.Context) (*riverdriver.Notification, error) {
	select {
	case <-l.due:
		return &riverdriver.Notification{Topic: insertTopic, Payload: insertPayload}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// quiet returns a logger that passes only warnings and errors of River, marked as from the queue.
func quiet(log *slog.Logger) *slog.Logger {
	return slog.New(warnings{log.Handler().WithAttrs([]slog.Attr{slog.String("part", "queue")})})
}

type warnings struct{ slog.Handler }

func (w warnings) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && w.Handler.Enabled(ctx, l)
}

func (w warnings) WithAttrs(attrs []slog.Attr) slog.Handler {
	return warnings{w.Handler.WithAttrs(attrs)}
}

func (w warnings) WithGroup(name string) slog.Handler { return warnings{w.Handler.WithGroup(name)} }
