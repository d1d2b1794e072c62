package actions

import (
	"context"
	"slices"
	"sync"
	"time"
)

// What a mail server is asked to bear of connections that are kept for the next e-mail.
const (
	keptSessions   = 4                // that wait at once
	keptFor        = 30 * time.Second // that one waits; servers hang up after a few minutes
	mailsOfSession = 100              // sent over one; many servers allow no more

	stillThere = 5 * time.Second // for the answer to the first command on a connection that waited
	farewell   = time.Second     // for handing over QUIT
)

// A mailPool keeps conversations that went well for the next e-mail. Its zero value is ready. It is safe for concurrent
// use.
type mailPool struct {
	idle time.Duration // how long a conversation is kept; 0 is keptFor

	mu     sync.Mutex
	kept   []*session // the one used last is at the end
	closed bool
	timers sync.WaitGroup // that have neither been stopped nor run
}

var _ Closer = (*Mail)(nil)

// Close ends the conversations that wait for another e-mail, and lets none wait any more. E-mails can still be sent.
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

// session gives a conversation that is ready for an e-mail: one that was kept and still answers, or a new one. One that
// was kept was opened through the same guard, for another may permit less.
func (m *Mail) session(ctx context.Context, guard *Guard, srv server) (*session, error) {
	s := m.pool.take(guard)
	if s == nil {
		return m.dial(ctx, guard, srv)
	}
	s.begin(ctx, stillThere)
	err := s.Reset()
	s.stop()
	if err != nil {
		_ = s.conn.Close() // the server was done with it while it waited: that is no failure of this e-mail
		return m.dial(ctx, guard, srv)
	}
	s.begin(ctx, mailTimeout)
	return s, nil
}

// take gives the conversation that was used last, nil if there is none.
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

// put keeps a conversation that can go on, unless it has done enough or enough are kept. It does nothing with nil, and
// waits for nothing.
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
	idle := p.idle
	if idle == 0 {
		idle = keptFor
	}
	p.kept = append(p.kept, s)
	p.timers.Add(1)
	s.expiry = time.AfterFunc(idle, func() {
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

// remove takes s out of those that are kept, and says whether it was there. The caller holds mu.
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
