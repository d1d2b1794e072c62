package main

import (
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"bellhop/engine/admin"
)

func (p *program) eventsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "events",
		Short: "See what a running server received, or have an event matched again",
	}
	cmd.AddCommand(p.eventsList(), p.eventsShow(), p.eventsReplay())
	group(cmd)
	return cmd
}

// listFlags are the filters and pages of a list.
type listFlags struct {
	filters map[string]*string
	limit   int
	all     bool
	before  string
}

func (f *listFlags) add(cmd *cobra.Command, filters [][2]string) {
	f.filters = map[string]*string{}
	for _, filter := range filters {
		f.filters[filter[0]] = cmd.Flags().String(filter[0], "", filter[1])
	}
	cmd.Flags().IntVar(&f.limit, "limit", 50, "how many to show at once, up to 500")
	cmd.Flags().BoolVar(&f.all, "all", false, "show all, page after page")
	cmd.Flags().StringVar(&f.before, "before", "", "go on after the `id` at which a page ended")
}

func (f *listFlags) query() (url.Values, error) {
	if f.limit < 1 || f.limit > 500 {
		return nil, usagef("--limit is a number from 1 to 500, not %d", f.limit)
	}
	if f.all {
		f.limit = 500
	}
	q := url.Values{"limit": {itoa(f.limit)}}
	for name, value := range f.filters {
		if *value != "" {
			q.Set(name, *value)
		}
	}
	if f.before != "" {
		q.Set("before", f.before)
	}
	return q, nil
}

func (p *program) eventsList() *cobra.Command {
	var remote remoteFlags
	var list listFlags
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List events, the newest first",
		Args:  between(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			q, err := list.query()
			if err != nil {
				return err
			}
			c, err := p.clientFor(&remote)
			if err != nil {
				return err
			}
			var all admin.Events
			answer, err := c.pages(cmd.Context(), "/api/v1/events", "events", q, list.all, func(data json.RawMessage) (string, error) {
				var page admin.Events
				err := json.Unmarshal(data, &page)
				all.Events, all.Next = append(all.Events, page.Events...), page.Next
				return page.Next, err
			})
			if err != nil {
				return err
			}
			if remote.json {
				return p.printJSON(answer)
			}
			p.printEvents(all)
			return nil
		},
	}
	remote.add(cmd)
	list.add(cmd, [][2]string{
		{"appointment", "only those of the appointment with this `id`"},
		{"type", "only those of this wire `type`, such as AppointmentCreate"},
		{"status", "only those that are accepted, stale or ignored"},
		{"source", "only those from this `source`"},
		{"location", "only those of the location with this `id`"},
	})
	return cmd
}

func (p *program) eventsShow() *cobra.Command {
	var remote remoteFlags
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show one event and what came of it",
		Args:  between(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := p.clientFor(&remote)
			if err != nil {
				return err
			}
			var e admin.Event
			answer, err := c.call(cmd.Context(), http.MethodGet, "/api/v1/events/"+url.PathEscape(args[0]), nil, &e)
			if err != nil {
				return err
			}
			if remote.json {
				return p.printJSON(answer)
			}
			p.printEvent(&e)
			return nil
		},
	}
	remote.add(cmd)
	return cmd
}

func (p *program) eventsReplay() *cobra.Command {
	var remote remoteFlags
	cmd := &cobra.Command{
		Use:   "replay ID",
		Short: "Match an event against the present rules",
		Long: `Replay matches a recorded event against the rules as they are now, so that a rule that was added or
repaired since is caught up on. What was enqueued for the event before is not enqueued again.`,
		Args: between(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := p.clientFor(&remote)
			if err != nil {
				return err
			}
			var added admin.Deliveries
			answer, err := c.call(cmd.Context(), http.MethodPost, "/api/v1/events/"+url.PathEscape(args[0])+"/replay", nil, &added)
			if err != nil {
				return err
			}
			if remote.json {
				return p.printJSON(answer)
			}
			p.printReplayed(added)
			return nil
		},
	}
	remote.add(cmd)
	return cmd
}
