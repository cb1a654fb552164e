package sharedfile

import (
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"testing"
	"testing/synctest"
)

func TestRetry(t *testing.T) {
	busy := fmt.Errorf("renaming: %w", fs.ErrPermission)
	for _, tt := range []struct {
		name    string
		fails   int // how often with err, before it works
		err     error
		windows int // calls there
		fine    bool
	}{
		{"works", 0, nil, 1, true},
		{"busy for a moment", 3, busy, 4, runtime.GOOS == "windows"},
		{"busy for ever", 1000, busy, 201, false},
		{"not there", 1, fs.ErrNotExist, 1, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				err := Retry(func() error {
					if calls++; calls <= tt.fails {
						return tt.err
					}
					return nil
				})
				want := 1
				if runtime.GOOS == "windows" {
					want = tt.windows
				}
				if calls != want || (err == nil) != tt.fine || err != nil && !errors.Is(err, tt.err) {
					t.Errorf("%d calls, want %d; error %v", calls, want, err)
				}
			})
		})
	}
}
