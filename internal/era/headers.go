package era

import (
	"context"
	"errors"
	"net/http"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// Annotate adds the headers that MCP 2026-07-28 wants on a POST (basic/transports/
// streamable-http, Request Metadata): the revision that the message names in
// _meta, its method, what it acts on, and arguments that its tool's schema wants
// mirrored. It is made for [wire.ClientOptions].Annotate of the transport behind
// the Translator, and may be called concurrently.
func (t *Translator) Annotate(f wire.Frame, h http.Header) {
	if f.Method == "" || f.Method == "initialize" {
		return
	}
	if legacy, _ := t.translating(); legacy == nil && t.greeted() != nil && !t.ours(f.ID) {
		return // a session of the legacy era, mirrored
	}
	params := wire.Lookup(f.Raw, "params")
	version := wire.LookupString(params, "_meta", metaVersion)
	if version == "" && f.Method == "server/discover" {
		version = modernVersion // the method says it; what lacks is the server's to say
	}
	if !mcp.IsModernProtocol(version) {
		return
	}
	h.Set(wire.HeaderProtocol, version)
	h.Del(wire.HeaderSession) // of a session from before the remote changed eras
	h.Set(mcp.HeaderMethod, headerValue(f.Method))
	if name := headerName(f.Method, params); name != "" {
		h.Set(mcp.HeaderName, headerValue(name))
	}
	if f.Method == "tools/call" {
		t.tools.annotate(params, h)
	}
}

// headerName is the value of Mcp-Name, "" for methods without one.
func headerName(method string, params []byte) string {
	switch method {
	case "tools/call", "prompts/get":
		return wire.LookupString(params, "name")
	case "resources/read":
		return wire.LookupString(params, "uri")
	case "tasks/get", "tasks/update", "tasks/cancel":
		return wire.LookupString(params, "taskId") // of the tasks extension
	}
	return ""
}

// headerValue encodes a value where it can't stand in a header as it is.
func headerValue(s string) string {
	v, _ := mcp.EncodeHeaderValue(s) // strings are always supported
	return v
}

// mismatched reports a call that was refused because of its headers.
func mismatched(f wire.Frame, err error) bool {
	var status *wire.StatusError
	return f.Method == "tools/call" && errors.As(err, &status) && errorCode(status.Answer) == codeHeaderMismatch
}

// askModern asks, and where a call's headers are refused learns the tools'
// schemas and asks once more (basic/transports/streamable-http, Client
// Behavior). The answer may bear another id.
func (t *Translator) askModern(ctx context.Context, f wire.Frame) (wire.Frame, error) {
	answer, err := t.ask(ctx, f)
	if !mismatched(f, err) {
		return answer, err
	}
	return t.refreshAndRetry(ctx, f)
}

func (t *Translator) refreshAndRetry(ctx context.Context, f wire.Frame) (wire.Frame, error) {
	t.opts.Logger.Info("the server wants other headers; reading its tools again", "tool", wire.LookupString(f.Raw, "params", "name"))
	if err := t.refreshTools(ctx, f); err != nil {
		t.opts.Logger.Warn("the server's tools could not be read", "reason", err)
	}
	return t.ask(ctx, f.WithID(t.newID()))
}

// maxPages bounds how much of a list is read.
const maxPages = 100

// refreshTools reads tools/list for the sake of the schemas in it. Its requests
// say of the client what the call says.
func (t *Translator) refreshTools(ctx context.Context, call wire.Frame) error {
	meta := newSplice(wire.Lookup(call.Raw, "params", "_meta"))
	meta.drop("progressToken")
	var cursor []byte
	for range maxPages {
		params := newSplice([]byte("{}"))
		params.set("_meta", meta.bytes())
		if cursor != nil {
			params.set("cursor", cursor)
		}
		answer, err := t.ask(ctx, requestFrame(t.newID(), "tools/list", params.bytes()))
		if err != nil {
			return err
		}
		result := newSplice(wire.Lookup(answer.Raw, "result"))
		t.tools.filter(result, t.opts.Logger, nil)
		next := append([]byte(nil), result.get("nextCursor")...)
		answer.Release()
		if len(next) == 0 || next[0] != '"' {
			return nil
		}
		cursor = next
	}
	return nil
}
