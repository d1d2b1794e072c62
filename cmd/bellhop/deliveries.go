package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
	"github.com/tidwall/gjson"

	"bellhop/engine/admin"
	"bellhop/engine/record"
)

func (p *program) deliveriesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "deliveries",
		Short: "See what a running server sends, retry it or cancel it",
	}
	cmd.AddCommand(
		p.deliveriesList(), showCommand(p, "deliveries", "Show one delivery: what is sent, and what each attempt brought", p.printDelivery),
		p.deliveriesChange("retry", "Try dead or cancelled deliveries again", "will be tried again", ""),
		p.deliveriesChange("cancel", "Cancel deliveries that are not being sent", "is cancelled", "cancelled"),
		p.deliveriesChange("release", "Send deliveries that the brake holds", "will be sent", "released"),
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
// other and stops at the first that the server refuses. If many is not "", it can also change all that the brake holds;
// many says in a word what they are then.
func (p *program) deliveriesChange(verb, short, done, many string) *cobra.Command {
	cmd := &cobra.Command{Use: verb + " ID…", Short: short, Args: between(1, anyNumber)}
	one := about(http.MethodPost, "/api/v1/deliveries/", "/"+verb, func(d *record.Delivery) { p.printChanged(d, done) })
	if many == "" {
		return p.remoteCommand(cmd, one)
	}
	cmd.Use, cmd.Args = verb+" [ID…]", between(0, anyNumber)
	rule := cmd.Flags().String("rule", "", "all that the brake holds of the rule with this `name`")
	location := cmd.Flags().String("location", "", "all that the brake holds at the location with this `id`")
	all := cmd.Flags().Bool("all", false, "all that the brake holds")
	return p.remoteCommand(cmd, func(ctx context.Context, c *client, id string) (json.RawMessage, func(), error) {
		held := *rule != "" || *location != "" || *all
		switch {
		case id != "" && held:
			return nil, nil, usagef("give ids, or --rule, --location or --all, not both")
		case id != "":
			return one(ctx, c, id)
		case !held:
			return nil, nil, usagef("give the ids of deliveries; or --rule NAME, --location ID or --all for those that the brake holds")
		}
		q := url.Values{"rule": {*rule}, "location": {*location}}
		var sum admin.Changed
		for more := true; more; more = sum.More {
			var page admin.Changed
			if _, err := c.call(ctx, http.MethodPost, "/api/v1/deliveries/"+verb+"?"+q.Encode(), nil, &page); err != nil {
				return nil, nil, err
			}
			sum = admin.Changed{Changed: sum.Changed + page.Changed, More: page.More}
		}
		answer, err := json.Marshal(sum)
		return answer, func() { p.printf("%s %s\n", count(sum.Changed, "delivery"), many) }, err
	})
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
