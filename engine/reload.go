package engine

import (
	"context"
	"fmt"
	"reflect"
	"slices"

	"bellhop/actions"
	"bellhop/engine/config"
	"bellhop/engine/hook"
	"bellhop/engine/work"
	"bellhop/rules"
	"bellhop/rules/live"
	"bellhop/rules/text"
)

// Reconfigure puts a configuration without mistakes into force: its sources, connections, egress, hours and language, and the
// limits of deliveries. restart names what has changed besides, which takes a new start of the program. An error says that
// nothing was changed. It must not be called concurrently.
func (e *Engine) Reconfigure(ctx context.Context, cfg *config.Config) (restart []string, err error) {
	guard, err := actions.NewGuard(actions.GuardOptions{Allow: cfg.Egress.Allow})
	if err != nil {
		return nil, fmt.Errorf("egress: %w", err)
	}
	sources, err := hook.NewSources(cfg.Sources, e.cfg.Zone)
	if err != nil {
		return nil, err
	}
	restart = fixed(e.cfg, cfg)
	cfg.Zone = e.cfg.Zone
	e.redactor.Add(cfg.Secrets())
	compile := e.compile(cfg)
	e.worker.Reconfigure(work.Reach{Guard: guard, Connections: connections(cfg), Attempts: cfg.Delivery.Attempts, MaxAge: cfg.Delivery.MaxAge})
	e.receiver.SetBrake(cfg.Delivery.Brake)
	e.intakeHandler.SetSources(sources)
	e.folder.Recompile(compile)
	e.metrics.Configurations.WithLabelValues(string(live.OK)).Inc()
	e.log.InfoContext(ctx, "the configuration was read again", "file", cfg.Path)
	for _, key := range restart {
		e.log.WarnContext(ctx, "a change of the configuration takes a restart", "key", key)
	}
	return restart, nil
}

// Unconfigured says that a configuration cannot be put into force, so that the one before stays.
func (e *Engine) Unconfigured(ctx context.Context, findings []text.Finding, why error) {
	for _, f := range findings {
		if f.Severity == text.Error {
			e.log.ErrorContext(ctx, "a mistake in the configuration", "at", f.Place(), "message", f.Message, "suggestion", f.Suggestion)
		}
	}
	e.metrics.Configurations.WithLabelValues(string(live.Failed)).Inc()
	e.log.ErrorContext(ctx, "the configuration was changed and cannot be used; the one before stays in force", "error", why)
}

// fixed returns the keys that differ and cannot be changed while the program runs.
func fixed(was, is *config.Config) (keys []string) {
	for _, key := range []struct {
		name    string
		was, is any
	}{
		{"listen", was.Listen, is.Listen},
		{"admin", was.Admin, is.Admin},
		{"admin_token", was.AdminToken, is.AdminToken},
		{"rules", was.Rules, is.Rules},
		{"directory", was.Directory, is.Directory},
		{"locations", was.Locations, is.Locations},
		{"store", was.Store, is.Store},
		{"node", was.Node, is.Node},
		{"timezone", was.Timezone, is.Timezone},
		{"retention", was.Retention, is.Retention},
		{"people", asked(was), asked(is)},
		{"intake", was.Intake, is.Intake},
		{"delivery.concurrency", was.Delivery.Concurrency, is.Delivery.Concurrency},
		{"delivery.per_destination", was.Delivery.PerDestination, is.Delivery.PerDestination},
		{"delivery.shutdown", was.Delivery.Shutdown, is.Delivery.Shutdown},
	} {
		if !reflect.DeepEqual(key.was, key.is) {
			keys = append(keys, key.name)
		}
	}
	return keys
}

// asked is how people are looked up, with the connection for it as it is written.
func asked(c *config.Config) [2]any {
	if c.People == nil {
		return [2]any{}
	}
	return [2]any{*c.People, slices.Sorted(slices.Values(c.Connections[c.People.Connection].Secrets()))}
}

// connections returns the shared connections.
func connections(cfg *config.Config) map[string]actions.Connection {
	all := make(map[string]actions.Connection, len(cfg.Connections))
	for name, c := range cfg.Connections {
		all[name] = c.Connection
	}
	return all
}

// compile returns how files of rules are compiled under a configuration. The secrets of a location are hidden before its file
// is in force.
func (e *Engine) compile(cfg *config.Config) live.Compiler {
	o := cfg.RuleOptions()
	read := o.LocationFile
	o.LocationFile = func(path string, data []byte) (*rules.File, []text.Finding, bool) {
		f, findings, ok := read(path, data)
		if f != nil {
			e.redactor.Add(f.Location().Value.(*config.Location).Secrets())
		}
		return f, findings, ok
	}
	return live.Compiler{
		Compile: func(path string, data []byte) (*rules.File, []text.Finding) {
			return rules.Compile(path, data, o)
		},
		Recall: func(path string, data []byte, digest string) (*rules.File, []text.Finding, error) {
			return rules.Recall(path, data, digest, o)
		},
		Stamp: stamp(o),
	}
}
