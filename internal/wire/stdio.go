package wire

import (
	"os"
	"time"
)

// Stdio returns a connection over the standard input and output of this
// process, which the caller passes. Nothing else may write to standard output.
//
// Closing it leaves the descriptors open: another file must not take their
// place. A read that waits on standard input can't be interrupted and keeps
// its goroutine until the process ends or the input does.
func Stdio(in, out *os.File, o StreamOptions) *Stream {
	return NewStream(keepOpen{in}, keepOpen{duplicate(out)}, o)
}

// keepOpen is a file without its Close.
type keepOpen struct{ f *os.File }

func (k keepOpen) Read(p []byte) (int, error)         { return k.f.Read(p) }
func (k keepOpen) Write(p []byte) (int, error)        { return k.f.Write(p) }
func (k keepOpen) SetReadDeadline(t time.Time) error  { return k.f.SetReadDeadline(t) }
func (k keepOpen) SetWriteDeadline(t time.Time) error { return k.f.SetWriteDeadline(t) }
