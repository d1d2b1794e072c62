package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bellhop/engine"
	"bellhop/engine/admin"
	"bellhop/engine/config"
	"bellhop/engine/hook"
	"bellhop/engine/record"
	"bellhop/rules/text"
	"bellhop/testdata"
)

func (p *program) demoCommand() *cobra.Command {
	o := demoOptions{samples: samples()}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "See it work on this machine, without any set-up",
		Long: `Demo runs a server with sample rules in a temporary folder, with a mail server, a Slack and an HTTP API of
its own on this machine. It sends sample events and shows what each rule made of them. Then it goes on
running, so that rules can be changed and events be sent, until Ctrl-C ends it.`,
		Args: between(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, a := range []struct {
				flag    string
				address *string
			}{{"listen", &o.listen}, {"admin", &o.admin}} {
				if !cmd.Flags().Changed(a.flag) {
					*a.address = freeOr(cmd.Context(), *a.address)
				}
			}
			return p.demo(cmd.Context(), o)
		},
	}
	defaults := config.Default()
	cmd.Flags().BoolVar(&o.once, "once", false, "end after the samples, with 1 if anything did not arrive that should")
	cmd.Flags().StringVar(&o.listen, "listen", defaults.Listen, "the public `address`; without the flag another one if this is taken")
	cmd.Flags().StringVar(&o.admin, "admin", defaults.Admin, "the operators' `address`, likewise")
	return cmd
}

type demoOptions struct {
	once          bool
	listen, admin string
	samples       []sample
}

// freeOr returns address, or one with a port that the system chooses if it cannot be listened on.
func freeOr(ctx context.Context, address string) string {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return "127.0.0.1:0"
	}
	_ = l.Close() // if this failed, listening will fail too
	return address
}

// A sample is one event that the demo sends, and the results that it must have.
type sample struct {
	title, file string
	status      record.Status
	fires       []firing
	follows     []firing // for deliveries that waited since an earlier event of the appointment
}

// A firing is a rule that applies to a sample, and the state in which each of its deliveries ends.
type firing struct {
	rule  string
	state record.State
}

// samples returns the events of one appointment, and of a second one that a workflow announces.
func samples() []sample {
	return []sample{
		{"A booking comes in", "create.json", record.Accepted, []firing{
			{"crm-sync", record.Sent}, {"desk-calendar", record.Sent}, {"desk-booked", record.Sent}, {"desk-reminder", record.Waiting}, {"two-colleagues", record.Shadow},
		}, nil},
		{"The same webhook comes again", "create.json", record.Duplicate, nil, nil},
		{"The booking is confirmed, and the event does not say who booked", "update-confirmed.json", record.Accepted, []firing{
			{"crm-sync", record.Sent}, {"guest-confirmed", record.Skipped},
		}, nil},
		{"It is moved to another day", "update-rescheduled.json", record.Accepted, []firing{
			{"crm-sync", record.Sent}, {"desk-calendar", record.Sent}, {"desk-moved", record.Sent},
		}, []firing{{"desk-reminder", record.Waiting}}},
		{"It is cancelled, with its old time", "update-cancelled.json", record.Accepted, []firing{
			{"crm-sync", record.Sent}, {"desk-calendar", record.Sent}, {"desk-cancelled", record.Sent},
		}, []firing{{"desk-reminder", record.Cancelled}}},
		{"It is deleted as well, which is no second cancellation", "delete.json", record.Accepted, []firing{
			{"crm-remove", record.Sent},
		}, nil},
		{"A workflow announces another booking, with the guest's address", "workflow.json", record.Accepted, []firing{
			{"crm-sync", record.Sent}, {"desk-calendar", record.Sent}, {"desk-booked", record.Sent}, {"guest-confirmed", record.Sent}, {"desk-reminder", record.Waiting},
		}, nil},
	}
}

// A demo is a running demo.
type demo struct {
	dir    string // temporary
	cfg    *config.Config
	sinks  *sinks
	engine *engine.Engine
	hook   string // the URL for its webhooks
	api    *client
	http   *http.Client

	waiting map[string]string // the standing that was last shown of each waiting delivery
}

// event returns the file of an event that is not sent yet, for people who try out the demo.
func (d *demo) event() string { return filepath.Join(d.dir, "events", "one-more.json") }

func (p *program) demo(ctx context.Context, o demoOptions) (err error) {
	dir, err := os.MkdirTemp("", "bellhop-demo-")
	if err != nil {
		return fmt.Errorf("making a temporary folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	d := &demo{dir: dir, http: &http.Client{Timeout: time.Minute}, waiting: map[string]string{}}
	defer d.http.CloseIdleConnections()
	if d.sinks, err = startSinks(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.sinks.close()) }()
	if err := p.demoFiles(d, o); err != nil {
		return err
	}
	level := new(slog.LevelVar)
	level.Set(slog.LevelWarn)
	var ended chan error
	var stop func() error
	if d.engine, ended, stop, err = p.launch(ctx, d.cfg, level); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	d.hook = d.engine.HookURL() + "/hooks/hoopai"
	d.api = &client{base: d.engine.AdminURL(), http: d.http}

	p.printDemoStart(d)
	if err := p.sendSamples(ctx, d, o.samples); err != nil || o.once {
		return err
	}
	p.printDemoTry(d)
	level.Set(slog.LevelInfo) // people now change rules and want to see that they are loaded
	return p.watch(ctx, d, ended)
}

// watch prints what arrives until ctx ends or the engine does.
func (p *program) watch(ctx context.Context, d *demo, ended chan error) error {
	shown := len(d.sinks.from(0))
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-ended:
			ended <- nil // demo receives from ended once more
			return err
		case <-d.sinks.news:
		}
		for _, m := range d.sinks.from(shown) {
			p.printArrived(m)
			shown++
		}
	}
}

// demoFiles writes the demo's folder and loads the configuration in it.
func (p *program) demoFiles(d *demo, o demoOptions) error {
	booked := ahead(embedded(testdata.Files, "events/create.json"), time.Now())
	files := map[string][]byte{d.event(): bytes.ReplaceAll(booked, []byte("u8jzPde0IgxLd6GncfBA"), []byte("one-more"))}
	for _, pattern := range []string{"demo/*.yaml", "events/*.json"} {
		names, _ := fs.Glob(testdata.Files, pattern) // fails only for a bad pattern
		for _, name := range names {
			if data := embedded(testdata.Files, name); strings.HasPrefix(pattern, "demo") {
				files[filepath.Join(d.dir, "rules", path.Base(name))] = data
			} else {
				files[filepath.Join(d.dir, name)] = ahead(data, time.Now())
			}
		}
	}
	for name, data := range files {
		if _, err := writeNew(name, data); err != nil {
			return fmt.Errorf("writing the demo's files: %w", err)
		}
	}
	var err error
	d.cfg, err = p.settle(d.dir, map[string]any{
		"listen": o.listen, "admin": o.admin,
		"sources": map[string]any{"hoopai": map[string]any{"verify": config.None}},
		"connections": map[string]any{
			"mail":  map[string]any{"smtp": "smtp://" + d.sinks.mailAddr + "?tls=none", "from": "Bookings <bookings@example.com>"},
			"slack": map[string]any{"token": "xoxb-demo", "api": "http://" + d.sinks.slackAddr + "/api/"},
			"crm":   map[string]any{"url": "http://" + d.sinks.apiAddr},
		},
		"egress": map[string]any{"allow": []string{d.sinks.mailAddr, d.sinks.slackAddr, d.sinks.apiAddr}},
	})
	return err
}

// launch starts a server that this program needs for a while. ended gets its error when it ends; stop ends it and waits
// for that.
func (p *program) launch(ctx context.Context, cfg *config.Config, level slog.Leveler) (e *engine.Engine, ended chan error, stop func() error, err error) {
	logger := slog.New(slog.NewTextHandler(p.stderr, &slog.HandlerOptions{Level: level}))
	if e, err = engine.New(ctx, engine.Options{Config: cfg, Logger: logger, Version: build().Version}); err != nil {
		return nil, nil, nil, err
	}
	running, end := context.WithCancel(ctx)
	ended = make(chan error, 1)
	go func() { ended <- e.Run(running) }()
	return e, ended, func() error {
		end()
		return <-ended
	}, nil
}

// settle writes the configuration of a server that this program starts itself, and loads it.
func (p *program) settle(dir string, settings map[string]any) (*config.Config, error) {
	data, err := json.MarshalIndent(settings, "", "  ") // JSON is YAML
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, config.FileName)
	if err := os.WriteFile(file, append(data, '\n'), 0o600); err != nil {
		return nil, fmt.Errorf("writing the configuration: %w", err)
	}
	cfg, findings, err := p.load(file, config.Env{})
	if err != nil {
		return nil, err
	}
	if text.HasErrors(findings) {
		p.printFindings(p.stderr, findings)
		return nil, errors.New("the server cannot run with these settings")
	}
	return cfg, nil
}

// sendSamples sends every sample and shows its results. The error lists the results that are wrong.
func (p *program) sendSamples(ctx context.Context, d *demo, list []sample) error {
	start := time.Now()
	var wrong []string
	notSent := 0
	for i, s := range list {
		e, r, err := d.send(ctx, s)
		if err != nil {
			return fmt.Errorf("sample %d: %w", i+1, err)
		}
		p.printSample(i+1, s, r)
		if r.Status != s.status {
			wrong = append(wrong, fmt.Sprintf("sample %d is %s, not %s", i+1, r.Status, s.status))
		}
		if r.Status == record.Duplicate {
			continue // its deliveries are those of the first time
		}
		p.printHappened(e)
		var fired []firing
		rule := ""
		for j := range e.Deliveries {
			delivery := &e.Deliveries[j]
			if delivery.Rule != rule {
				rule = delivery.Rule
				p.printFired(rule)
				fired = append(fired, firing{rule, delivery.State})
			}
			m, arrived := d.sinks.of(delivery.ID)
			switch {
			case arrived:
				p.printArrived(m)
			case delivery.State == record.Sent:
				p.printMissing(delivery)
				wrong = append(wrong, fmt.Sprintf("sample %d: nothing arrived from rule %s", i+1, rule))
			case delivery.State == record.Waiting:
				d.waiting[delivery.ID] = standing(delivery)
				p.printWaiting(delivery)
			default:
				notSent++
				p.printNotSent(delivery)
			}
		}
		if !slices.Equal(fired, s.fires) {
			wrong = append(wrong, fmt.Sprintf("sample %d fired %v, not %v", i+1, fired, s.fires))
		}
		followed, err := d.followed(ctx, e.Appointment)
		if err != nil {
			return fmt.Errorf("sample %d: %w", i+1, err)
		}
		var follows []firing
		for j := range followed {
			delivery := &followed[j]
			follows = append(follows, firing{delivery.Rule, delivery.State})
			p.printFollowed(delivery)
			if delivery.State != record.Waiting {
				notSent++
			}
		}
		if !slices.Equal(follows, s.follows) {
			wrong = append(wrong, fmt.Sprintf("after sample %d, what waited is %v, not %v", i+1, follows, s.follows))
		}
	}
	p.printDemoSum(len(d.sinks.from(0)), notSent, len(d.waiting), time.Since(start))
	if len(wrong) > 0 {
		return fmt.Errorf("not everything came as it should: %s", strings.Join(wrong, "; "))
	}
	return nil
}

// standing is what is remembered of a delivery that waits, to notice when it changes.
func standing(d *record.Delivery) string { return string(d.State) + " " + d.Due.String() }

// followed gives the deliveries that waited for an appointment and have been moved or cancelled since they were
// last shown.
func (d *demo) followed(ctx context.Context, appointment string) (changed []record.Delivery, err error) {
	var page admin.Deliveries
	if _, err := d.api.call(ctx, http.MethodGet, "/api/v1/deliveries?appointment="+url.QueryEscape(appointment), nil, &page); err != nil {
		return nil, err
	}
	for i := range page.Deliveries {
		x := &page.Deliveries[i]
		shown, ok := d.waiting[x.ID]
		if !ok || shown == standing(x) {
			continue
		}
		changed = append(changed, *x)
		if d.waiting[x.ID] = standing(x); x.State != record.Waiting {
			delete(d.waiting, x.ID)
		}
	}
	return changed, nil
}

// patience is how long the demo waits for the deliveries of one sample.
const patience = 20 * time.Second

// send posts a sample and waits until its deliveries are settled.
func (d *demo) send(ctx context.Context, s sample) (*admin.Event, hook.Receipt, error) {
	var r hook.Receipt
	body, err := os.ReadFile(filepath.Join(d.dir, "events", s.file))
	if err != nil {
		return nil, r, err
	}
	status, answer, err := post(ctx, d.http, d.hook, nil, body)
	if err != nil {
		return nil, r, err
	}
	if status != http.StatusAccepted {
		return nil, r, fmt.Errorf("the server answers %s", refusal(status, answer))
	}
	if err := json.Unmarshal(answer, &r); err != nil {
		return nil, r, fmt.Errorf("reading the answer: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		var e admin.Event
		if _, err := d.api.call(ctx, http.MethodGet, "/api/v1/events/"+url.PathEscape(r.Event), nil, &e); err != nil {
			return nil, r, err
		}
		open := slices.IndexFunc(e.Deliveries, func(d record.Delivery) bool { return d.State.Open() && d.State != record.Waiting })
		if open < 0 {
			return &e, r, nil
		}
		select {
		case <-ctx.Done():
			late := &e.Deliveries[open]
			return nil, r, fmt.Errorf("the delivery of rule %s is still %s (%s): %w", late.Rule, late.State, late.Reason, ctx.Err())
		case <-look.C:
		}
	}
}
