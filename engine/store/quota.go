package store

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"bellhop/engine/record"
)

// This file counts what must not happen too often, for all processes and over restarts: messages of a rule, and requests to
// the platform. It also keeps the platform's tokens.

// A Quota is how much of something may happen in any span of time.
type Quota struct {
	Name  string // what is counted
	Limit int
	Span  time.Duration
	// Grain is how exactly the time is kept: what happens within it counts as if it happened at its end. 0 is exactly. The
	// finer it is, the more is stored for a large limit.
	Grain time.Duration
}

// BrakeName is the name under which the deliveries of a rule at a location are counted.
func BrakeName(d *record.Delivery) string { return "brake\x1f" + d.Rule + "\x1f" + d.Location }

func quotaKey(name string) Key { return KeyOf("quota", name) }

// Room returns 0 if one more at now keeps to the quota; otherwise how long to wait until it does.
func (t *Tx) Room(q Quota, now time.Time) (wait time.Duration, err error) {
	_, wait, err = t.counted(q, now)
	return wait, err
}

// Count counts one more at now, and returns 0, if that keeps to the quota. Otherwise it counts nothing, and returns how long
// to wait until it would.
func (t *Tx) Count(q Quota, now time.Time) (wait time.Duration, err error) {
	list, wait, err := t.counted(q, now)
	if wait > 0 || err != nil {
		return wait, err
	}
	at := now
	if q.Grain > 0 {
		at = now.Truncate(q.Grain).Add(q.Grain)
	}
	if last := len(list) - 1; last >= 0 && list[last].at >= micros(at) {
		list[last].n++
	} else {
		list = append(list, counted{micros(at), 1})
	}
	_, err = t.exec("write quota", `INSERT INTO quotas (name, at, times) VALUES (?1, ?2, ?3) ON CONFLICT (name) DO UPDATE SET at = ?2, times = ?3`,
		q.Name, micros(at.Add(q.Span)), pack(list))
	return 0, err
}

// counted returns what happened lately, and how long to wait until one more keeps to the quota; 0 if it does now.
func (t *Tx) counted(q Quota, now time.Time) (list []counted, wait time.Duration, err error) {
	if err := t.s.db.lock(t.ctx, t.tx, []Key{quotaKey(q.Name)}); err != nil {
		return nil, 0, err
	}
	var packed []byte
	err = t.tx.QueryRowContext(t.ctx, `SELECT times FROM quotas WHERE name = ?`, q.Name).Scan(&packed)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, 0, fmt.Errorf("read quota: %w", err)
	}
	list = unpack(packed)
	for len(list) > 0 && list[0].at <= micros(now.Add(-q.Span)) {
		list = list[1:]
	}
	sum := 0
	for _, c := range list {
		sum += int(c.n)
	}
	for _, c := range list {
		if sum < q.Limit {
			break
		}
		sum -= int(c.n)
		wait = fromMicros(c.at).Add(q.Span).Sub(now)
	}
	if wait > 0 || q.Limit <= 0 {
		wait = max(wait, 1)
	}
	return list, wait, nil
}

// Count is [Tx.Count] in a transaction of its own.
func (s *Store) Count(ctx context.Context, q Quota, now time.Time) (wait time.Duration, err error) {
	err = s.Write(ctx, quotaKey(q.Name), func(tx *Tx) error {
		var err error
		wait, err = tx.Count(q, now)
		return err
	})
	return wait, err
}

// A counted is how often something happened at a time, in microseconds.
type counted struct {
	at int64
	n  uint32
}

func pack(list []counted) (packed []byte) {
	for _, c := range list {
		packed = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(packed, uint64(c.at)), c.n)
	}
	return packed
}

func unpack(packed []byte) (list []counted) {
	for ; len(packed) >= 12; packed = packed[12:] {
		list = append(list, counted{int64(binary.BigEndian.Uint64(packed)), binary.BigEndian.Uint32(packed[8:])})
	}
	return list
}

// pruneQuotas deletes the counts that mattered only before a time.
func (s *Store) pruneQuotas(ctx context.Context) error {
	return s.Write(ctx, 0, func(tx *Tx) error {
		_, err := tx.exec("prune", `DELETE FROM quotas WHERE at < ?`, micros(s.opts.Now()))
		return err
	})
}

// Token returns what was kept under a name by SetToken; "" if nothing was.
func (s *Store) Token(ctx context.Context, name string) (string, error) {
	var token string
	err := s.read.QueryRowContext(ctx, `SELECT token FROM tokens WHERE name = ?`, name).Scan(&token)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("read token: %w", err)
	}
	return token, nil
}

// SetToken keeps a text under a name. It is durable when SetToken returns.
func (s *Store) SetToken(ctx context.Context, name, token string) error {
	return s.Write(ctx, KeyOf("token", name), func(tx *Tx) error {
		_, err := tx.exec("keep token", `INSERT INTO tokens (name, token) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET token = ?2`, name, token)
		return err
	})
}
