package actions

import (
	"errors"
	"time"
)

// A Failure is an attempt's error, and what it means for the next attempt.
type Failure struct {
	Permanent bool          // no later attempt can succeed: the delivery is dead
	Own       bool          // the delivery is at fault, and the error says nothing about its destination
	After     time.Duration // the other side asked for this pause; 0 leaves it to the backoff
	Err       error
}

func (f *Failure) Error() string { return f.Err.Error() }

func (f *Failure) Unwrap() error { return f.Err }

// Permanent marks err as one that no retry can help.
func Permanent(err error) error { return &Failure{Permanent: true, Err: err} }

// Own marks an error of the delivery itself, which could be sent nowhere: trying again cannot help, and it says
// nothing about the destination, which was not asked.
func Own(err error) error { return &Failure{Permanent: true, Own: true, Err: err} }

// RetryAfter marks err with the pause d that the other side asked for.
func RetryAfter(err error, d time.Duration) error { return &Failure{After: d, Err: err} }

// Classify returns the Failure in err's chain. For an error without one, it returns a Failure that is retried with
// backoff.
func Classify(err error) Failure {
	if f, ok := errors.AsType[*Failure](err); ok {
		return *f
	}
	return Failure{Err: err}
}
