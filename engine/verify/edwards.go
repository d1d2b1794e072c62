package verify

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha512"
	"fmt"
	"sync"

	"filippo.io/edwards25519"
	"filippo.io/edwards25519/field"
)

// An edKey verifies the signatures of one Ed25519 public key. Its answers are those of [ed25519.Verify], in a fraction of
// the time: nearly all webhooks are signed with the same key, so its multiples are computed once and then only added. A
// signature is public, so the time can depend on it. An edKey is immutable.
type edKey struct {
	public  ed25519.PublicKey
	negated *multiples // of the negated key
}

// newEdKey returns an error if public is not the encoding of a point of the curve. It fits after the words "key 1".
func newEdKey(public ed25519.PublicKey) (*edKey, error) {
	point, err := new(edwards25519.Point).SetBytes(public)
	if err != nil {
		return nil, fmt.Errorf("is not an Ed25519 key: %w", err)
	}
	return &edKey{public, multiplesOf(point.Negate(point))}, nil
}

// verify reports whether sig, of [ed25519.SignatureSize] bytes, is the key's signature of a message. It computes
// R = S·B − k·A as RFC 8032 says, with k = SHA-512(R, A, message), and compares the encodings.
func (k *edKey) verify(message, sig []byte) bool {
	s, err := new(edwards25519.Scalar).SetCanonicalBytes(sig[32:])
	if err != nil {
		return false
	}
	hash := sha512.New()
	hash.Write(sig[:32])
	hash.Write(k.public)
	hash.Write(message)
	digest, err := new(edwards25519.Scalar).SetUniformBytes(hash.Sum(make([]byte, 0, sha512.Size)))
	if err != nil {
		return false
	}
	sum := newSum()
	sum.addMultiple(multiplesOfBase(), s)
	sum.addMultiple(k.negated, digest)
	return bytes.Equal(sum.bytes(), sig[:32])
}

// digits is how many digits a scalar has in base 256.
const digits = 32

// multiples are those of a point: at [i][j], the point times (j+1)·256^i.
type multiples [digits][128]affine

// An affine is a point as it is added fastest: y+x, y−x and 2dxy of its coordinates.
type affine struct{ plus, minus, xy2d field.Element }

var multiplesOfBase = sync.OnceValue(func() *multiples { return multiplesOf(edwards25519.NewGeneratorPoint()) })

func multiplesOf(point *edwards25519.Point) *multiples {
	m := new(multiples)
	first := new(edwards25519.Point).Set(point)
	for i := range m {
		var points [len(m[i])]edwards25519.Point
		points[0].Set(first)
		for j := 1; j < len(points); j++ {
			points[j].Add(&points[j-1], first)
		}
		first.Add(&points[127], &points[127])
		toAffine(m[i][:], points[:])
	}
	return m
}

// toAffine converts points. It divides once for all of them, because a division costs as much as many additions.
func toAffine(out []affine, points []edwards25519.Point) {
	products := make([]field.Element, len(points)+1) // of the denominators before each point
	products[0].One()
	for i := range points {
		_, _, z, _ := points[i].ExtendedCoordinates()
		products[i+1].Multiply(&products[i], z)
	}
	inverse := new(field.Element).Invert(&products[len(points)])
	for i := len(points) - 1; i >= 0; i-- {
		x, y, z, _ := points[i].ExtendedCoordinates()
		one := new(field.Element).Multiply(inverse, &products[i]) // 1/z
		inverse.Multiply(inverse, z)
		x.Multiply(x, one)
		y.Multiply(y, one)
		out[i].plus.Add(y, x)
		out[i].minus.Subtract(y, x)
		out[i].xy2d.Multiply(out[i].xy2d.Multiply(x, y), curve2d())
	}
}

// curve2d is twice the constant d of the curve, −121665/121666.
var curve2d = sync.OnceValue(func() *field.Element {
	d := new(field.Element).Invert(new(field.Element).Mult32(new(field.Element).One(), 121666))
	d.Multiply(d, new(field.Element).Mult32(new(field.Element).One(), 121665))
	d.Negate(d)
	return d.Add(d, d)
})

// A sum is a point in extended coordinates: (x/z, y/z), with t = xy/z.
type sum struct{ x, y, z, t field.Element }

// newSum returns the neutral point.
func newSum() *sum {
	s := new(sum)
	s.y.One()
	s.z.One()
	return s
}

// addMultiple adds the point of m times a scalar.
func (s *sum) addMultiple(m *multiples, by *edwards25519.Scalar) {
	carry := 0
	for i, b := range by.Bytes() { // little-endian; the last byte is small, so nothing is carried beyond it
		digit := int(b) + carry
		carry = 0
		if digit > 128 { // the multiples end there
			digit, carry = digit-256, 1
		}
		switch {
		case digit > 0:
			p := &m[i][digit-1]
			s.add(&p.plus, &p.minus, &p.xy2d, false)
		case digit < 0:
			p := &m[i][-digit-1]
			s.add(&p.minus, &p.plus, &p.xy2d, true)
		}
	}
}

// add adds an affine point, or subtracts it: plus and minus are then the other way round. The formulas, of Hisil, Wong,
// Carter and Dawson (2008), hold for all points.
func (s *sum) add(plus, minus, xy2d *field.Element, negative bool) {
	var a, b, c, d, e, f, g, h field.Element
	a.Multiply(a.Subtract(&s.y, &s.x), minus)
	b.Multiply(b.Add(&s.y, &s.x), plus)
	c.Multiply(&s.t, xy2d)
	d.Add(&s.z, &s.z)
	e.Subtract(&b, &a)
	h.Add(&b, &a)
	f.Subtract(&d, &c)
	g.Add(&d, &c)
	if negative {
		f, g = g, f
	}
	s.x.Multiply(&e, &f)
	s.y.Multiply(&g, &h)
	s.t.Multiply(&e, &h)
	s.z.Multiply(&f, &g)
}

// bytes returns the encoding of the point.
func (s *sum) bytes() []byte {
	one := new(field.Element).Invert(&s.z)
	x := new(field.Element).Multiply(&s.x, one)
	out := new(field.Element).Multiply(&s.y, one).Bytes()
	out[31] |= byte(x.IsNegative() << 7)
	return out
}
