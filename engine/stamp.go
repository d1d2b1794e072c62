package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"sync"

	"bellhop/rules"
)

// stamp identifies all that checking a rule file depends on besides the file. It is "" if the program is not known.
func stamp(o rules.Options) string {
	program := programSum()
	if program == nil {
		return ""
	}
	sum := sha256.Sum256(append(program, o.Identity()...))
	return hex.EncodeToString(sum[:])
}

// programSum returns the hash of the running program, nil if it cannot be read. Versions and commits do not tell apart
// what was built while it was being changed.
var programSum = sync.OnceValue(func() []byte {
	path, err := os.Executable()
	if err != nil {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close() //nolint:errcheck // it was only read
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return nil
	}
	return h.Sum(nil)
})
