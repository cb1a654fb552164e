package era

import (
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// Era is what a remote has been found to speak.
type Era uint8

// What a remote can be found to speak.
const (
	Unknown Era = iota
	Legacy      // refuses what is modern
	Modern      // takes what is modern and refuses initialize
	Dual        // takes what is modern; has not refused initialize
)

func (e Era) String() string {
	switch e {
	case Legacy:
		return "legacy"
	case Modern:
		return "modern"
	case Dual:
		return "dual"
	default:
		return "unknown"
	}
}

// MarshalText names the era, as files keep it.
func (e Era) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// UnmarshalText takes what MarshalText writes; anything else is Unknown, since it
// may be a later version's.
func (e *Era) UnmarshalText(text []byte) error {
	for _, known := range []Era{Legacy, Modern, Dual} {
		if string(text) == known.String() {
			*e = known
			return nil
		}
	}
	*e = Unknown
	return nil
}

// Verdict is what is known of a remote, and since when.
type Verdict struct {
	Era Era       `json:"era"`
	At  time.Time `json:"at"`
}

// VerdictStore remembers verdicts by origin. It may be shared and may persist
// ([VerdictFiles] does); a wrong verdict costs a probe, not an answer. It is used
// concurrently.
type VerdictStore interface {
	Get(origin string) (Verdict, bool)
	Put(origin string, v Verdict)
}

// memory is a VerdictStore for one origin.
type memory struct {
	mu sync.Mutex
	v  Verdict
}

func (m *memory) Get(string) (Verdict, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.v, m.v.Era != Unknown
}

func (m *memory) Put(_ string, v Verdict) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.v = v
}

// era returns what the remote is taken to speak.
func (t *Translator) era() Era {
	if t.opts.Mode != ModeAuto {
		if mcp.IsModernProtocol(t.opts.Mode) {
			return Modern
		}
		return Legacy
	}
	v, ok := t.opts.Verdicts.Get(t.opts.Origin)
	if !ok || v.Era == Legacy && t.opts.Now().Sub(v.At) > t.opts.Limits.VerdictTTL {
		return Unknown
	}
	return v.Era
}

// found records what the remote speaks.
func (t *Translator) found(e Era) {
	if t.opts.Mode != ModeAuto {
		return
	}
	old, ok := t.opts.Verdicts.Get(t.opts.Origin)
	if ok && old.Era == e && e != Legacy {
		return
	}
	t.opts.Verdicts.Put(t.opts.Origin, Verdict{Era: e, At: t.opts.Now()})
	t.opts.Logger.Debug("the server's protocol era is known", "era", e.String())
}

// sign is what an answer tells of the remote's era.
type sign uint8

const (
	saysNothing sign = iota
	saysModern
	saysLegacy
	leavesDoubt // ask with server/discover
)

// read tells what the outcome of a request says about the remote's era (MCP
// 2026-07-28 basic/versioning and the Backward Compatibility sections of the
// transports). Refused credentials, overload, failures and silence say nothing.
func read(method string, answer wire.Frame, err error) sign {
	if err != nil {
		var status *wire.StatusError
		if !errors.As(err, &status) || saysNoEra(status.Status) {
			return saysNothing
		}
		if status.Answer.Kind != wire.Response {
			return doubt(method)
		}
		answer = status.Answer
	}
	if !answer.Failed {
		return readResult(method, answer)
	}
	switch errorCode(answer) {
	case codeHeaderMismatch, codeMissingCapability:
		return saysModern
	case codeUnsupportedVersion:
		versions := stringsAt(answer.Raw, "error", "data", "supported")
		switch {
		case onlyLegacy(versions):
			return saysLegacy
		case versions != nil:
			return saysModern
		}
	}
	return doubt(method)
}

func readResult(method string, answer wire.Frame) sign {
	if method == "server/discover" {
		versions := stringsAt(answer.Raw, "result", "supportedVersions")
		if len(versions) == 0 || onlyLegacy(versions) {
			return saysLegacy
		}
		return saysModern
	}
	if wire.Lookup(answer.Raw, "result", "resultType") != nil {
		return saysModern
	}
	return saysNothing
}

// doubt: any other answer to the probe comes from a legacy server; to another
// request it may be a modern server's ordinary error.
func doubt(method string) sign {
	if method == "server/discover" {
		return saysLegacy
	}
	return leavesDoubt
}

// saysNoEra reports HTTP answers that come before the protocol.
func saysNoEra(status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusProxyAuthRequired,
		http.StatusRequestTimeout, http.StatusTooManyRequests:
		return true
	}
	return status < 400 || status > 499
}
