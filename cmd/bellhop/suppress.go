package main

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"bellhop/engine/admin"
	"bellhop/engine/store"
)

func (p *program) suppressCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "suppress",
		Short: "See and change the addresses that a running server does not write to",
	}
	cmd.AddCommand(
		listCommand(p, "suppressed", "List the addresses, and those that are proposed because a mail server refused them for good", nil, p.printSuppressed),
		p.suppressAdd(), p.suppressRemove(),
	)
	group(cmd)
	return cmd
}

func (p *program) suppressAdd() *cobra.Command {
	cmd := &cobra.Command{Use: "add ADDRESS…", Short: "Write to addresses no more", Args: between(1, anyNumber)}
	location := suppressLocation(cmd)
	reason := cmd.Flags().String("reason", "", "why, for the list")
	return p.remoteCommand(cmd, func(ctx context.Context, c *client, address string) (json.RawMessage, func(), error) {
		var entry store.Suppressed
		answer, err := c.call(ctx, http.MethodPost, "/api/v1/suppressed", admin.Suppression{Address: address, Location: *location, Reason: *reason}, &entry)
		return answer, func() { p.printf("%s is not written to any more%s\n", clean(entry.Address), at(entry.Location)) }, err
	})
}

func (p *program) suppressRemove() *cobra.Command {
	cmd := &cobra.Command{Use: "remove ADDRESS…", Short: "Write to addresses again", Args: between(1, anyNumber)}
	location := suppressLocation(cmd)
	return p.remoteCommand(cmd, func(ctx context.Context, c *client, address string) (json.RawMessage, func(), error) {
		var entry store.Suppressed
		path := "/api/v1/suppressed/" + url.PathEscape(address) + "?" + url.Values{"location": {*location}}.Encode()
		answer, err := c.call(ctx, http.MethodDelete, path, nil, &entry)
		return answer, func() { p.printf("%s is written to again%s\n", clean(entry.Address), at(entry.Location)) }, err
	})
}

func suppressLocation(cmd *cobra.Command) *string {
	return cmd.Flags().String("location", "", "only for the location with this `id`")
}

// at names a location in a sentence.
func at(location string) string {
	if location == "" {
		return ""
	}
	return " at " + clean(location)
}

func (p *program) printSuppressed(list admin.SuppressedList) {
	if len(list.Suppressed) == 0 {
		p.printf("No address is suppressed.\n")
		return
	}
	var rows [][]string
	for _, a := range list.Suppressed {
		state := "suppressed"
		if a.Proposed {
			state = "proposed"
		}
		rows = append(rows, []string{local(a.At), clean(a.Address), a.Channel, cmp.Or(clean(a.Location), "all"), state, short(clean(a.Reason), 80)})
	}
	p.table([]string{"SINCE", "ADDRESS", "CHANNEL", "LOCATION", "STATE", "REASON"}, rows)
	p.printMore(list.Next)
}
