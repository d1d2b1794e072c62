package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"bellhop/actions"
	"bellhop/engine/record"
)

// A Suppressed is an address that no message goes to.
type Suppressed struct {
	Location string    `json:"location"` // "" for all
	Channel  string    `json:"channel"`  // such as email
	Address  string    `json:"address"`  // as [actions.Address] writes it
	Reason   string    `json:"reason"`
	At       time.Time `json:"at"`
	// Proposed is true if messages still go to the address: a destination refused it for good, and an operator has not
	// decided yet.
	Proposed bool `json:"proposed"`
}

// Suppress puts an address on the list. If it is there already, its reason and time are replaced.
func (s *Store) Suppress(ctx context.Context, a Suppressed) error {
	return s.Write(ctx, KeyOf("suppressed", a.Address), func(tx *Tx) error {
		return tx.suppress(a, `DO UPDATE SET reason = excluded.reason, at = excluded.at, proposed = excluded.proposed`)
	})
}

func (t *Tx) suppress(a Suppressed, conflict string) error {
	_, err := t.exec("suppress", `INSERT INTO suppressed (location, channel, address, reason, at, proposed) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (address, channel, location) `+conflict, a.Location, a.Channel, a.Address, a.Reason, micros(a.At), a.Proposed)
	return err
}

// Unsuppress takes an address off the list. The error is [ErrNotFound] if it is not there.
func (s *Store) Unsuppress(ctx context.Context, a Suppressed) error {
	return s.ask(ctx, KeyOf("suppressed", a.Address), func(tx *Tx) error {
		n, err := tx.exec("suppress", `DELETE FROM suppressed WHERE address = ? AND channel = ? AND location = ?`, a.Address, a.Channel, a.Location)
		if err == nil && n == 0 {
			err = fmt.Errorf("%s is not on the list: %w", a.Address, ErrNotFound)
		}
		return err
	})
}

// SuppressedList returns the addresses on the list in their order, after one with which a page ended; at most limit of them,
// see [EventFilter.Limit].
func (s *Store) SuppressedList(ctx context.Context, after Suppressed, n int) ([]Suppressed, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT location, channel, address, reason, at, proposed FROM suppressed
		WHERE (address, channel, location) > (?, ?, ?) ORDER BY address, channel, location LIMIT ?`, after.Address, after.Channel, after.Location, limit(n))
	return collect(rows, err, "list suppressed addresses", func(rows *sql.Rows) (a Suppressed, err error) {
		var at int64
		err = rows.Scan(&a.Location, &a.Channel, &a.Address, &a.Reason, &at, &a.Proposed)
		a.At = fromMicros(at)
		return a, err
	})
}

// Suppressed returns which of some addresses are on the list of a location, or of all.
func (t *Tx) Suppressed(location, channel string, addresses []string) (map[string]bool, error) {
	if len(addresses) == 0 {
		return nil, nil
	}
	args := []any{channel, location}
	for _, a := range addresses {
		args = append(args, a)
	}
	rows, err := t.tx.QueryContext(t.ctx, `SELECT address FROM suppressed WHERE channel = ? AND (location = ? OR location = '') AND NOT proposed
		AND address IN (?`+strings.Repeat(", ?", len(addresses)-1)+`)`, args...)
	list, err := collect(rows, err, "look for suppressed addresses", func(rows *sql.Rows) (a string, err error) { return a, rows.Scan(&a) })
	found := make(map[string]bool, len(list))
	for _, a := range list {
		found[a] = true
	}
	return found, err
}

// propose proposes the addresses that the last attempt at an e-mail found to be refused for good.
func (t *Tx) propose(d *record.Delivery) error {
	if len(d.Attempts) == 0 {
		return nil
	}
	last := &d.Attempts[len(d.Attempts)-1]
	for _, no := range last.Receipt.Refused {
		address := actions.Address(d.Action, no.Recipient)
		if address == "" {
			continue
		}
		if err := t.suppress(Suppressed{d.Location, d.Action, address, "refused: " + no.Answer, last.At, true}, `DO NOTHING`); err != nil {
			return err
		}
	}
	return nil
}

// AllowedBeside reports whether another immediate step of the same rule and event was let pass.
func (t *Tx) AllowedBeside(d *record.Delivery) (beside bool, err error) {
	var n int
	err = t.tx.QueryRowContext(t.ctx, `SELECT count(*) FROM deliveries WHERE event = ? AND rule = ? AND id <> ? AND step_key = '' AND allowed`,
		d.Event, d.Rule, d.ID).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("look for steps that were let pass: %w", err)
	}
	return n > 0, nil
}
