//go:build !windows && !darwin

package tokencache

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
)

func TestFindSessionBus(t *testing.T) {
	withSocket := t.TempDir()
	l, err := net.Listen("unix", filepath.Join(withSocket, "bus"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	withFile := t.TempDir()
	if err := os.WriteFile(filepath.Join(withFile, "bus"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, variable, dir string
		want                string // the variable afterwards; "" is refusal
	}{
		{"named by the environment", "unix:path=/x", t.TempDir(), "unix:path=/x"},
		{"socket of the login session", "", withSocket, "unix:path=" + filepath.Join(withSocket, "bus")},
		{"autolaunch, with a socket", "autolaunch:", withSocket, "unix:path=" + filepath.Join(withSocket, "bus")},
		{"autolaunch, without", "autolaunch:scope=x", t.TempDir(), ""},
		{"nothing", "", t.TempDir(), ""},
		{"no socket but a file", "", withFile, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv(busVariable, test.variable)
			err := findSessionBusIn(test.dir)
			if test.want == "" {
				if !errors.Is(err, errNoBus) {
					t.Errorf("error is %v", err)
				}
				return
			}
			if got := os.Getenv(busVariable); err != nil || got != test.want {
				t.Errorf("the bus is %q, %v; want %q", got, err, test.want)
			}
		})
	}
}
