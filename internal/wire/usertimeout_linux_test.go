package wire

import (
	"errors"
	"net"
	"syscall"
	"testing"
	"time"
)

// A peer that takes nothing any more is noticed by what stays unacknowledged.
func TestPeerThatTakesNothingIsNoticed(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error { return setUserTimeout(c, 500*time.Millisecond) }}
	conn, err := d.DialContext(t.Context(), "tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	peer, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close() // it never reads
	_ = conn.SetWriteDeadline(time.Now().Add(30 * time.Second))
	for err == nil {
		_, err = conn.Write(make([]byte, 1<<20))
	}
	if !errors.Is(err, syscall.ETIMEDOUT) {
		t.Errorf("writing ended with %v", err)
	}
}
