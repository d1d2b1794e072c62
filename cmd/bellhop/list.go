package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"bellhop/engine/record"

	"github.com/spf13/cobra"
)

// A question makes the calls to a server about one argument of a command. It returns the answer as it came, and a
// function that prints it for people.
type question func(ctx context.Context, c *client, arg string) (answer json.RawMessage, show func(), err error)

// remoteCommand returns cmd as a command that puts a question to a running server: for each argument, until the server
// refuses one, or once if there is none.
func (p *program) remoteCommand(cmd *cobra.Command, ask question) *cobra.Command {
	var remote remoteFlags
	remote.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := p.clientFor(&remote)
		if err != nil {
			return err
		}
		if len(args) == 0 {
			args = []string{""}
		}
		for _, arg := range args {
			answer, show, err := ask(cmd.Context(), c, arg)
			if err != nil {
				return err
			}
			if err := p.show(remote.json, answer, "  ", show); err != nil {
				return err
			}
		}
		return nil
	}
	return cmd
}

// about returns a question that is one call: its path is the id between before and after.
func about[T any](method, before, after string, show func(*T)) question {
	return func(ctx context.Context, c *client, id string) (json.RawMessage, func(), error) {
		var one T
		answer, err := c.call(ctx, method, before+url.PathEscape(id)+after, nil, &one)
		return answer, func() { show(&one) }, err
	}
}

// showCommand returns a command that shows one row of /api/v1/ and what, such as "events".
func showCommand[T any](p *program, what, short string, show func(*T)) *cobra.Command {
	cmd := &cobra.Command{Use: "show ID", Short: short, Args: between(1, 1)}
	return p.remoteCommand(cmd, about(http.MethodGet, "/api/v1/"+what+"/", "", show))
}

// listCommand returns a command that lists the rows of /api/v1/ and what, such as "events". show prints them all.
func listCommand[Page any](p *program, what, short string, filters [][2]string, show func(Page)) *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: short, Args: between(0, 0)}
	given := map[string]*string{}
	for _, filter := range append(filters, [2]string{"before", "go on after the `id` at which a page ended"}) {
		given[filter[0]] = cmd.Flags().String(filter[0], "", filter[1])
	}
	limit := cmd.Flags().Int("limit", record.PageSize, fmt.Sprintf("how many to show at once, up to %d", record.MaxPage))
	every := cmd.Flags().Bool("all", false, "show all, page after page")
	return p.remoteCommand(cmd, func(ctx context.Context, c *client, _ string) (json.RawMessage, func(), error) {
		if *limit < 1 || *limit > record.MaxPage {
			return nil, nil, usagef("--limit is a number from 1 to %d, not %d", record.MaxPage, *limit)
		}
		if *every {
			*limit = record.MaxPage
		}
		q := url.Values{"limit": {itoa(*limit)}}
		for name, value := range given {
			if *value != "" {
				q.Set(name, *value)
			}
		}
		var all Page
		answer, err := c.pages(ctx, "/api/v1/"+what, what, q, *every)
		if err == nil {
			err = c.decode(answer, &all)
		}
		return answer, func() { show(all) }, err
	})
}
