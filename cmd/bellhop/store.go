package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bellhop/engine/config"
	"bellhop/engine/store"
)

func (p *program) storeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "store",
		Short: "Care of the recorded data",
	}
	cmd.AddCommand(p.copyCommand())
	group(cmd)
	return cmd
}

type copyFlags struct {
	config, from, to string
	json             bool
}

func (p *program) copyCommand() *cobra.Command {
	var f copyFlags
	cmd := &cobra.Command{
		Use:   "copy --from ./data --to postgres://…",
		Short: "Move an installation to another store, from a folder to PostgreSQL or back",
		Long: `Copy puts everything that a store holds into another, empty one: events, appointments, deliveries, the
versions of rule files, and the queue, so that steps that wait go on waiting there. It is all there or
nothing of it. No server may run on either store meanwhile.

Without --from or --to, that is the store of the configuration; there a password can be ${PG_PASSWORD}.

The old store stays as it was. Do not start a server on it again: it would send what is still to be sent a second time.`,
		Args: between(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return p.copyStore(cmd.Context(), f) },
	}
	configFlag(cmd, &f.config)
	flags := cmd.Flags()
	flags.StringVar(&f.from, "from", "", "the `store` to copy: a folder or postgres://…")
	flags.StringVar(&f.to, "to", "", "the empty `store` to copy to: a folder or postgres://…")
	flags.BoolVar(&f.json, "json", false, "print JSON")
	return cmd
}

func (p *program) copyStore(ctx context.Context, f copyFlags) (err error) {
	cfg, _, err := p.load(f.config, config.Env{Lenient: true})
	if err != nil {
		return err
	}
	if f.from == "" && f.to == "" {
		return usagef("copy needs --from or --to, or both")
	}
	from, to := cmp.Or(f.from, cfg.Store), cmp.Or(f.to, cfg.Store)
	if from == to {
		return usagef("--from and --to are the same store, %s", store.Redacted(from))
	}
	reader, err := store.OpenReader(ctx, from, cfg.NodeName()) // makes no store where there is none
	if errors.Is(err, fs.ErrNotExist) {
		return usagef("there is no store in %s", store.Redacted(from))
	}
	if err != nil {
		return err
	}
	if err := reader.Close(); err != nil {
		return err
	}
	open := func(at string) (*store.Store, error) {
		return store.Open(ctx, store.Options{At: at, Node: cfg.NodeName(), Version: build().Version})
	}
	old, err := open(from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, old.Close()) }()
	now, err := open(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, now.Close()) }()
	said := time.Now()
	copied, err := store.Copy(ctx, old, now, func(table string, rows int) {
		if time.Since(said) > time.Second && !f.json {
			said = time.Now()
			_, _ = fmt.Fprintf(p.stderr, "%s: %d\n", strings.ReplaceAll(table, "_", " "), rows)
		}
	})
	if err != nil {
		return err
	}
	if f.json {
		return p.writeJSON(copied, "")
	}
	p.printf("copied to %s:\n  events        %d\n  appointments  %d\n  deliveries    %d, of which %d are still to be sent\n", store.Redacted(to),
		copied.Events, copied.Appointments, copied.Deliveries, copied.Queued)
	p.printf("The old store in %s is as it was. Do not start a server on it again: it would send what is still to be sent a second time.\n", store.Redacted(from))
	return nil
}
