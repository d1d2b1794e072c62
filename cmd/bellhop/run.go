package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"bellhop/actions"
	"bellhop/engine"
	"bellhop/engine/config"
	"bellhop/rules/text"
)

// serverFlags are the flags of run.
type serverFlags struct {
	config, rules, store, listen, admin string
	logFormat, logLevel                 string
}

func (p *program) runCommand() *cobra.Command {
	var f serverFlags
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the server",
		Long: `Run takes in webhooks and sends what the rules say until it is stopped with Ctrl-C or SIGTERM. It then
finishes what it is sending; the rest waits in the store for the next start. Rule files may be changed
while it runs, and so may the configuration; SIGHUP makes it look at them at once. Flags win over the
configuration.`,
		Args: between(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return p.serve(cmd.Context(), f) },
	}
	configFlag(cmd, &f.config)
	flags := cmd.Flags()
	flags.StringVar(&f.rules, "rules", "", "the `folder` of rule files")
	flags.StringVar(&f.store, "store", "", "the `store` of events and deliveries: a folder, or postgres://…")
	flags.StringVar(&f.listen, "listen", "", "the public `address` for webhooks")
	flags.StringVar(&f.admin, "admin", "", "the operators' `address`: page, API and metrics")
	flags.StringVar(&f.logFormat, "log-format", "text", "the log's form: text or json")
	flags.StringVar(&f.logLevel, "log-level", "info", "the least severe level to log: debug, info, warn or error")
	return cmd
}

func (p *program) serve(ctx context.Context, f serverFlags) error {
	logger, err := p.logger(f.logFormat, f.logLevel)
	if err != nil {
		return err
	}
	written := ""
	cfg, findings, err := p.load(f.config, config.Env{Override: f.override})
	if err != nil {
		return err
	}
	if data, err := os.ReadFile(cfg.Path); err == nil {
		written = string(data)
	}
	p.printFindings(p.stderr, findings)
	if text.HasErrors(findings) {
		return errors.New("the configuration has mistakes, so the server does not start")
	}
	hide := actions.NewRedactor(cfg.Secrets()).Redact
	if _, err := os.Stat(cfg.Rules); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no rules folder %s; `%s init` writes one to begin with", cfg.Rules, p.name)
	}
	// From here on SIGHUP does not end the process. Before this, there is nothing to reload.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	o := engine.Options{Config: cfg, Logger: logger, Version: build().Version}
	if p.stderr.terminal && f.logFormat == "text" {
		o.Found = func(findings []text.Finding) { p.printFound(cfg.Rules, findings, hide) }
	}
	e, err := engine.New(ctx, o)
	if err != nil {
		return errors.New(hide(err.Error()))
	}

	if f.logFormat == "json" {
		logStarted(logger, cfg, e)
	} else {
		p.printStarted(cfg, e)
	}
	look := time.NewTicker(configPoll)
	defer look.Stop()
	file := &configFile{path: cfg.Path, force: written}
	stopReloading := reloadOn(hangups, look.C, func(asked bool) {
		if asked {
			e.Reload()
		}
		if file.changed(asked) {
			p.reconfigure(ctx, e, f, hide)
		}
	})
	err = e.Run(ctx)
	stopReloading()
	if err != nil {
		return errors.New(hide(err.Error()))
	}
	if f.logFormat == "json" {
		logger.Info("stopped")
	} else {
		p.printStopped()
	}
	return nil
}

// override puts the flags that are set into the configuration.
func (f *serverFlags) override(c *config.Config) {
	c.Rules, c.Store = cmp.Or(f.rules, c.Rules), cmp.Or(f.store, c.Store)
	c.Listen, c.Admin = cmp.Or(f.listen, c.Listen), cmp.Or(f.admin, c.Admin)
}

// logger returns a logger to standard error. The engine removes the secrets from what it logs.
func (p *program) logger(format, level string) (*slog.Logger, error) {
	at, ok := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}[strings.ToLower(level)]
	if !ok {
		return nil, usagef("--log-level is debug, info, warn or error, not %q", level)
	}
	options := &slog.HandlerOptions{Level: at}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(p.stderr, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(p.stderr, options)), nil
	}
	return nil, usagef("--log-format is text or json, not %q", format)
}

// configPoll is how often it is looked whether the configuration was saved.
const configPoll = 700 * time.Millisecond

// reloadOn calls reload at every signal, with true, and at every tick of looks, until stop is called. stop waits for a call that
// is under way.
func reloadOn(hangups <-chan os.Signal, looks <-chan time.Time, reload func(asked bool)) (stop func()) {
	done := make(chan struct{})
	var reloading sync.WaitGroup
	reloading.Go(func() {
		for {
			select {
			case <-hangups:
				reload(true)
			case <-looks:
				reload(false)
			case <-done:
				return
			}
		}
	})
	return func() {
		close(done)
		reloading.Wait()
	}
}

// A configFile is a configuration that is watched.
type configFile struct {
	path        string // "" if there is none
	force, seen string // what was last put into force, and what it was at the last look
}

// changed reports whether the file is to be read again: it was saved and is the same twice, or somebody asks for it.
func (c *configFile) changed(asked bool) bool {
	data, err := os.ReadFile(c.path)
	if c.path == "" || err != nil || len(data) == 0 {
		return false
	}
	now := string(data)
	settled := now == c.seen
	c.seen = now
	if !asked && (!settled || now == c.force) {
		return false
	}
	c.force = now
	return true
}

// reconfigure reads the configuration again. If it has a mistake, it says so, and the last good one stays in force.
func (p *program) reconfigure(ctx context.Context, e *engine.Engine, f serverFlags, hide func(string) string) {
	cfg, findings, err := p.load(f.config, config.Env{Override: f.override})
	if err == nil && text.HasErrors(findings) {
		err = errors.New("it has mistakes")
	}
	if err == nil {
		_, err = e.Reconfigure(ctx, cfg)
	}
	if err != nil {
		e.Unconfigured(ctx, findings, errors.New(hide(err.Error())))
	}
}

// unverified returns the sources whose webhooks are not verified.
func unverified(cfg *config.Config) []string {
	var names []string
	for _, name := range text.SortedKeys(cfg.Sources) {
		if cfg.Sources[name].Verify.Scheme == config.None {
			names = append(names, name)
		}
	}
	return names
}

// logStarted logs what printStarted tells people.
func logStarted(log *slog.Logger, cfg *config.Config, e *engine.Engine) {
	log.Info("started", "hooks", e.HookURL()+"/hooks/", "admin", e.AdminURL(), "config", cfg.Path, "folder", cfg.Rules,
		"files", len(e.Files()), "rules", len(e.Rules()))
	for _, name := range unverified(cfg) {
		log.Warn("a source is not verified: anybody who reaches this address can send its bookings", "source", name)
	}
}
