package wire

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

func TestPipeCarriesBothWaysInOrder(t *testing.T) {
	a, b := Pipe(4)
	defer a.Close()
	defer b.Close()
	for _, dir := range [][2]Conn{{a, b}, {b, a}} {
		for i := range 4 {
			if err := dir[0].Write(t.Context(), notification(i)); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 4 {
			if got := receive(t, dir[1]); string(got.Raw) != string(notification(i).Raw) {
				t.Errorf("got %s, want message %d", got.Raw, i)
			}
		}
	}
}

func TestPipeWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pipe(1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if _, err := b.Read(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Read of nothing: %v, want to wait for the deadline", err)
		}
		if err := a.Write(t.Context(), notification(0)); err != nil {
			t.Fatal(err)
		}
		ctx, cancel = context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := a.Write(ctx, notification(1)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Write to a full pipe: %v, want to wait for the deadline", err)
		}
		written := make(chan error)
		go func() { written <- a.Write(context.Background(), notification(2)) }()
		synctest.Wait()
		receive(t, b)
		if err := <-written; err != nil {
			t.Errorf("Write once there was room: %v", err)
		}
	})
}

func TestPipeClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pipe(2)
		for i := range 2 {
			if err := a.Write(t.Context(), notification(i)); err != nil {
				t.Fatal(err)
			}
		}
		blocked := make(chan error)
		go func() { blocked <- a.Write(context.Background(), notification(2)) }()
		synctest.Wait()
		for range 2 {
			if err := a.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		}
		if err := <-blocked; !errors.Is(err, ErrClosed) {
			t.Errorf("the waiting Write: %v, want ErrClosed", err)
		}
		// The peer still gets what was written, then the end.
		receive(t, b)
		receive(t, b)
		if _, err := b.Read(t.Context()); !errors.Is(err, io.EOF) {
			t.Errorf("the peer's Read: %v, want EOF", err)
		}
		if err := b.Write(t.Context(), notification(0)); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("the peer's Write: %v, want ErrClosedPipe", err)
		}
		if _, err := a.Read(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("own Read: %v, want ErrClosed", err)
		}
		if err := a.Write(t.Context(), notification(0)); !errors.Is(err, ErrClosed) {
			t.Errorf("own Write: %v, want ErrClosed", err)
		}
	})
}

func TestPipeReadAfterOwnCloseGivesNothing(t *testing.T) {
	a, b := Pipe(1)
	defer a.Close()
	if err := a.Write(t.Context(), notification(0)); err != nil {
		t.Fatal(err)
	}
	_ = b.Close()
	if _, err := b.Read(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("Read: %v, want ErrClosed", err)
	}
}

func TestPipeKeepsAMessageAliveUntilItIsRead(t *testing.T) {
	a, b := Pipe(1)
	defer a.Close()
	defer b.Close()
	f, err := parseBuffer(newBuffer(0).appendBytes(notification(7).Raw))
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Write(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	f.Release()
	got := receive(t, b)
	if string(got.Raw) != string(notification(7).Raw) {
		t.Errorf("got %q", got.Raw)
	}
	got.Release()
}
