package bare

import (
	"os"
	"syscall"
)

// flush writes the contents of f to the disk, and of its metadata only what is needed to read them.
func flush(f *os.File) error { return syscall.Fdatasync(int(f.Fd())) }
