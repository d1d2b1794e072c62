package store

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"
)

// This file keeps what processes share when they look up people: how many requests they have made, and tokens.

// Take counts a request for a name, and returns 0 if there were fewer than limit in the span of time before now. Otherwise
// it counts nothing, and returns how long to wait. What it counts holds over a restart, and for all processes.
func (s *Store) Take(ctx context.Context, name string, limit int, span time.Duration, now time.Time) (wait time.Duration, err error) {
	err = s.Write(ctx, KeyOf("quota", name), func(tx *Tx) error {
		wait = 0
		var packed []byte
		err := tx.tx.QueryRowContext(tx.ctx, `SELECT times FROM quotas WHERE name = ?`, name).Scan(&packed)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("read quota: %w", err)
		}
		times := slices.DeleteFunc(unpackTimes(packed), func(at int64) bool { return at <= micros(now.Add(-span)) })
		if len(times) >= limit {
			wait = fromMicros(times[len(times)-limit]).Add(span).Sub(now)
			return nil
		}
		_, err = tx.exec("write quota", `INSERT INTO quotas (name, at, times) VALUES (?1, ?2, ?3) ON CONFLICT (name) DO UPDATE SET at = ?2, times = ?3`,
			name, micros(now), packTimes(append(times, micros(now))))
		return err
	})
	return wait, err
}

func packTimes(times []int64) (packed []byte) {
	for _, at := range times {
		packed = binary.BigEndian.AppendUint64(packed, uint64(at))
	}
	return packed
}

func unpackTimes(packed []byte) (times []int64) {
	for ; len(packed) >= 8; packed = packed[8:] {
		times = append(times, int64(binary.BigEndian.Uint64(packed)))
	}
	return times
}

// pruneQuotas deletes the counts of names that made no request since a time.
func (s *Store) pruneQuotas(ctx context.Context, before int64) error {
	return s.Write(ctx, 0, func(tx *Tx) error {
		_, err := tx.exec("prune", `DELETE FROM quotas WHERE at < ?`, before)
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
