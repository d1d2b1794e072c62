package verify

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha512"
	"encoding/hex"
	"testing"

	"filippo.io/edwards25519"
)

// torsion are the encodings of points of small order, canonical and not, and of y that is no point.
var torsion = []string{
	"0100000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000080",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0000000000000000000000000000000000000000000000000000000000000080",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"0200000000000000000000000000000000000000000000000000000000000000",
}

// compared returns a function that fails the test unless an edKey answers as crypto/ed25519 does, and returns the answer.
func compared(t *testing.T, public []byte) func(message, sig []byte) bool {
	t.Helper()
	k, err := newEdKey(public)
	return func(message, sig []byte) bool {
		t.Helper()
		want := ed25519.Verify(public, message, sig)
		if got := err == nil && k.verify(message, sig); got != want {
			t.Errorf("key %x, message %q, signature %x: %v, want %v; %v", public, message, sig, got, want, err)
		}
		return want
	}
}

func TestEdKeyIsEd25519(t *testing.T) {
	t.Parallel()
	for i := range 20 {
		private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{byte(i)}, ed25519.SeedSize))
		answer := compared(t, private.Public().(ed25519.PublicKey))
		message := bytes.Repeat([]byte{byte(i)}, i*i)
		sig := ed25519.Sign(private, message)
		if !answer(message, sig) {
			t.Error("a right signature is refused")
		}
		answer(append(message, 'x'), sig)
		for at := range sig {
			for _, bit := range []byte{1, 0x80} {
				bad := bytes.Clone(sig)
				bad[at] ^= bit
				answer(message, bad)
			}
		}
	}
}

// With points of small order as the key and as R, some signatures hold for many messages.
func TestEdKeySmallOrder(t *testing.T) {
	t.Parallel()
	good := 0
	for _, a := range torsion {
		answer := compared(t, unhex(t, a))
		for _, r := range torsion {
			for _, s := range []string{torsion[3], torsion[0], torsion[9]} {
				for _, message := range []string{"", "a", "b", "c", "d", "e", "f", "g", "h"} {
					if answer([]byte(message), append(unhex(t, r), unhex(t, s)...)) {
						good++
					}
				}
			}
		}
	}
	if good < 10 {
		t.Errorf("only %d of the signatures with points of small order hold", good)
	}
}

// A key and an R of mixed order: their equation holds for some messages only, with the cofactor for all.
func TestEdKeyMixedOrder(t *testing.T) {
	t.Parallel()
	small, err := new(edwards25519.Point).SetBytes(unhex(t, torsion[5]))
	if err != nil {
		t.Fatal(err)
	}
	good := 0
	for seed := range byte(10) {
		h := sha512.Sum512([]byte{seed})
		a, err := new(edwards25519.Scalar).SetUniformBytes(h[:])
		if err != nil {
			t.Fatal(err)
		}
		r := new(edwards25519.Point).ScalarBaseMult(a)
		public := r.Add(r, small).Bytes() // the secret and the nonce are the same: it is only a test
		answer := compared(t, public)
		for message := range byte(40) {
			sum := sha512.Sum512(append(append(r.Bytes(), public...), message))
			k, err := new(edwards25519.Scalar).SetUniformBytes(sum[:])
			if err != nil {
				t.Fatal(err)
			}
			s := new(edwards25519.Scalar).MultiplyAdd(k, a, a)
			if answer([]byte{message}, append(r.Bytes(), s.Bytes()...)) {
				good++
			}
		}
	}
	if good == 0 || good == 400 {
		t.Errorf("%d of 400 signatures hold", good)
	}
}

func TestEdKeyScalars(t *testing.T) {
	t.Parallel()
	private := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	answer := compared(t, private.Public().(ed25519.PublicKey))
	sig := ed25519.Sign(private, nil)
	for _, s := range []string{
		"edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010", // the order of the curve
		"ecd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010",
		"8080808080808080808080808080808080808080808080808080808080808000",
		"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
		"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff0f",
	} {
		answer(nil, append(bytes.Clone(sig[:32]), unhex(t, s)...))
	}
	// The same signature with the order added to its scalar.
	var carry int
	order := unhex(t, "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010")
	for i, b := range order {
		carry += int(b) + int(sig[32+i])
		sig[32+i] = byte(carry)
		carry >>= 8
	}
	if answer(nil, sig) {
		t.Error("a second form of a signature is accepted")
	}
}

// Every multiple that is kept is what the library computes.
func TestMultiples(t *testing.T) {
	t.Parallel()
	for _, at := range []byte{1, 2, 127, 128, 129, 200, 255} {
		for i := range digits - 1 {
			text := make([]byte, digits)
			text[i] = at
			s, err := new(edwards25519.Scalar).SetCanonicalBytes(text)
			if err != nil {
				t.Fatal(err)
			}
			sum := newSum()
			sum.addMultiple(multiplesOfBase(), s)
			if want := new(edwards25519.Point).ScalarBaseMult(s).Bytes(); !bytes.Equal(sum.bytes(), want) {
				t.Errorf("%d·256^%d: %x, want %x", at, i, sum.bytes(), want)
			}
		}
	}
}

func FuzzEdKey(f *testing.F) {
	private := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	f.Add([]byte("m"), []byte(private.Public().(ed25519.PublicKey)), ed25519.Sign(private, []byte("m")))
	f.Fuzz(func(t *testing.T, message, public, sig []byte) {
		if len(public) == ed25519.PublicKeySize && len(sig) == ed25519.SignatureSize {
			compared(t, public)(message, sig)
		}
		seed := sha512.Sum512_256(sig)
		signer := ed25519.NewKeyFromSeed(seed[:])
		if !compared(t, signer.Public().(ed25519.PublicKey))(message, ed25519.Sign(signer, message)) {
			t.Error("a right signature is refused")
		}
	})
}

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func BenchmarkEd25519(b *testing.B) {
	private := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	public := private.Public().(ed25519.PublicKey)
	message := make([]byte, 700)
	sig := ed25519.Sign(private, message)
	k, err := newEdKey(public)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("edKey", func(b *testing.B) {
		for b.Loop() {
			if !k.verify(message, sig) {
				b.Fatal()
			}
		}
	})
	b.Run("library", func(b *testing.B) {
		for b.Loop() {
			if !ed25519.Verify(public, message, sig) {
				b.Fatal()
			}
		}
	})
	b.Run("newEdKey", func(b *testing.B) {
		for b.Loop() {
			if _, err := newEdKey(public); err != nil {
				b.Fatal(err)
			}
		}
	})
}
