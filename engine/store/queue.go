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
}

func newQueue(ctx context.Context, s *Store) (*queue, error) {
	q := &queue{s: s, base: context.WithoutCancel(ctx), driver: &queueDriver{Driver: riversqlite.New(s.write), write: s.write, due: make(chan struct{}, 1)}}
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

// recover gives back the jobs that an earlier process held. The lock on the folder proves that this process is gone, so
// there is no need to wait until River takes its jobs for stuck, or until its leadership expires.
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
	if again := w.handle(ctx, &Job{Destination: j.Args.Destination, store: w.s, job: j.Args, row: j.ID}); again > 0 {
		return river.JobSnooze(again)
	}
	return nil
}

//go:embed migration
var migrations embed.FS

// migrationLine is the name of Bellhop's own tables among River's lines of migrations.
const migrationLine = "bellhop"

// A queueDriver is River's SQLite driver, with four changes. The writer of this process, the only one, wakes the
// listener; River's own listener polls a table twenty times a second, on the connection that writes. Jobs that were
// deleted when their delivery was recorded are left out when River reports them done. Jobs that are put off are written
// with a statement that does only that. And Bellhop's own tables are a line of migrations beside River's.
type queueDriver struct {
	*riversqlite.Driver
	write *sql.DB
	due   chan struct{}
	ended sync.Map // the ids of jobs that are deleted, but not reported done yet
}

var _ riverdriver.Driver[*sql.Tx] = (*queueDriver)(nil)

func (d *queueDriver) SupportsListenNotify() bool { return false }

func (d *queueDriver) GetExecutor() riverdriver.Executor {
	return &executor{Executor: d.Driver.GetExecutor(), ended: &d.ended, write: d.write}
}

// An executor leaves jobs that are already deleted out of the report of jobs that are done, and writes those that are put
// off itself.
type executor struct {
	riverdriver.Executor
	ended *sync.Map
	write *sql.DB
}

// putOff is what River does with a job that is put off, for which it has one statement for everything that can happen to
// a job, at more than twice the cost. Many deliveries are put off while a destination does not answer. River also turns
// a job into a cancelled one if somebody asked for that, but nobody cancels jobs here.
const putOff = `UPDATE river_job SET state = ?, scheduled_at = ?, attempt = coalesce(?, attempt), metadata = jsonb_patch(metadata, jsonb(?)) WHERE id = ? AND state = 'running'`

// A snooze is a job that is put off.
type snooze struct {
	id       int64
	state    rivertype.JobState
	attempt  *int
	at       time.Time
	metadata []byte // what is to be merged
}

func (e *executor) putOffAll(ctx context.Context, list []snooze) (err error) {
	if len(list) == 0 {
		return nil
	}
	tx, err := e.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("put off: %w", err)
	}
	for _, s := range list {
		_, err := tx.ExecContext(ctx, putOff, string(s.state), s.at.UTC().Round(time.Millisecond).Format(riverTime), s.attempt, string(s.metadata), s.id)
		if err != nil {
			return errors.Join(fmt.Errorf("put off: %w", err), tx.Rollback())
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("put off: %w", err)
	}
	return nil
}

func (e *executor) JobSetStateIfRunningMany(ctx context.Context, p *riverdriver.JobSetStateIfRunningManyParams) ([]*rivertype.JobRow, error) {
	rest := *p
	rest.ID, rest.Attempt, rest.ErrData, rest.FinalizedAt = nil, nil, nil, nil
	rest.MetadataDoMerge, rest.MetadataUpdates, rest.ScheduledAt, rest.State = nil, nil, nil, nil
	var off []snooze
	for i, id := range p.ID {
		if _, gone := e.ended.LoadAndDelete(id); gone {
			continue
		}
		snoozed := p.State[i] == rivertype.JobStateAvailable || p.State[i] == rivertype.JobStateScheduled
		if snoozed && p.ScheduledAt[i] != nil && p.MetadataDoMerge[i] && p.ErrData[i] == nil && p.FinalizedAt[i] == nil {
			off = append(off, snooze{id, p.State[i], p.Attempt[i], *p.ScheduledAt[i], p.MetadataUpdates[i]})
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
	if err := e.putOffAll(ctx, off); err != nil || len(rest.ID) == 0 {
		return nil, err
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
