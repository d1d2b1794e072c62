package receive

import (
	"fmt"
	"time"

	"bellhop/actions"
	"bellhop/engine/record"
	"bellhop/engine/store"
)

// brakeSpan is the time in which the brake counts the messages of a rule at a location, to the minute.
const brakeSpan = time.Hour

// allow decides, in the transaction that claims it, whether a message that is to be sent may go out. It is asked once for a
// message, so that its later attempts count no more.
func (r *Receiver) allow(tx *store.Tx, d *record.Delivery, now time.Time) error {
	kind, ok := actions.Lookup(d.Action)
	if !ok || !kind.Message || d.Allowed {
		return nil
	}
	if r.Brake > 0 {
		wait, err := tx.Count(store.Quota{Name: store.BrakeName(d), Limit: r.Brake, Span: brakeSpan, Grain: time.Minute}, now)
		if err != nil {
			return err
		}
		if wait > 0 {
			d.State = record.Held
			d.Reason = fmt.Sprintf("held by the brake: the rule has sent %d messages at this location within an hour; release or cancel it", r.Brake)
			if d.Key != "" {
				d.Request = nil // when it is released, it is decided and rendered again
			}
			return nil
		}
	}
	d.Allowed = true
	return nil
}
