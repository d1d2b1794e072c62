package receive

import (
	"bytes"
	"crypto/sha256"
	"time"

	"bellhop/rules"
)

// latest marks the latest event of an appointment. It contains the digest of the event's body, its key and its id. It is
// nil if there was no event, or none since the store keeps marks.
type latest []byte

func mark(body, key []byte, id string) latest { return append(append(body, key...), id...) }

func (l latest) body() []byte { return l[:digestSize] }

func (l latest) key() []byte { return l[digestSize : 2*digestSize] }

// of reports whether the latest event has this id.
func (l latest) of(id string) bool { return len(l) > 2*digestSize && string(l[2*digestSize:]) == id }

const digestSize = 16

// givenUp is how long ago a sender may have said the same as in a webhook whose sender has gone. A server that was held
// up finds such webhooks in its sockets. Their senders gave up waiting and sent them again, to another server perhaps,
// and other events followed. So this is no change back to an earlier state.
const givenUp = time.Hour

func digest(body []byte) []byte {
	sum := sha256.Sum256(body)
	return sum[:digestSize:digestSize]
}

// dedupeKey returns the key of a webhook. Webhooks with the same key are one event. The key is the sender's id, if there
// is one. Without an id, a webhook repeats the appointment's latest event if it has the same body. After another event
// the same body is a new event, because an appointment can change back to an earlier state.
//
// known means that the appointment was seen before. If an earlier build stored it, without a mark, the next event is
// new.
func dedupeKey(ev *rules.Event, body []byte, last latest, known bool) []byte {
	h := sha256.New()
	h.Write([]byte(ev.Source))
	switch {
	case ev.WebhookID != "":
		h.Write([]byte("\x00id\x00"))
		h.Write([]byte(ev.WebhookID))
	case len(last) == 0 && !known:
		h.Write([]byte("\x00body\x00"))
		h.Write(ev.Body)
	case len(last) == 0:
		h.Write([]byte("\x00after\x00"))
		h.Write(body)
	case bytes.Equal(last.body(), body):
		return last.key()
	default:
		h.Write([]byte("\x00after\x00"))
		h.Write(last.key())
		h.Write(body)
	}
	return h.Sum(nil)[:digestSize]
}
