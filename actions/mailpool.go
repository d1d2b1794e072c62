package actions

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"
)

// Limits on connections kept for the next e-mail, chosen so that mail servers bear them.
const (
	keptSessions   = 4                // how many are kept at once
	keptFor        = 30 * time.Second // how long one is kept; servers hang up after a few minutes
	mailsOfSession = 100              // how many e-mails are sent over one; many servers allow no more

	stillThere = 5 * time.Second // timeout for the answer to the first command on a kept connection
	farewell   = time.Second     // timeout for sending QUIT
)

// A mailPool keeps connections that worked for the next e-mail. Its zero value is ready. It is safe for concurrent
// use.
type mailPool struct {
	idle time.Duration // how long a conversation is kept; 0 is keptFor

	mu     sync.Mutex
	kept   []*session // the one used last is at the end
	closed bool
	timers sync.WaitGroup // expiry timers that have neither been stopped nor run
}

var _ Closer = (*Mail)(nil)

// Close ends the idle connections and keeps none from then on. E-mails can still be sent.
func (m *Mail) Close() {
	p := &m.pool
	p.mu.Lock()
	kept := p.kept
	p.kept, p.closed = nil, true
	p.mu.Unlock()
	for _, s := range kept {
		p.stopTimer(s)
		s.quit()
	}
	p.timers.Wait()
}

// session gives a connection that is ready for an e-mail: a kept one that still answers, or a new one. A kept one
// must have been opened through the same guard, since another guard may permit less.
func (m *Mail) session(ctx context.Context, guard *Guard, srv server) (*session, error) {
	s := m.pool.take(guard)
	if s == nil {
		return m.dial(ctx, guard, srv)
	}
	s.begin(ctx, stillThere)
	err := s.Reset()
	s.stop()
	if err != nil {
		_ = s.conn.Close() // it ended while it was kept, which is not a failure of this e-mail
		return m.dial(ctx, guard, srv)
	}
	s.begin(ctx, mailTimeout)
	return s, nil
}

// take gives the connection used last, nil if there is none.
func (p *mailPool) take(guard *Guard) *session {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range slices.Backward(p.kept) {
		if s.guard == guard {
			p.remove(s)
			p.stopTimer(s)
			s.reused = true
			return s
		}
	}
	return nil
}

// put keeps a connection for reuse, unless it has sent enough mails or enough are kept. It does nothing with nil and
// never blocks.
func (p *mailPool) put(s *session) {
	switch {
	case s == nil:
	case !s.orderly:
		s.close()
	case !s.stop() || s.mails >= mailsOfSession || !p.keep(s):
		s.quit()
	}
}

func (p *mailPool) keep(s *session) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.kept) >= keptSessions {
		return false
	}
	p.kept = append(p.kept, s)
	p.timers.Add(1)
	s.expiry = time.AfterFunc(cmp.Or(p.idle, keptFor), func() {
		defer p.timers.Done()
		p.mu.Lock()
		mine := p.remove(s)
		p.mu.Unlock()
		if mine {
			s.quit()
		}
	})
	return true
}

// remove takes s out of the pool, and reports whether it was there. The caller holds mu.
func (p *mailPool) remove(s *session) bool {
	i := slices.Index(p.kept, s)
	if i >= 0 {
		p.kept = slices.Delete(p.kept, i, i+1)
	}
	return i >= 0
}

func (p *mailPool) stopTimer(s *session) {
	if s.expiry.Stop() {
		p.timers.Done()
	}
}
