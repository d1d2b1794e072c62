package main

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"time"

	"github.com/spf13/cobra"

	"bellhop/engine/admin"
	"bellhop/engine/config"
	"bellhop/engine/explain"
	"bellhop/rules/live"
)

type explainFlags struct {
	remoteFlags
	event, rule, rules, state, source, at string
	all                                   bool
}

func (p *program) explainCommand() *cobra.Command {
	var f explainFlags
	cmd := &cobra.Command{
		Use:   "explain --event FILE|ID",
		Short: "Show why each rule did or did not fire for an event",
		Long: `Explain shows of each rule whether it fires for an event, and if not, which part of its condition is why,
with the value of every part. What the event did not carry is marked as missing. Of a step that waits (at:)
it shows until when, and what it is sent as then if nothing changes.

With an event's id it asks the running server, and shows what the rules said that were in force when the
event was received. With a file it needs no server: it takes the rules of the configured folder, and
--state gives the appointment before the event, as an earlier event's file or as some of its fields.`,
		Args: between(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return p.explain(cmd.Context(), f) },
	}
	f.add(cmd)
	flags := cmd.Flags()
	flags.StringVarP(&f.event, "event", "e", "", "the event: a `file` with its JSON (- is standard input), or the id of a recorded one")
	flags.StringVar(&f.rule, "rule", "", "explain only the rule with this `name`")
	flags.StringVar(&f.rules, "rules", "", "with a file: the rules `folder`, if not the configured one")
	flags.StringVar(&f.state, "state", "", "with a file: a JSON `file` with the appointment before")
	flags.StringVar(&f.source, "source", config.DefaultSource, "with a file: the `source` that the event is from")
	flags.StringVar(&f.at, "now", "", "with a file: the `time` at which the event is received, such as 2026-01-31T15:04:05Z")
	flags.BoolVar(&f.all, "all", false, "show the rules that are for other events, too")
	return cmd
}

// eventID matches the id of a recorded event.
var eventID = regexp.MustCompile(`^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$`)

func (p *program) explain(ctx context.Context, f explainFlags) error {
	var answer explain.Answer
	var asJSON any = &answer
	var err error
	switch {
	case f.event == "":
		return usagef("--event is missing: give an event's file, or the id of a recorded event")
	case eventID.MatchString(f.event) && !exists(f.event):
		for _, only := range []struct{ flag, value string }{{"rules", f.rules}, {"state", f.state}, {"now", f.at}} {
			if only.value != "" {
				return usagef("--%s is only for events from a file; for a recorded event it is known", only.flag)
			}
		}
		var c *client
		if c, err = p.clientFor(&f.remoteFlags); err != nil {
			return err
		}
		asJSON, err = c.call(ctx, http.MethodPost, "/api/v1/explain", admin.Question{Event: f.event, Rule: f.rule}, &answer)
	default:
		answer, err = p.explainFile(f)
	}
	if err != nil {
		return err
	}
	return p.show(f.json, asJSON, "  ", func() { p.printAnswer(&answer, f.all || f.rule != "") })
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func (p *program) explainFile(f explainFlags) (explain.Answer, error) {
	cfg, _, err := p.load(f.config, config.Env{Lenient: true})
	if err != nil {
		return explain.Answer{}, err
	}
	payload := explain.Payload{Source: f.source, At: time.Now()}
	if f.at != "" {
		if payload.At, err = time.Parse(time.RFC3339, f.at); err != nil {
			return explain.Answer{}, usagef("--now is a time such as 2026-01-31T15:04:05Z, not %q", f.at)
		}
	}
	if payload.Body, err = p.readEvent(f.event); err != nil {
		return explain.Answer{}, err
	}
	if f.state != "" {
		if payload.State, err = os.ReadFile(f.state); err != nil {
			return explain.Answer{}, fmt.Errorf("reading the state before: %w", err)
		}
	}
	loaded, err := live.LoadFolder(cfg.RuleOptions(), cmp.Or(f.rules, cfg.Rules), cfg.Folders()...)
	if err != nil {
		return explain.Answer{}, err
	}
	if mistakes := loaded.Mistakes(); len(mistakes) > 0 { // as for a server, they are no reason to be silent about the others
		p.printFindings(p.stderr, mistakes)
		_, _ = fmt.Fprintf(p.stderr, "Files with mistakes are left out.\n\n")
	}
	o := explain.Options{Rules: live.Snapshot{Set: loaded.Set}, Compile: cfg.RuleOptions(), Zone: cfg.Zone, Rule: f.rule, Asks: cfg.People != nil}
	return explain.Imagine(payload, o)
}
