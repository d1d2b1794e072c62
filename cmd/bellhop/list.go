package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"bellhop/engine/record"

	"github.com/spf13/cobra"
)

// listFlags are the flags of a list command: its filters, and which pages to show.
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
	cmd.Flags().IntVar(&f.limit, "limit", record.PageSize, fmt.Sprintf("how many to show at once, up to %d", record.MaxPage))
	cmd.Flags().BoolVar(&f.all, "all", false, "show all, page after page")
	cmd.Flags().StringVar(&f.before, "before", "", "go on after the `id` at which a page ended")
}

func (f *listFlags) query() (url.Values, error) {
	if f.limit < 1 || f.limit > record.MaxPage {
		return nil, usagef("--limit is a number from 1 to %d, not %d", record.MaxPage, f.limit)
	}
	if f.all {
		f.limit = record.MaxPage
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

// listCommand returns a command that lists the rows of /api/v1/ and what, such as "events". join adds a page to
// those before it and returns the cursor of the next page. show prints them all.
func listCommand[Page any](p *program, what, short string, filters [][2]string, join func(all, page *Page) (next string), show func(Page)) *cobra.Command {
	var remote remoteFlags
	var list listFlags
	cmd := &cobra.Command{
		Use:   "list",
		Short: short,
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
			var all Page
			answer, err := c.pages(cmd.Context(), "/api/v1/"+what, what, q, list.all, func(data json.RawMessage) (string, error) {
				var page Page
				if err := json.Unmarshal(data, &page); err != nil {
					return "", err
				}
				return join(&all, &page), nil
			})
			if err != nil {
				return err
			}
			if remote.json {
				return p.printJSON(answer)
			}
			show(all)
			return nil
		},
	}
	remote.add(cmd)
	list.add(cmd, filters)
	return cmd
}

// showCommand returns a command that shows one row of /api/v1/ and what.
func showCommand[T any](p *program, what, short string, show func(*T)) *cobra.Command {
	var remote remoteFlags
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: short,
		Args:  between(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := p.clientFor(&remote)
			if err != nil {
				return err
			}
			var one T
			answer, err := c.call(cmd.Context(), http.MethodGet, "/api/v1/"+what+"/"+url.PathEscape(args[0]), nil, &one)
			if err != nil {
				return err
			}
			if remote.json {
				return p.printJSON(answer)
			}
			show(&one)
			return nil
		},
	}
	remote.add(cmd)
	return cmd
}
