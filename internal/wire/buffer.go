package wire

import (
	"sync"
	"sync/atomic"
)

// Buffers come in power-of-two classes from minBuffer up, so that relaying a
// message costs no allocation that grows with its size.
const (
	minBuffer   = 4 << 10
	bufferCount = 16 // 4 KiB … 128 MiB; anything larger is left to the collector
)

var bufferPools [bufferCount]sync.Pool

// poisonReleased makes a released buffer unreadable, so that tests notice a
// frame used after Release. Only tests set it.
var poisonReleased atomic.Bool

// buffer is a reference-counted byte slice. The zero count means released.
type buffer struct {
	b    []byte
	refs atomic.Int32
}

func bufferClass(size int) int {
	class := 0
	for n := minBuffer; n < size; n <<= 1 {
		class++
	}
	return class
}

// newBuffer returns an empty buffer with room for size bytes and one reference.
func newBuffer(size int) *buffer {
	class := bufferClass(size)
	if class < bufferCount {
		if p, ok := bufferPools[class].Get().(*buffer); ok {
			p.b = p.b[:0]
			p.refs.Store(1)
			return p
		}
		size = minBuffer << class
	}
	p := &buffer{b: make([]byte, 0, size)}
	p.refs.Store(1)
	return p
}

// grow returns a buffer that holds p's bytes and has room for n more. It may be
// p itself; otherwise p is released. The caller must hold the only reference.
func (p *buffer) grow(n int) *buffer {
	if cap(p.b)-len(p.b) >= n {
		return p
	}
	// Doubling matters above the largest class, where sizes are exact.
	next := newBuffer(max(len(p.b)+n, 2*cap(p.b)))
	next.b = append(next.b, p.b...)
	p.release()
	return next
}

// appendBytes is append with pooled growth.
func (p *buffer) appendBytes(b []byte) *buffer {
	p = p.grow(len(b))
	p.b = append(p.b, b...)
	return p
}

func (p *buffer) retain() {
	if p.refs.Add(1) <= 1 {
		panic("wire: frame retained after its release")
	}
}

func (p *buffer) release() {
	switch n := p.refs.Add(-1); {
	case n > 0:
		return
	case n < 0:
		panic("wire: frame released twice")
	}
	if poisonReleased.Load() {
		full := p.b[:cap(p.b)]
		for i := range full {
			full[i] = 0xDB
		}
	}
	// Only whole classes go back: a foreign capacity would shrink its class.
	if class := bufferClass(cap(p.b)); class < bufferCount && cap(p.b) == minBuffer<<class {
		bufferPools[class].Put(p)
	}
}
