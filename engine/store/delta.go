package store

import (
	"encoding/binary"
	"errors"
)

// The record of an event holds the same text several times: the body, the appointment after it and the appointment
// before it. To store this text once, the appointment after is stored as its difference from the body, and the
// appointment before as its difference from the appointment after. The text that another one is compared with is called
// its base.
//
// A stored text that begins with deltaMark is a difference: the length of a text and that text, then the length of a
// copy from the base and its position there, and so on. It ends with a text. All numbers are uvarints. A stored text
// that does not begin with deltaMark is the text itself. Earlier builds wrote only these.
const deltaMark = 1

const (
	deltaWindow = 8       // the minimum length of a copy, in bytes
	deltaBase   = 1 << 16 // copies are taken from so many bytes at the start of a base
	deltaBits   = 11      // the table of positions in the base has 1 << deltaBits entries
)

// delta returns text in the form in which it is stored next to base. It returns nil only if text is nil. The result can
// be text itself.
func delta(text, base []byte) []byte {
	base = base[:min(len(base), deltaBase)]
	if text == nil || (len(text) < deltaWindow || len(base) < deltaWindow) && (len(text) == 0 || text[0] != deltaMark) {
		return text
	}
	var places [1 << deltaBits]uint16 // the last position in base of a window, by its hash
	slot := func(b []byte) uint64 {
		return binary.LittleEndian.Uint64(b) * 0x9E3779B97F4A7C15 >> (64 - deltaBits)
	}
	for i := 0; i+deltaWindow <= len(base); i++ {
		places[slot(base[i:])] = uint16(i)
	}
	out := append(make([]byte, 0, len(text)+8), deltaMark)
	from := 0 // where the part of text begins that is not written yet
	for i := 0; i+deltaWindow <= len(text) && len(base) >= deltaWindow; {
		at := int(places[slot(text[i:])])
		begin, end := i, i
		for at+end-i < len(base) && end < len(text) && base[at+end-i] == text[end] {
			end++
		}
		if end-i < deltaWindow {
			i++
			continue
		}
		for begin > from && at > 0 && base[at-1] == text[begin-1] {
			begin, at = begin-1, at-1
		}
		out = piece(out, text[from:begin])
		out = binary.AppendUvarint(binary.AppendUvarint(out, uint64(end-begin)), uint64(at))
		from, i = end, end
	}
	out = piece(out, text[from:])
	if len(out) >= len(text) && text[0] != deltaMark {
		return text
	}
	return out
}

func piece(out, text []byte) []byte {
	return append(binary.AppendUvarint(out, uint64(len(text))), text...)
}

var errDelta = errors.New("a record of the store is damaged")

// undelta returns the text that delta made stored from. It changes neither argument. The result can be stored itself.
// The error is errDelta.
func undelta(stored, base []byte) ([]byte, error) {
	if len(stored) == 0 || stored[0] != deltaMark {
		return stored, nil
	}
	rest := stored[1:]
	number := func() (int, bool) {
		n, size := binary.Uvarint(rest)
		if size <= 0 || n > 1<<30 {
			return 0, false
		}
		rest = rest[size:]
		return int(n), true
	}
	text := make([]byte, 0, 2*len(stored))
	for {
		n, ok := number()
		if !ok || n > len(rest) {
			return nil, errDelta
		}
		text, rest = append(text, rest[:n]...), rest[n:]
		if len(rest) == 0 {
			return text, nil
		}
		size, ok := number()
		at, known := number()
		if !ok || !known || at+size > len(base) {
			return nil, errDelta
		}
		text = append(text, base[at:at+size]...)
	}
}
