//go:build !windows && !darwin

package tokencache

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const busVariable = "DBUS_SESSION_BUS_ADDRESS"

var errNoBus = errors.New("no D-Bus session bus: " + busVariable + " is not set and /run/user has none")

// findSessionBus makes sure that go-keyring finds a session bus. Without one
// its D-Bus library runs dbus-launch, which leaves a dbus-daemon and a
// gnome-keyring-daemon behind, each time.
func findSessionBus() error {
	return findSessionBusIn(fmt.Sprintf("/run/user/%d", os.Getuid()))
}

// findSessionBusIn looks for the socket in runtimeDir if the environment names
// no bus, as under MCP clients that pass on little more than HOME and PATH. It
// sets the variable since that is the only way to tell the library.
func findSessionBusIn(runtimeDir string) error {
	if addr := os.Getenv(busVariable); addr != "" && !strings.HasPrefix(addr, "autolaunch:") {
		return nil
	}
	socket := filepath.Join(runtimeDir, "bus")
	info, err := os.Stat(socket)
	if err != nil || info.Mode().Type() != os.ModeSocket {
		return errNoBus
	}
	return os.Setenv(busVariable, "unix:path="+socket)
}
