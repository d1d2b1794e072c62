package store

import (
	"encoding/binary"
	"errors"
)

// The record of an event holds the same texts several times: what came, the appointment after it and the one before. So
// that each is stored once, the second and the third are stored as what differs from another of them, their base.
//
// A stored text that begins with deltaMark is a list of pieces: the length of a text and that text, then the length and
// the place of a copy out of the base; all numbers are uvarints. Any other is the text itself, as earlier builds wrote it.
const deltaMark = 1

const (
	deltaWindow = 8       // bytes that must be equal before a copy is looked at
	deltaBase   = 1 << 16 // bytes of a base that copies are taken from
	deltaBits   = 11      // of the table of places in the base
)

// delta is how text is stored. It is nil only if text is.
func delta(text, base []byte) []byte {
	base = base[:min(len(base), deltaBase)]
	if text == nil || (len(text) < deltaWindow || len(base) < deltaWindow) && (len(text) == 0 || text[0] != deltaMark) {
		return text
	}
	var places [1 << deltaBits]uint16 // where a window stood last
	slot := func(b []byte) uint64 {
		return binary.LittleEndian.Uint64(b) * 0x9E3779B97F4A7C15 >> (64 - deltaBits)
	}
	for i := 0; i+deltaWindow <= len(base); i++ {
		places[slot(base[i:])] = uint16(i)
	}
	out := append(make([]byte, 0, len(text)+8), deltaMark)
	from := 0 // what of text is not written yet
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

// undelta is the text that is stored. It changes neither.
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
