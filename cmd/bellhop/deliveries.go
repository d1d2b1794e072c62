package main

import (
	"encoding/json"
	"net/http"

	"github.com/spf13/cobra"
	"github.com/tidwall/gjson"

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

// pairs returns the keys of a JSON object in the order in which they were written. ok is false if it is not JSON.
func pairs(object json.RawMessage) (list []pair, ok bool) {
	if !gjson.ValidBytes(object) {
		return nil, false
	}
	if o := gjson.ParseBytes(object); o.IsObject() {
		o.ForEach(func(key, value gjson.Result) bool {
			list = append(list, pair{key.String(), json.RawMessage(value.Raw)})
			return true
		})
	}
	return list, true
}
