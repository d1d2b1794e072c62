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
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/riverqueue/river/rivertype"
)

// WorkOptions say how the queue is worked.
type WorkOptions struct {
	Workers int           // jobs held at once, those that wait for their destination included
	Stop    time.Duration // how long running jobs may take to finish when the queue stops
}

// Work calls h for every delivery that is due, several at once, until ctx is done. It returns when the
// last call has: those that run on after o.Stop have their context cancelled.
func (s *Store) Work(ctx context.Context, o WorkOptions, h Handler) error {
	return s.queue.work(ctx, o, h)
}

// job is the argument of a River job.
type job struct {
	Delivery    string `json:"d"`
	Destination string `json:"to"`
	Turn        int    `json:"n,omitempty"`
	Waits       bool   `json:"w,omitempty"` // for its moment: where it goes may be another by then

	due   time.Time
	again bool // it was given out before, to a process that ended with it
}

// Kind is River's name for this kind of job. It is stored: it never changes.
func (job) Kind() string { return "delivery" }

// maxJobAttempts is beyond any delivery's own limit of attempts, which is what decides. River counts an
// attempt only where a process ended during it.
const maxJobAttempts = 30_000

// Fetches of due jobs are this far apart at least, which gathers many in one; without a wake-up one is
// made at the poll's interval, for the jobs that have become due.
const (
	fetchCooldown = 10 * time.Millisecond
	fetchPoll     = 500 * time.Millisecond
)

// maintenance is how often River looks for scheduled jobs that have become due, with some to spare.
const maintenance = 6 * time.Second

// jobsKept is how long River keeps jobs that are done; the deliveries table is the record of them.
const jobsKept = time.Minute

type queue struct {
	s      *Store
	base   context.Context // for what outlives a caller; carries values only
	driver *queueDriver
	insert *river.Client[*sql.Tx]
}

func newQueue(ctx context.Context, s *Store) (*queue, error) {
	q := &queue{s: s, base: context.WithoutCancel(ctx), driver: &queueDriver{Driver: riversqlite.New(s.write), due: make(chan struct{}, 1)}}
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

// recover gives back what an earlier process had taken. The folder's lock says that it is gone, so there
// is no need to wait until River believes its jobs stuck, or its leadership lapsed.
func (q *queue) recover(ctx context.Context) error {
	res, err := q.s.write.ExecContext(ctx, `UPDATE river_job SET state = 'available' WHERE state = ?`, "running")
	if err != nil {
		return fmt.Errorf("give back jobs: %w", err)
	}
	if n, err := res.RowsAffected(); err == nil && n > 0 {
		q.s.log.Info("resuming deliveries that were under way when the last process ended", "count", n)
	}
	if _, err := q.s.write.ExecContext(ctx, `DELETE FROM river_leader`); err != nil {
		return fmt.Errorf("clear leadership: %w", err)
	}
	return nil
}

func (q *queue) enqueue(ctx context.Context, tx *sql.Tx, jobs []job) error {
	if len(jobs) == 0 {
		return nil
	}
	params := make([]river.InsertManyParams, len(jobs))
	opts := &river.InsertOpts{MaxAttempts: maxJobAttempts}
	// River looks for scheduled jobs every few seconds. One that is due before is given out at once, to wait.
	soon := q.s.opts.Now().Add(maintenance)
	for i, j := range jobs {
		params[i] = river.InsertManyParams{Args: j, InsertOpts: opts}
		if j.due.After(soon) {
			params[i].InsertOpts = &river.InsertOpts{MaxAttempts: maxJobAttempts, ScheduledAt: j.due}
		}
	}
	if _, err := q.insert.InsertManyFastTx(ctx, tx, params); err != nil {
		return fmt.Errorf("enqueue: %w", err)
	}
	return nil
}

// wake makes the queue look for due jobs now.
func (q *queue) wake() {
	select {
	case q.driver.due <- struct{}{}:
	default:
	}
}

func (q *queue) work(ctx context.Context, o WorkOptions, h Handler) error {
	workers := river.NewWorkers()
	river.AddWorker(workers, &worker{s: q.s, handle: h})
	client, err := river.NewClient(q.driver, &river.Config{
		Queues:                      map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: o.Workers}},
		Workers:                     workers,
		Logger:                      quiet(q.s.log),
		FetchCooldown:               fetchCooldown,
		FetchPollInterval:           fetchPoll,
		JobTimeout:                  -1, // each attempt has its own
		CompletedJobRetentionPeriod: jobsKept,
		CancelledJobRetentionPeriod: jobsKept,
		DiscardedJobRetentionPeriod: jobsKept,
		SoftStopTimeout:             o.Stop,
		ReindexerSchedule:           river.NeverSchedule(),
	})
	if err != nil {
		return fmt.Errorf("queue: %w", err)
	}
	// The client is given a context of its own: ended through Stop, it waits for its jobs.
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
	args := j.Args
	args.again = j.Attempt > 1 // River counts none that was put off
	if again := w.handle(ctx, &Job{Destination: args.Destination, store: w.s, job: args, row: j.ID}); again > 0 {
		return river.JobSnooze(again)
	}
	return nil
}

//go:embed migration
var migrations embed.FS

// migrationLine names the product's own tables among River's lines of migrations.
const migrationLine = "bellhop"

// queueDriver is River's SQLite driver, with three changes. The listener is woken by the writer of this
// process, the only one there is, in place of a table that is polled twenty times a second on the
// connection that writes. Jobs that were ended with their delivery's record are not looked for when River
// reports them done. And the product's tables are a line of migrations beside River's.
type queueDriver struct {
	*riversqlite.Driver
	due   chan struct{}
	ended sync.Map // ids of jobs that are deleted and not yet reported done
}

var _ riverdriver.Driver[*sql.Tx] = (*queueDriver)(nil)

func (d *queueDriver) SupportsListenNotify() bool { return false }

func (d *queueDriver) GetExecutor() riverdriver.Executor {
	return &executor{Executor: d.Driver.GetExecutor(), ended: &d.ended}
}

// executor leaves out of a report what has ended already.
type executor struct {
	riverdriver.Executor
	ended *sync.Map
}

func (e *executor) JobSetStateIfRunningMany(ctx context.Context, p *riverdriver.JobSetStateIfRunningManyParams) ([]*rivertype.JobRow, error) {
	rest := *p
	rest.ID, rest.Attempt, rest.ErrData, rest.FinalizedAt = nil, nil, nil, nil
	rest.MetadataDoMerge, rest.MetadataUpdates, rest.ScheduledAt, rest.State = nil, nil, nil, nil
	for i, id := range p.ID {
		if _, gone := e.ended.LoadAndDelete(id); gone {
			continue
		}
		rest.ID = append(rest.ID, id)
		rest.Attempt = append(rest.Attempt, p.Attempt[i])
		rest.ErrData = append(rest.ErrData, p.ErrData[i])
		rest.FinalizedAt = append(rest.FinalizedAt, p.FinalizedAt[i])
		rest.MetadataDoMerge = append(rest.MetadataDoMerge, p.MetadataDoMerge[i])
		rest.MetadataUpdates = append(rest.MetadataUpdates, p.MetadataUpdates[i])
		rest.ScheduledAt = append(rest.ScheduledAt, p.ScheduledAt[i])
		rest.State = append(rest.State, p.State[i])
	}
	if len(rest.ID) == 0 {
		return nil, nil
	}
	return e.Executor.JobSetStateIfRunningMany(ctx, &rest)
}

func (d *queueDriver) GetListener(p *riverdriver.GetListenenerParams) riverdriver.Listener {
	return &listener{due: d.due, schema: p.Schema}
}

func (d *queueDriver) GetMigrationLines() []string {
	return append(d.Driver.GetMigrationLines(), migrationLine)
}

func (d *queueDriver) GetMigrationFS(line string) fs.FS {
	if line == migrationLine {
		return migrations
	}
	return d.Driver.GetMigrationFS(line)
}

func (d *queueDriver) GetMigrationTruncateTables(line string, version int) []string {
	if line == migrationLine {
		return nil
	}
	return d.Driver.GetMigrationTruncateTables(line, version)
}

// listener tells River's client of inserted jobs.
type listener struct {
	due    chan struct{}
	schema string
}

// insertTopic and insertPayload are River's own words for "there are new jobs in this queue".
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

// quiet lets only River's warnings through, under a name that says whose they are.
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
