package main

import (
	"bytes"
	"encoding/json"
	"net/http"

	"github.com/spf13/cobra"

	"bellhop/engine/record"
)

func (p *program) deliveriesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "deliveries",
		Short: "See what a running server sends, retry it or cancel it",
	}
	cmd.AddCommand(
		p.deliveriesList(), showCommand(p, "deliveries", "Show one delivery: what is sent, and what each attempt brought", p.printDelivery),
		p.deliveriesChange("retry", "Try dead or cancelled deliveries again", "will be tried again"),
		p.deliveriesChange("cancel", "Cancel deliveries that are not being sent", "is cancelled"),
	)
	group(cmd)
	return cmd
}

func (p *program) deliveriesList() *cobra.Command {
	return listCommand(p, "deliveries", "List deliveries, the newest first", [][2]string{
		{"state", "only those in this `state`, such as dead"},
		{"rule", "only those of the rule with this `name`"},
		{"event", "only those of the event with this `id`"},
		{"appointment", "only those of the appointment with this `id`"},
	}, p.printDeliveries)
}

// deliveriesChange returns a command that changes deliveries, such as retry. It changes them one after the
// other and stops at the first that the server refuses.
func (p *program) deliveriesChange(verb, short, done string) *cobra.Command {
	cmd := &cobra.Command{Use: verb + " ID…", Short: short, Args: between(1, anyNumber)}
	return p.remoteCommand(cmd, about(http.MethodPost, "/api/v1/deliveries/", "/"+verb, func(d *record.Delivery) { p.printChanged(d, done) }))
}

// A pair is one key of a JSON object.
type pair struct {
	key   string
	value json.RawMessage
}

// pairs returns the keys of a JSON object in the order in which they were written.
func pairs(object json.RawMessage) ([]pair, error) {
	dec := json.NewDecoder(bytes.NewReader(object))
	if _, err := dec.Token(); err != nil {
		return nil, err
	}
	var list []pair
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, err
		}
		name, _ := key.(string) // the keys of an object are strings
		list = append(list, pair{name, value})
	}
	return list, nil
}
