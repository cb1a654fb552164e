package server

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"
)

// notifier tells the service manager how the server is: systemd's sd_notify(3).
// The protocol is a few lines to a datagram socket, and go-systemd would be a
// dependency for those; what is here has no state to share with it. The nil
// notifier tells nobody.
type notifier struct {
	socket   string
	watchdog time.Duration
	log      *slog.Logger
}

// newNotifier returns nil where no service manager waits. getenv reads
// NOTIFY_SOCKET, and WATCHDOG_USEC with WATCHDOG_PID.
func newNotifier(getenv func(string) string, pid int, log *slog.Logger) *notifier {
	socket := getenv("NOTIFY_SOCKET")
	if socket == "" {
		return nil
	}
	n := &notifier{socket: socket, log: log}
	if us, err := strconv.ParseInt(getenv("WATCHDOG_USEC"), 10, 64); err == nil && us > 0 {
		if forPID := getenv("WATCHDOG_PID"); forPID == "" || forPID == strconv.Itoa(pid) {
			n.watchdog = time.Duration(us) * time.Microsecond
		}
	}
	return n
}

// tell sends one state, such as READY=1. It never waits for the manager.
func (n *notifier) tell(state string) {
	if n == nil {
		return
	}
	if err := n.send(state); err != nil {
		n.log.Warn("the service manager could not be told", "reason", err)
	}
}

func (n *notifier) send(state string) error {
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("reaching NOTIFY_SOCKET: %w", err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
		return fmt.Errorf("writing to NOTIFY_SOCKET: %w", err)
	}
	if _, err := conn.Write([]byte(state)); err != nil {
		return fmt.Errorf("writing to NOTIFY_SOCKET: %w", err)
	}
	return nil
}

// ready says that requests are served, stopping that they soon are no more.
func (n *notifier) ready()    { n.tell("READY=1\nSTATUS=Serving") }
func (n *notifier) stopping() { n.tell("STOPPING=1\nSTATUS=Waiting for requests in flight") }

// reloading says that the configuration is being read; ready says when it was.
// Type=notify-reload wants to know since when (systemd.service(5)).
func (n *notifier) reloading() {
	if n != nil {
		n.tell("RELOADING=1\nMONOTONIC_USEC=" + strconv.FormatInt(monotonic().Microseconds(), 10))
	}
}

// guard feeds the watchdog while alive says that all is well, until ctx ends.
func (n *notifier) guard(ctx context.Context, alive func() bool) {
	if n == nil || n.watchdog <= 0 {
		return
	}
	tick := time.NewTicker(max(n.watchdog/2, time.Millisecond)) // as sd_watchdog_enabled(3) recommends
	defer tick.Stop()
	for {
		if alive() {
			n.tell("WATCHDOG=1")
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Names of the sockets that a service manager may pass (FileDescriptorName= in
// systemd.socket(5)).
const (
	socketMCP       = "mcp"
	socketTelemetry = "telemetry"
)
