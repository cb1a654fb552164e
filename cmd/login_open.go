package cmd

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/atotto/clipboard"
	"github.com/cli/browser"
)

// desktopPatience is how long a program of the desktop is waited for. One that
// takes longer, such as a browser in the foreground, goes on by itself.
const desktopPatience = 2 * time.Second

// openPage opens an https page in the person's browser: the one that $BROWSER
// names, else the system's. It returns an error if none could be started.
func openPage(address, browsers string) error {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" {
		return fmt.Errorf("not a page to open: %q", address)
	}
	err = atMost(desktopPatience, func() error {
		if browsers != "" {
			return openIn(browsers, address)
		}
		// Pipes would stay open for as long as the browser lives.
		browser.Stdout, browser.Stderr = nil, nil
		return browser.OpenURL(address)
	})
	if errors.Is(err, errStillRunning) {
		return nil
	}
	return err
}

// openIn tries the commands of $BROWSER, a list like PATH, until one succeeds.
// A command gets the address in place of %s, or as its last argument.
func openIn(browsers, address string) error {
	var faults []error
	for _, line := range strings.Split(browsers, string(os.PathListSeparator)) {
		args := strings.Fields(line)
		if len(args) == 0 {
			continue
		}
		if strings.Contains(line, "%s") {
			for i := range args {
				args[i] = strings.ReplaceAll(args[i], "%s", address)
			}
		} else {
			args = append(args, address)
		}
		err := exec.Command(args[0], args[1:]...).Run() //nolint:noctx // the person's own choice, which outlives us
		if err == nil {
			return nil
		}
		faults = append(faults, fmt.Errorf("starting %s: %w", args[0], err))
	}
	return errors.Join(faults...)
}

// copyText puts text on the clipboard and reports whether it did.
func copyText(text string) bool {
	return !clipboard.Unsupported && atMost(desktopPatience, func() error { return clipboard.WriteAll(text) }) == nil
}

var errStillRunning = errors.New("still running")

// atMost waits for f no longer than d. What f is doing then goes on: the
// programs of a desktop can't be told to stop.
func atMost(d time.Duration, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return errStillRunning
	}
}
