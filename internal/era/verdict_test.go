package era

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// What an answer tells of the server's era (MCP 2026-07-28 basic/versioning).
func TestRead(t *testing.T) {
	failed := func(code int, data any) wire.Frame { return wire.NewError(wire.ID("1"), code, "m", data) }
	status := func(code int, answer wire.Frame) error { return &wire.StatusError{Status: code, Answer: answer} }
	supported := func(versions ...string) any { return map[string]any{"supported": versions} }
	for name, test := range map[string]struct {
		method string
		answer wire.Frame
		err    error
		want   sign
	}{
		"discovered":                      {"server/discover", wire.MustParse(`{"jsonrpc":"2.0","id":1,"result":` + discovered + `}`), nil, saysModern},
		"discovered without the result's": {"server/discover", wire.MustParse(`{"jsonrpc":"2.0","id":1,"result":{}}`), nil, saysLegacy},
		"discovered, old revisions only":  {"server/discover", wire.MustParse(`{"jsonrpc":"2.0","id":1,"result":{"supportedVersions":["2025-11-25"]}}`), nil, saysLegacy},
		"-32601 with 200":                 {"server/discover", failed(-32601, nil), nil, saysLegacy},
		"-32602 with 200":                 {"server/discover", failed(-32602, nil), nil, saysLegacy},
		"id null":                         {"server/discover", wire.NewError(nil, -32000, "m", nil), nil, saysLegacy},
		"404 with -32601":                 {"server/discover", wire.Frame{}, status(404, failed(-32601, nil)), saysLegacy},
		"400 without a body":              {"server/discover", wire.Frame{}, status(400, wire.Frame{}), saysLegacy},
		"-32022":                          {"server/discover", wire.Frame{}, status(400, failed(-32022, supported("2026-07-28"))), saysModern},
		"-32022 with unknown revisions":   {"server/discover", wire.Frame{}, status(400, failed(-32022, supported("2027-01-01"))), saysModern},
		"-32022 with old revisions only":  {"server/discover", wire.Frame{}, status(400, failed(-32022, supported("2025-11-25"))), saysLegacy},
		"-32022 without a list":           {"server/discover", failed(-32022, nil), nil, saysLegacy},
		"-32020":                          {"server/discover", wire.Frame{}, status(400, failed(-32020, nil)), saysModern},
		"401":                             {"server/discover", wire.Frame{}, status(401, wire.Frame{}), saysNothing},
		"403 with a modern code":          {"server/discover", wire.Frame{}, status(403, failed(-32020, nil)), saysNothing},
		"429":                             {"server/discover", wire.Frame{}, status(429, wire.Frame{}), saysNothing},
		"502":                             {"server/discover", wire.Frame{}, status(502, wire.Frame{}), saysNothing},
		"not reached":                     {"server/discover", wire.Frame{}, wire.ErrNotSent, saysNothing},
		"no answer":                       {"server/discover", wire.Frame{}, wire.ErrNoAnswer, saysNothing},
		"timeout":                         {"server/discover", wire.Frame{}, context.DeadlineExceeded, saysNothing},
		"an ordinary error":               {"tools/call", failed(-32602, nil), nil, leavesDoubt},
		"404 to a call":                   {"tools/call", wire.Frame{}, status(404, wire.Frame{}), leavesDoubt},
		"a modern result":                 {"tools/call", wire.MustParse(`{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete"}}`), nil, saysModern},
		"a result":                        {"tools/call", wire.MustParse(`{"jsonrpc":"2.0","id":1,"result":{}}`), nil, saysNothing},
		"initialize refused for headers":  {"initialize", wire.Frame{}, status(400, failed(-32020, nil)), saysModern},
	} {
		t.Run(name, func(t *testing.T) {
			if got := read(test.method, test.answer, test.err); got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
}

// What a server takes passes as it is, whatever its era.
func TestMirrors(t *testing.T) {
	echo := func(r *fakeRemote, ctx context.Context, f wire.Frame) error {
		if f.Kind == wire.Request {
			return r.deliver(ctx, wire.MustParse(fmt.Sprintf(`{ "jsonrpc" : "2.0", "id":%s, "result":{"resultType":"complete","supportedVersions":["2026-07-28"],"n":1e400} }`, f.ID)))
		}
		return nil
	}
	for name, messages := range map[string][]string{
		"legacy": {hello, `{"jsonrpc":"2.0", "id":9007199254740993,"method":"tools/list","x":1e400}`, `{"jsonrpc":"2.0","id":3,"method":"vendor/thing"}`},
		"modern": {
			`{"jsonrpc":"2.0","id":1,"method":"server/discover","params":` + modernParams("{}", "", "") + `}`,
			`{"jsonrpc":"2.0", "id":9007199254740993,"method":"tools/list","x":1e400,"params":` + modernParams("{}", "", "") + `}`,
			`{"jsonrpc":"2.0","id":3,"method":"tools/call","params":` + modernParams("{}", "", "") + `}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPeer(t, Options{}, echo)
			for i, raw := range messages {
				p.send("%s", raw)
				id := wire.MustParse(raw).ID
				p.want(fmt.Sprintf(`{ "jsonrpc" : "2.0", "id":%s, "result":{"resultType":"complete","supportedVersions":["2026-07-28"],"n":1e400} }`, id))
				if got := p.remote.seen[i]; string(got.Raw) != raw {
					t.Errorf("the remote was sent\n%s\nwant\n%s", got.Raw, raw)
				}
			}
		})
	}
}

// Refused credentials, overload and silence are handed on, and nothing else is
// tried.
func TestNoVerdictFromRefusals(t *testing.T) {
	for _, cause := range []error{
		&wire.StatusError{Status: 401}, &wire.StatusError{Status: 403}, &wire.StatusError{Status: 503}, &wire.StatusError{Status: 429},
		wire.ErrNotSent, wire.ErrNoAnswer, errors.New("connection reset"),
	} {
		for _, first := range []string{hello, `{"jsonrpc":"2.0","id":0,"method":"server/discover","params":` + modernParams("{}", "", "") + `}`} {
			store := &memory{}
			tr, err := New(Options{Verdicts: store, Deliver: func(_ context.Context, f wire.Frame) error {
				t.Errorf("%v: the client got %s", cause, f.Raw)
				return nil
			}}, func(wire.Deliver) (wire.Remote, error) {
				return &fakeRemote{handle: func(*fakeRemote, context.Context, wire.Frame) error { return cause }}, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := tr.Exchange(t.Context(), wire.MustParse(first)); !errors.Is(err, cause) {
				t.Errorf("got %v, want %v", err, cause)
			}
			if v, ok := store.Get(""); ok {
				t.Errorf("%v was taken for the era %s", cause, v.Era)
			}
		}
	}
}

// A modern server of unknown revisions is never sent initialize.
func TestNoVersionInCommon(t *testing.T) {
	tries := 0
	serve := modernOnly(nil)
	p := newPeer(t, Options{Mode: modernVersion}, func(r *fakeRemote, ctx context.Context, f wire.Frame) error {
		if tries++; tries == 1 {
			return refuse(400, f, codeUnsupportedVersion, map[string]any{"supported": []string{"2030-01-01"}, "requested": modernVersion})
		}
		return serve(r, ctx, f)
	})
	p.send(hello)
	if answer := p.read(); !answer.Failed {
		t.Errorf("without a revision in common the client got %s", answer.Raw)
	}
	for _, method := range p.remote.methods() {
		if method == "initialize" && tries == 1 {
			t.Error("initialize was sent to a modern server")
		}
	}
}

// A verdict that is known saves the refusal; one that is wrong is corrected.
func TestVerdictsAreUsedAndCorrected(t *testing.T) {
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	discover := `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":` + modernParams("{}", "", "") + `}`
	for name, test := range map[string]struct {
		known   Verdict
		serve   func(r *fakeRemote, ctx context.Context, f wire.Frame) error
		message string
		sent    []string
		after   Era
	}{
		"modern and right": {Verdict{Era: Modern}, modernOnly(nil), hello, []string{"server/discover"}, Modern},
		"modern and wrong": {Verdict{Era: Modern}, legacyOnly(nil), hello, []string{"server/discover", "initialize"}, Legacy},
		"legacy and wrong": {Verdict{Era: Legacy, At: now}, modernOnly(nil), hello, []string{"initialize", "server/discover"}, Modern},
		"legacy and right": {Verdict{Era: Legacy, At: now}, legacyOnly(nil), discover, []string{"initialize", "notifications/initialized", "tools/list"}, Legacy},
		"legacy and old":   {Verdict{Era: Legacy, At: now.Add(-48 * time.Hour)}, modernOnly(nil), discover, []string{"tools/list"}, Dual},
		"legacy, turned modern": {
			Verdict{Era: Legacy, At: now}, modernOnly(nil), discover, []string{"initialize", "server/discover", "tools/list"}, Modern,
		},
		"dual and wrong": {
			Verdict{Era: Dual}, legacyOnly(nil), `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":` + modernParams("{}", "", "") + `}`,
			[]string{"tools/call", "server/discover", "initialize", "notifications/initialized", "tools/call"}, Legacy,
		},
	} {
		t.Run(name, func(t *testing.T) {
			store := &memory{v: test.known}
			p := newPeer(t, Options{Verdicts: store, Now: func() time.Time { return now }}, test.serve)
			p.send("%s", test.message)
			if answer := p.read(); answer.Failed {
				t.Errorf("the client got %s", answer.Raw)
			}
			if got := p.remote.methods(); !slices.Equal(got, test.sent) {
				t.Errorf("the remote was sent %v, want %v", got, test.sent)
			}
			if v, _ := store.Get(""); v.Era != test.after {
				t.Errorf("the verdict is %s, want %s", v.Era, test.after)
			}
		})
	}
}

// A server that is replaced by one of the other era in the middle of a session
// keeps its client.
func TestServerChangesErasUnderALegacyClient(t *testing.T) {
	var modern atomic.Bool
	old, young := legacyOnly(nil), modernOnly(nil)
	p := newPeer(t, Options{}, func(r *fakeRemote, ctx context.Context, f wire.Frame) error {
		if modern.Load() {
			return young(r, ctx, f)
		}
		return old(r, ctx, f)
	})
	p.greet()
	for i, turned := range []bool{false, true, false} {
		modern.Store(turned)
		p.send(`{"jsonrpc":"2.0","id":%d,"method":"tools/list"}`, i)
		p.want(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"result":{}}`, i))
	}
}

func TestOptionsAreChecked(t *testing.T) {
	dial := func(wire.Deliver) (wire.Remote, error) { return &fakeRemote{}, nil }
	if _, err := New(Options{}, dial); err == nil {
		t.Error("Deliver may be missing")
	}
	if _, err := New(Options{Deliver: func(context.Context, wire.Frame) error { return nil }, Mode: "2026"}, dial); err == nil {
		t.Error("any mode is taken")
	}
}
