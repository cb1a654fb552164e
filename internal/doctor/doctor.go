// Package doctor finds out why an MCP server can't be reached or used: it looks
// at everything on the way, one check after the other, and names the first
// thing that is wrong and what to do about it.
//
// A check that can't be made, or that fails because of an earlier one, is no
// fault of its own: it points to its cause. Nothing that a check says holds a
// token.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mcpctl/mcpctl/internal/redact"
)

// Status says how a check ended.
type Status string

// The ends of a check.
const (
	OK   Status = "ok"
	Warn Status = "warn" // works for mcpctl, and not for everybody
	Fail Status = "fail"
	Skip Status = "skip" // not made, or failed because of another check
)

// Check is what one look found. The field names are stable.
type Check struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Status Status `json:"status"`
	// Detail is what was found, in one line.
	Detail string `json:"detail"`
	// Fix is what to do; only failed checks and warnings have one.
	Fix string `json:"fix,omitempty"`
	// Because is the id of the check that this one was skipped for.
	Because string `json:"because,omitempty"`
	// SignIn says that a sign-in is all that is missing.
	SignIn bool `json:"sign_in,omitempty"`
}

// Bounds of checks. Together with the two seconds that reporting may take they
// stay below half a minute.
const (
	checkLimit = 6 * time.Second
	// Limit bounds all checks of a server.
	Limit = 26 * time.Second
)

// finding is the outcome of a check.
type finding struct {
	status  Status
	detail  string
	fix     string
	signIn  bool
	own     bool // the cause is here, whatever else failed before
	blocked bool // skipped for want of something; what needs it is skipped too
}

func ok(format string, args ...any) finding {
	return finding{status: OK, detail: fmt.Sprintf(format, args...)}
}

func fail(fix, format string, args ...any) finding {
	return finding{status: Fail, detail: fmt.Sprintf(format, args...), fix: fix}
}

func warn(fix, format string, args ...any) finding {
	return finding{status: Warn, detail: fmt.Sprintf(format, args...), fix: fix}
}

// needless is a check that has no meaning here.
func needless(format string, args ...any) finding {
	return finding{status: Skip, detail: fmt.Sprintf(format, args...)}
}

// step is a check and how it hangs together with earlier ones.
type step struct {
	id, name string
	// needs are the checks without whose success this one can't be made.
	needs []string
	// after are the checks whose failure explains a failure of this one.
	after []string
	run   func(context.Context) finding
}

// runSteps makes the checks in order, as long as ctx and the limit allow.
func runSteps(ctx context.Context, steps []step) []Check {
	ctx, cancel := context.WithTimeout(ctx, Limit)
	defer cancel()
	names, causes := map[string]string{}, map[string]string{} // by id; causes of what is not in order
	checks := make([]Check, 0, len(steps))
	for _, s := range steps {
		names[s.id] = s.name
		c := Check{ID: s.id, Name: s.name}
		if cause := firstCause(causes, s.needs); cause != "" {
			c.Status, c.Because, c.Detail = Skip, cause, "not checked: see "+names[cause]
			causes[s.id] = cause
			checks = append(checks, c)
			continue
		}
		if ctx.Err() != nil {
			checks = append(checks, late(c, causes))
			continue
		}
		f := s.attempt(ctx)
		c.Status, c.Detail, c.Fix, c.SignIn = f.status, redact.String(oneLine(f.detail)), redact.String(oneLine(f.fix)), f.signIn
		cause := firstCause(causes, s.after)
		switch {
		case (f.status == Fail || f.status == Warn) && !f.own && cause != "":
			c.Status, c.Because, c.Fix, c.SignIn = Skip, cause, "", false
			c.Detail = "comes of " + names[cause] + ": " + c.Detail
			causes[s.id] = cause
		case f.status == Fail:
			causes[s.id] = s.id
		case f.blocked:
			c.Because = cause
			causes[s.id] = s.id
			if cause != "" {
				causes[s.id] = cause
			}
		}
		checks = append(checks, c)
	}
	return checks
}

// late is a check for which there was no time. Where nothing else was found to
// be wrong, that is: what was not looked at is not well.
func late(c Check, causes map[string]string) Check {
	c.Status, c.Detail = Skip, "not checked: the time was up"
	if len(causes) == 0 {
		c.Status, c.Fix = Fail, "Look at each server by itself: mcpctl doctor URL"
	}
	causes[c.ID] = c.ID
	return c
}

func firstCause(causes map[string]string, ids []string) string {
	for _, id := range ids {
		if cause := causes[id]; cause != "" {
			return cause
		}
	}
	return ""
}

func (s step) attempt(ctx context.Context) finding {
	ctx, cancel := context.WithTimeout(ctx, checkLimit)
	defer cancel()
	return s.run(ctx)
}

// Failed returns the checks that failed.
func Failed(checks []Check) []Check {
	return slices.DeleteFunc(slices.Clone(checks), func(c Check) bool { return c.Status != Fail })
}

// reason is an error's text as part of a line.
func reason(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Sprintf("no answer within %s", checkLimit)
	}
	return oneLine(err.Error())
}

// oneLine makes one line of a text that may be another's, without what could
// steer a terminal.
func oneLine(text string) string {
	const most = 600
	text = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(text, "?"), func(r rune) bool {
		return r <= ' ' || r >= 0x7f && r < 0xa0 || r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069'
	}), " ")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
