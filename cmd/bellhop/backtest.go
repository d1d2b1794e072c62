package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bellhop/actions"
	"bellhop/cmd/bellhop/backtest"
	"bellhop/engine/config"
	"bellhop/engine/store"
	"bellhop/rules"
	"bellhop/rules/live"
)

type backtestFlags struct {
	config, rules, store, since string
	limit                       int
	json                        bool
}

func (p *program) backtestCommand() *cobra.Command {
	var f backtestFlags
	cmd := &cobra.Command{
		Use:   "backtest --since 7d [--rules DIR]",
		Short: "Show what a changed rules folder would have sent for the recorded events",
		Long: `Backtest puts the events that were recorded since some time to the rules of a folder, and to the rules as
they are in force, and shows the difference: what would have been sent, what no longer, and what
differently. Counts per day and per recipient come first, so that a rule that is about to write to everybody
is seen at once. It sends nothing, and a running server is not disturbed.

Steps that wait (at:) are followed through the events that came later, as the server does: cancelled, moved and
sent at their moment. What still waits today is counted too, as what is to come.

The rules in force are those that the server has loaded last. Without --rules they are compared with the
configured folder as it is now.`,
		Args: between(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return p.backtest(cmd.Context(), f, time.Now()) },
	}
	configFlag(cmd, &f.config)
	flags := cmd.Flags()
	flags.StringVar(&f.since, "since", "7d", "how far to go back, such as 12h or 7d, or a `date` such as 2026-01-31")
	flags.StringVar(&f.rules, "rules", "", "the changed rules `folder`, if not the configured one")
	flags.StringVar(&f.store, "store", "", "the `store`, a folder or postgres://…, if not the configured one")
	flags.IntVar(&f.limit, "limit", 3, "how many messages to show of each rule and kind of difference")
	flags.BoolVar(&f.json, "json", false, "print JSON")
	return cmd
}

func (p *program) backtest(ctx context.Context, f backtestFlags, now time.Time) (err error) {
	if f.limit < 0 || f.limit > 1000 {
		return usagef("--limit is a number from 0 to 1000, not %d", f.limit)
	}
	cfg, _, err := p.load(f.config, config.Env{Lenient: true})
	if err != nil {
		return err
	}
	since, err := sinceTime(f.since, now, cfg.Zone)
	if err != nil {
		return err
	}
	dir, data := cmp.Or(f.rules, cfg.Rules), cmp.Or(f.store, cfg.Store)
	proposed, err := live.LoadFolder(cfg.RuleOptions(), dir, cfg.Folders()...)
	if err != nil {
		return err
	}
	if mistakes := proposed.Mistakes(); len(mistakes) > 0 { // what is said of the others would be half the truth
		p.printFindings(p.stderr, mistakes)
		return fmt.Errorf("the rules in %s do not load: %s", dir, count(len(mistakes), "mistake"))
	}
	reader, err := store.OpenReader(ctx, data, cfg.NodeName())
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no store in %s, so no event was recorded", store.Redacted(data))
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, reader.Close()) }()
	present, id, err := inForce(ctx, reader, cfg.RuleOptions())
	if err != nil {
		return err
	}
	bar := newProgress(p.stderr, now)
	report, err := backtest.Run(ctx, backtest.Options{
		Store: reader, Span: store.Span{Since: since, Until: now}, Present: present, Proposed: proposed.Set, PresentID: id,
		Zone: cfg.Zone, Examples: f.limit, Progress: func(done, total int) { bar.show(done, total, time.Now()) },
	})
	bar.clear()
	if err != nil {
		return err
	}
	return p.show(f.json, report, "  ", func() { p.printBacktest(report, dir) })
}

// sinceTime returns the time that a date, a time or a duration before now stands for.
func sinceTime(text string, now time.Time, zone *time.Location) (time.Time, error) {
	if at, err := time.ParseInLocation(time.DateOnly, text, zone); err == nil {
		return at, nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	d, err := actions.ParseDuration(text)
	if err != nil {
		return time.Time{}, usagef("--since: %w", err)
	}
	if d <= 0 {
		return time.Time{}, usagef("--since: %q is no time ago", text)
	}
	return now.Add(-d), nil
}

// inForce returns the rules that the server has loaded last, and their id in the store.
func inForce(ctx context.Context, r *store.Reader, o rules.Options) (*rules.Set, string, error) {
	versions, err := r.GoodVersions(ctx)
	if err != nil {
		return nil, "", err
	}
	var sources []live.Source
	names := []live.FileVersion{}
	for _, v := range versions {
		names = append(names, live.FileVersion{Path: v.Path, Hash: v.Hash})
		sources = append(sources, live.Source{Name: v.Path, Data: v.Data})
	}
	loaded := live.Load(sources, o)
	for _, f := range loaded.Mistakes() {
		return nil, "", fmt.Errorf("the version of %s that is in force does not load under this configuration: line %d: %s", f.File, f.Line, f.Message)
	}
	return loaded.Set, live.SetID(names), nil
}

// A progress is a bar on a terminal, and shows nothing elsewhere. It appears after progressAfter.
type progress struct {
	w           io.Writer // nil if there is no terminal
	begun, next time.Time
	shown       bool
}

const (
	progressAfter = time.Second
	progressEvery = 100 * time.Millisecond
	progressWidth = 30
)

func newProgress(o *output, now time.Time) *progress {
	bar := &progress{begun: now, next: now.Add(progressAfter)}
	if o.terminal {
		bar.w = o
	}
	return bar
}

func (b *progress) show(done, total int, now time.Time) {
	if b.w == nil || total == 0 || now.Before(b.next) {
		return
	}
	b.next, b.shown = now.Add(progressEvery), true
	full := progressWidth * done / total
	text := fmt.Sprintf("\r[%s%s] %3d%%, %d of %s", strings.Repeat("#", full), strings.Repeat(".", progressWidth-full), 100*done/total, done, count(total, "event"))
	if left := time.Duration(float64(now.Sub(b.begun)) / float64(max(done, 1)) * float64(total-done)); left >= time.Second {
		text += fmt.Sprintf(", %s left", left.Round(time.Second))
	}
	_, _ = fmt.Fprint(b.w, text+"\x1b[K") // the output remembers its failure
}

// clear removes the bar.
func (b *progress) clear() {
	if b.shown {
		_, _ = fmt.Fprint(b.w, "\r\x1b[K") // the output remembers its failure
	}
}
