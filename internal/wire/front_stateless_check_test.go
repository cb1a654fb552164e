package wire

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestStatelessRules(t *testing.T) {
	const (
		del    = "-" // as a header's value: leave it out
		legacy = `{"jsonrpc":"2.0","id":1,"method":"ping"}`
	)
	call := modern("1", "tools/call", `"name":"sum","arguments":{}`)
	without := func(member string) string { return strings.Replace(call, member, "x", 1) }
	named := func(name string) string { return modern("1", "tools/call", `"name":`+name) }
	type header = map[string]string
	for name, c := range map[string]struct {
		body   string
		header header
		status int
		code   string // "" where the answer is a result
		id     string
	}{
		"all there":                  {call, nil, 200, "", "1"},
		"of a vendor":                {modern(`"a/b"`, "test/echo", ""), nil, 200, "", `"a/b"`},
		"with a session id":          {call, header{HeaderSession: "unknown"}, 200, "", "1"},
		"with Last-Event-ID":         {call, header{headerLastID: "1-1"}, 200, "", "1"},
		"case of header names":       {call, header{HeaderName: del, "mcp-name": "sum"}, 200, "", "1"},
		"space around values":        {call, header{HeaderName: "  sum\t", HeaderMethod: " tools/call "}, 200, "", "1"},
		"a name no method asked for": {modern("1", "test/echo", ""), header{HeaderName: "x"}, 200, "", "1"},

		"version header missing":          {call, header{HeaderProtocol: del}, 400, "-32020", "1"},
		"version header of another era":   {call, header{HeaderProtocol: "2025-11-25"}, 400, "-32020", "1"},
		"version header of the future":    {call, header{HeaderProtocol: "2099-01-01"}, 400, "-32020", "1"},
		"version unknown":                 {strings.ReplaceAll(call, revision20260728, "2099-01-01"), header{HeaderProtocol: "2099-01-01"}, 400, "-32022", "1"},
		"version unknown, body without":   {legacy, header{HeaderProtocol: "1999-01-01", HeaderMethod: "ping"}, 400, "-32022", "1"},
		"version in the body missing":     {without("io.modelcontextprotocol/protocolVersion"), nil, 400, "-32602", "1"},
		"version in the body a number":    {strings.Replace(call, `"2026-07-28"`, "20260728", 1), nil, 400, "-32602", "1"},
		"version twice in the body":       {strings.Replace(call, `"_meta":{`, `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",`, 1), nil, 400, "-32602", "1"},
		"version of the other era inside": {strings.ReplaceAll(call, revision20260728, "2025-11-25"), nil, 400, "-32020", "1"},
		"capabilities missing":            {without("io.modelcontextprotocol/clientCapabilities"), nil, 400, "-32602", "1"},
		"capabilities no object":          {strings.Replace(call, `clientCapabilities":{}`, `clientCapabilities":[]`, 1), nil, 400, "-32602", "1"},
		"_meta missing":                   {request("1", "tools/call", `{"name":"sum"}`), header{HeaderMethod: "tools/call", HeaderName: "sum"}, 400, "-32602", "1"},
		"_meta no object":                 {request("1", "test/echo", `{"_meta":7}`), header{HeaderMethod: "test/echo"}, 400, "-32602", "1"},
		"_meta twice":                     {strings.Replace(call, `"params":{`, `"params":{"_meta":{},`, 1), nil, 400, "-32602", "1"},
		"params missing":                  {legacy, header{HeaderMethod: "ping"}, 400, "-32602", "1"},
		"params an array":                 {request("1", "ping", "[]"), header{HeaderMethod: "ping"}, 400, "-32602", "1"},
		"client info missing":             {without("io.modelcontextprotocol/clientInfo"), nil, 200, "", "1"},

		"method header missing":     {call, header{HeaderMethod: del}, 400, "-32020", "1"},
		"method header differs":     {call, header{HeaderMethod: "tools/list"}, 400, "-32020", "1"},
		"method header in capitals": {call, header{HeaderMethod: "Tools/Call"}, 400, "-32020", "1"},
		"method header encoded":     {call, header{HeaderMethod: "=?base64?dG9vbHMvY2FsbA==?="}, 400, "-32020", "1"},
		"name header missing":       {call, header{HeaderName: del}, 400, "-32020", "1"},
		"name header differs":       {call, header{HeaderName: "Sum"}, 400, "-32020", "1"},
		"name header empty":         {call, header{HeaderName: " "}, 400, "-32020", "1"},
		"name empty":                {named(`""`), header{HeaderName: " "}, 200, "", "1"},
		"name missing":              {modern("1", "tools/call", ""), nil, 200, "", "1"}, // the server's to refuse
		"name only in the header":   {modern("1", "tools/call", ""), header{HeaderName: "sum"}, 400, "-32020", "1"},
		"name a number":             {named("7"), header{HeaderName: "7"}, 400, "-32020", "1"},
		"name twice":                {named(`"sum","name":"rm"`), header{HeaderName: "rm"}, 400, "-32602", "1"},
		"name encoded":              {call, header{HeaderName: "=?base64?c3Vt?="}, 200, "", "1"},
		"name needs encoding":       {named(`"größe"`), header{HeaderName: "=?base64?Z3LDtsOfZQ==?="}, 200, "", "1"},
		"name not encoded":          {named(`"größe"`), header{HeaderName: "größe"}, 400, "-32020", "1"},
		"name with an escape":       {named(`"\u0073um"`), header{HeaderName: "sum"}, 200, "", "1"},
		"name like a mark":          {named(`"=?base64?c3Vt?="`), header{HeaderName: "=?base64?PT9iYXNlNjQ/YzNWdD89?="}, 200, "", "1"},
		"name like a mark, bare":    {named(`"=?base64?c3Vt?="`), header{HeaderName: "=?base64?c3Vt?="}, 400, "-32020", "1"},
		"encoding broken":           {call, header{HeaderName: "=?base64?c3V?="}, 400, "-32020", "1"},
		"mark in capitals":          {call, header{HeaderName: "=?BASE64?c3Vt?="}, 400, "-32020", "1"},
		"prompt":                    {modern("1", "prompts/get", `"name":"sum"`), header{HeaderName: del}, 400, "-32020", "1"},
		"resource":                  {modern("1", "resources/read", `"uri":"file:///a","name":"file:///b"`), header{HeaderName: "file:///b"}, 400, "-32020", "1"},
		"task":                      {modern("1", "tasks/get", `"taskId":"t1"`), nil, 200, "", "1"},
		"task without name":         {modern("1", "tasks/get", `"taskId":"t1"`), header{HeaderName: del}, 200, "", "1"},
		"task of another name":      {modern("1", "tasks/get", `"taskId":"t1"`), header{HeaderName: "t2"}, 400, "-32020", "1"},

		"unknown method":            {modern("1", "no/such", ""), nil, 404, "-32601", "1"},
		"method of the other era":   {modern("1", "initialize", ""), nil, 404, "-32601", "1"},
		"opening of a session":      {modern("1", "initialize", `"protocolVersion":"2025-11-25","capabilities":{}`), nil, 404, "-32601", "1"},
		"invalid params, by server": {modern("1", "test/fail", `"code":-32602`), nil, 400, "-32602", "1"},
		"capability missing":        {modern("1", "test/fail", `"code":-32021`), nil, 400, "-32021", "1"},
		"error of the server":       {modern("1", "test/fail", `"code":-32603`), nil, 200, "-32603", "1"},
		"no answer":                 {modern("1", "test/silent", ""), nil, 200, "-32603", "1"},

		"batch":    {"[" + call + "]", header{HeaderMethod: "tools/call"}, 400, "-32600", "null"},
		"response": {`{"jsonrpc":"2.0","id":1,"result":{}}`, nil, 400, "-32600", "null"},
		"no JSON":  {"{", header{HeaderMethod: "x"}, 400, "-32700", "null"},
		"id null":  {`{"jsonrpc":"2.0","id":null,"method":"ping"}`, nil, 400, "-32600", "null"},

		"no SSE accepted": {call, header{"Accept": "application/json"}, 406, "-32600", "null"},
		"not JSON":        {call, header{"Content-Type": "text/plain"}, 415, "-32600", "null"},
		"foreign origin":  {call, header{"Origin": "https://evil.example"}, 403, "-32600", "null"},
	} {
		t.Run(name, func(t *testing.T) {
			_, client := startModern(t, FrontOptions{}, &modernScript{})
			h := header{}
			if f, err := Parse([]byte(c.body)); err == nil && f.Method != "" {
				h = headers(c.body)
				if n, ok := h[HeaderName]; ok {
					if _, plain := decodeHeader(n); !plain {
						delete(h, HeaderName)
					}
				}
			}
			for k, v := range c.header {
				switch {
				case v != del:
					h[k] = v
				case k == HeaderProtocol:
					h[k] = "" // the client sets it by itself
				default:
					delete(h, k)
				}
			}
			resp := client.do(http.MethodPost, c.body, h)
			body, _ := io.ReadAll(resp.Body)
			f, err := Parse(body)
			if err != nil || f.Kind != Response {
				t.Fatalf("HTTP %d %s: %v", resp.StatusCode, body, err)
			}
			if code := string(Lookup(f.Raw, "error", "code")); resp.StatusCode != c.status || code != c.code || string(f.ID) != c.id {
				t.Errorf("HTTP %d %s, want %d %s", resp.StatusCode, body, c.status, c.code)
			}
			if c.code == "-32022" && string(Lookup(f.Raw, "error", "data", "supported")) != `["2026-07-28","2025-11-25","2025-06-18","2025-03-26","2024-11-05"]` {
				t.Errorf("got %s", f.Raw)
			}
			if h := resp.Header; h.Get(HeaderSession) != "" || h.Get("Content-Type") != "application/json" {
				t.Errorf("got %v", h)
			}
		})
	}
}

func TestStatelessRepeatedHeadersAreRefused(t *testing.T) {
	_, c := startModern(t, FrontOptions{}, &modernScript{})
	message := modern("1", "tools/call", `"name":"sum"`)
	for _, name := range []string{HeaderProtocol, HeaderMethod, HeaderName} {
		req := c.request(t.Context(), http.MethodPost, message, headers(message))
		req.Header.Add(name, req.Header.Get(name))
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if got := readMessages(t, resp); resp.StatusCode != 400 || !strings.Contains(string(got[0].Raw), "-32020") {
			t.Errorf("%s: HTTP %d %v", name, resp.StatusCode, texts(got))
		}
	}
}

func TestStatelessGetAndDeleteAreNotAllowed(t *testing.T) {
	ft, c := startModern(t, FrontOptions{}, &modernScript{})
	session := ft.open("2025-11-25").session
	for _, method := range []string{http.MethodGet, http.MethodDelete} {
		for _, id := range []string{"", session} {
			resp := c.do(method, "", map[string]string{HeaderSession: id})
			if resp.StatusCode != http.StatusMethodNotAllowed || resp.Header.Get("Allow") != "POST" {
				t.Errorf("%s: HTTP %d, Allow %q", method, resp.StatusCode, resp.Header.Get("Allow"))
			}
		}
		resp := c.do(method, "", map[string]string{HeaderProtocol: "2099-01-01"})
		if got := readMessages(t, resp); resp.StatusCode != 400 || !strings.Contains(string(got[0].Raw), "2026-07-28") {
			t.Errorf("%s: HTTP %d %v", method, resp.StatusCode, texts(got))
		}
	}
	if len(ft.front.Sessions("")) != 1 {
		t.Error("the session is gone")
	}
}

func TestBothErasOnOneEndpoint(t *testing.T) {
	ft, modernPeer := startModern(t, FrontOptions{}, &modernScript{})
	legacy := ft.open("2025-11-25")
	for range 3 {
		if got := legacy.call(request("1", "test/echo", `{"z":1e400}`)); string(got[0].Raw) != `{"jsonrpc":"2.0","id":1,"result":{"z":1e400}}` {
			t.Errorf("got %s", got[0].Raw)
		}
		// The same id means another request here.
		if got := modernPeer.call(modern("1", "test/echo", `"z":1e400`)); string(Lookup(got[0].Raw, "result", "z")) != "1e400" {
			t.Errorf("got %s", got[0].Raw)
		}
	}
	// A client that has just been told of both may name the wrong one here.
	falling := &frontClient{t: t, url: ft.server.URL, version: revision20260728}
	falling.initialize("2025-06-18")
	if got := falling.call(request("1", "test/echo", `{}`)); got[0].Failed {
		t.Errorf("got %s", got[0].Raw)
	}
	if n := len(ft.front.AllSessions()); n != 2 {
		t.Errorf("%d sessions", n)
	}
}

func TestCheckParamsDecides(t *testing.T) {
	check := func(ctx context.Context, f Frame, h http.Header) error {
		if ctx.Err() != nil || f.Method != "tools/call" {
			t.Errorf("asked about %s, %v", f.Method, ctx.Err())
		}
		switch h.Get("Mcp-Param-Region") {
		case "eu":
			return nil
		case "":
			return &Refusal{Status: 429, Header: http.Header{"Retry-After": {"9"}}}
		}
		return errors.New("Mcp-Param-Region says something else than region")
	}
	_, c := startModern(t, FrontOptions{CheckParams: check}, &modernScript{})
	message := modern("1", "tools/call", `"name":"sum","arguments":{"region":"eu"}`)
	for region, want := range map[string]int{"eu": 200, "us": 400, "": 429} {
		h := headers(message)
		h["Mcp-Param-Region"] = region
		resp := c.do(http.MethodPost, message, h)
		got := readMessages(t, resp)
		if resp.StatusCode != want || string(got[0].ID) != "1" {
			t.Errorf("%q: HTTP %d %s", region, resp.StatusCode, got[0].Raw)
		}
		if want == 400 && (string(Lookup(got[0].Raw, "error", "code")) != "-32020" || !strings.Contains(string(got[0].Raw), "something else")) {
			t.Errorf("got %s", got[0].Raw)
		}
		if want == 429 && resp.Header.Get("Retry-After") != "9" {
			t.Errorf("got %v", resp.Header)
		}
	}
}
