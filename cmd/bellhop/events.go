package main

import (
	"net/http"

	"github.com/spf13/cobra"
)

func (p *program) eventsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "events",
		Short: "See what a running server received, or have an event matched again",
	}
	cmd.AddCommand(p.eventsList(), showCommand(p, "events", "Show one event and what came of it", p.printEvent), p.eventsReplay())
	group(cmd)
	return cmd
}

func (p *program) eventsList() *cobra.Command {
	return listCommand(p, "events", "List events, the newest first", [][2]string{
		{"appointment", "only those of the appointment with this `id`"},
		{"type", "only those of this wire `type`, such as AppointmentCreate"},
		{"status", "only those that are accepted, stale or ignored"},
		{"source", "only those from this `source`"},
		{"location", "only those of the location with this `id`"},
	}, p.printEvents)
}

func (p *program) eventsReplay() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "replay ID",
		Short: "Match an event against the current rules",
		Long: `Replay matches a recorded event against the rules as they are now, so that a rule that was added or
repaired since is caught up on. What was enqueued for the event before is not enqueued again;
what was only watched (mode: shadow) or skipped, and would be sent now, is.`,
		Args: between(1, 1),
	}
	return p.remoteCommand(cmd, about(http.MethodPost, "/api/v1/events/", "/replay", p.printReplayed))
}
