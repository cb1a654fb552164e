package wire

import (
	"bytes"
	"testing"
)

func TestBufferClasses(t *testing.T) {
	defer keepReleased()()
	tests := []struct{ size, want int }{
		{0, 4 << 10},
		{4 << 10, 4 << 10},
		{4<<10 + 1, 8 << 10},
		{5 << 20, 8 << 20},
		{128 << 20, 128 << 20},
		{128<<20 + 1, 128<<20 + 1}, // above all classes: as large as asked for
	}
	for _, tt := range tests {
		b := newBuffer(tt.size)
		if cap(b.b) != tt.want || len(b.b) != 0 {
			t.Errorf("newBuffer(%d) holds %d of %d, want room for %d", tt.size, len(b.b), cap(b.b), tt.want)
		}
		b.release()
	}
}

func TestBufferGrowKeepsItsBytes(t *testing.T) {
	b := newBuffer(0)
	var want []byte
	for i := range 100 {
		part := bytes.Repeat([]byte{byte(i)}, 997)
		b = b.appendBytes(part)
		want = append(want, part...)
	}
	if !bytes.Equal(b.b, want) {
		t.Error("bytes were lost while the buffer grew")
	}
	if same := b.grow(cap(b.b) - len(b.b)); same != b {
		t.Error("a buffer with room was replaced")
	}
	b.release()
}

// Above the largest class a buffer must still double: else a message that comes
// in pieces would be copied once for each.
func TestBufferDoublesAboveTheClasses(t *testing.T) {
	defer keepReleased()()
	full := minBuffer << (bufferCount - 1)
	b := newBuffer(full)
	b.b = b.b[:full]
	b = b.appendBytes([]byte("x"))
	if cap(b.b) < 2*full {
		t.Errorf("grew from %d to %d only", full, cap(b.b))
	}
	b.release()
}
