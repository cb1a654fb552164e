package server_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/mcpctl/mcpctl/server"
)

func several(ups ...server.Upstream) func(*server.Options) {
	return func(o *server.Options) { o.Config.Upstreams = ups }
}

func TestSeveralUpstreams(t *testing.T) {
	w := start(t, server.Upstream{}, several(richUpstream(t, "red"), richUpstream(t, "blue")))
	token := w.token(w.sample.Ada)

	all := w.connect(token, "/mcp", `{}`)
	f, _ := all.call("tools/list", `{}`)
	if got := names(f, "tools", "name"); !slices.Equal(got, []string{"red__read", "red__write", "blue__read", "blue__write"}) {
		t.Errorf("tools of both: %v", got)
	}
	f, _ = all.call("prompts/list", `{}`)
	if got := names(f, "prompts", "name"); !slices.Equal(got, []string{"red__hello", "blue__hello"}) {
		t.Errorf("prompts of both: %v", got)
	}
	f, _ = all.call("resources/list", `{}`)
	if got := names(f, "resources", "uri"); !slices.Equal(got, []string{"mem://red/one", "mem://blue/one"}) {
		t.Errorf("resources of both: %v", got)
	}
	for _, name := range []string{"red", "blue"} {
		if f, _ := all.tool(name+"__read", `{"n":1}`); at(f, "result.who") != `"`+name+`"` || at(f, "result.args") != `{"n":1}` {
			t.Errorf("%s__read: %s", name, f.Raw)
		}
		if f, _ := all.call("prompts/get", `{"name":"`+name+`__hello"}`); at(f, "result.description") != `"`+name+` hello"` {
			t.Errorf("%s__hello: %s", name, f.Raw)
		}
		if f, _ := all.call("resources/read", `{"uri":"mem://`+name+`/one"}`); !strings.Contains(at(f, "result.contents"), name+" read") {
			t.Errorf("%s's resource: %s", name, f.Raw)
		}

		alone := w.connect(token, "/mcp/"+name, `{}`)
		f, _ := alone.call("tools/list", `{}`)
		if got := names(f, "tools", "name"); !slices.Equal(got, []string{"read", "write"}) {
			t.Errorf("%s alone has the tools %v", name, got)
		}
		if f, _ := alone.tool("write", `{}`); at(f, "result.who") != `"`+name+`"` {
			t.Errorf("%s alone: %s", name, f.Raw)
		}
	}

	// The same URL serves clients without sessions.
	if f := w.modern(token, "/mcp").tool("1", "blue__read", `{}`); at(f, "result.who") != `"blue"` {
		t.Errorf("blue__read without a session: %s", f.Raw)
	}
	if f := w.modern(token, "/mcp/red").tool("1", "read", `{}`); at(f, "result.who") != `"red"` {
		t.Errorf("red alone, without a session: %s", f.Raw)
	}
}

// Each endpoint is a protected resource of its own: the address that a client
// was given, its metadata and the challenge agree (RFC 9728 §3.3).
func TestMetadataOfEachEndpoint(t *testing.T) {
	w := start(t, server.Upstream{}, several(richUpstream(t, "red"), richUpstream(t, "blue")))
	for _, path := range []string{"/mcp", "/mcp/red", "/mcp/blue"} {
		resp, _ := w.do(http.MethodPost, path, "", `{}`)
		if resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s without a token: %s", path, resp.Status)
		}
		where := w.url("/.well-known/oauth-protected-resource" + path)
		if challenge := resp.Header.Get("WWW-Authenticate"); !strings.Contains(challenge, `resource_metadata="`+where+`"`) {
			t.Errorf("%s points to %s", path, challenge)
		}
		resp, body := w.do(http.MethodGet, "/.well-known/oauth-protected-resource"+path, "", "")
		if resp.StatusCode != http.StatusOK || !strings.Contains(body, `"`+w.url(path)+`"`) {
			t.Errorf("metadata of %s: %s %s", path, resp.Status, body)
		}
	}
	if resp, _ := w.do(http.MethodPost, "/mcp/green", w.token(w.sample.Ada), `{}`); resp.StatusCode != http.StatusNotFound {
		t.Errorf("an endpoint that is none: %s", resp.Status)
	}
}

// An upstream that can't be had is left out; the others go on.
func TestOneUpstreamFails(t *testing.T) {
	dead := startHTTPUpstream(t)
	dead.Close()
	dies := richUpstream(t, "dies")
	dies.Command = []string{dies.Command[0], "-test.run=^$"} // ends at once
	dies.Env = map[string]string{}
	w := start(t, server.Upstream{}, several(
		server.Upstream{Name: "gone", URL: dead.URL + "/mcp"}, richUpstream(t, "fine"), dies,
	))
	token := w.token(w.sample.Ada)
	s := w.connect(token, "/mcp", `{}`)
	for list, member := range map[string]string{"tools/list": "tools", "prompts/list": "prompts", "resources/list": "resources"} {
		f, _ := s.call(list, `{}`)
		if f.Failed || len(names(f, member, "name")) == 0 {
			t.Errorf("%s: %s", list, f.Raw)
		}
	}
	if f, _ := s.tool("fine__read", `{}`); at(f, "result.who") != `"fine"` {
		t.Errorf("fine__read: %s", f.Raw)
	}
	for _, name := range []string{"gone__x", "dies__x"} {
		if f, _ := s.tool(name, `{}`); !f.Failed {
			t.Errorf("%s: %s", name, f.Raw)
		}
	}
	m := w.modern(token, "/mcp")
	if got := names(m.call("1", "tools/list", `{}`), "tools", "name"); !slices.Equal(got, []string{"fine__read", "fine__write"}) {
		t.Errorf("without a session the tools are %v", got)
	}
}
