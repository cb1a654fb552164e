package wire

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestFrontRefusals(t *testing.T) {
	ft := startFront(t, FrontOptions{
		MaxMessage:     1000,
		AllowedOrigins: []string{"https://inspector.example"},
	})
	const post, get, del = http.MethodPost, http.MethodGet, http.MethodDelete
	ping := request("1", "ping", `{}`)
	modern := request("5", "server/discover", `{"_meta":{"io.modelcontextprotocol\/protocolVersion":"2026-07-28"}}`)
	type header = map[string]string
	for name, c := range map[string]struct {
		method, body string
		header       header
		status       int
		code, id     string // of the JSON-RPC error
	}{
		"unknown verb":                     {"PUT", ping, nil, 405, "-32600", "null"},
		"preflight":                        {"OPTIONS", "", nil, 405, "-32600", "null"},
		"no session id on POST":            {post, ping, header{HeaderSession: ""}, 400, "-32600", "1"},
		"no session id on a notification":  {post, `{"jsonrpc":"2.0","method":"x"}`, header{HeaderSession: ""}, 400, "-32600", "null"},
		"no session id on GET":             {get, "", header{HeaderSession: ""}, 400, "-32600", "null"},
		"no session id on DELETE":          {del, "", header{HeaderSession: ""}, 400, "-32600", "null"},
		"unknown session on POST":          {post, ping, header{HeaderSession: "x"}, 404, "-32001", "null"},
		"unknown session on initialize":    {post, initializeMessage("2025-06-18"), header{HeaderSession: "x"}, 404, "-32001", "null"},
		"unknown session on GET":           {get, "", header{HeaderSession: "x"}, 404, "-32001", "null"},
		"unknown session on DELETE":        {del, "", header{HeaderSession: "x"}, 404, "-32001", "null"},
		"initialize twice":                 {post, initializeMessage("2025-06-18"), nil, 400, "-32600", `"init"`},
		"JSON only":                        {post, ping, header{"Accept": "application/json"}, 406, "-32600", "null"},
		"event stream only":                {post, ping, header{"Accept": "text/event-stream"}, 406, "-32600", "null"},
		"event stream refused":             {post, ping, header{"Accept": "*/*, text/event-stream;q=0"}, 406, "-32600", "null"},
		"GET that takes JSON only":         {get, "", header{"Accept": "application/json"}, 406, "-32600", "null"},
		"form":                             {post, ping, header{"Content-Type": "application/x-www-form-urlencoded"}, 415, "-32600", "null"},
		"no content type":                  {post, ping, header{"Content-Type": ""}, 415, "-32600", "null"},
		"compressed":                       {post, ping, header{"Content-Encoding": "gzip"}, 415, "-32600", "null"},
		"too large":                        {post, request("1", "x", `"`+strings.Repeat("x", 1000)+`"`), nil, 413, "-32600", "null"},
		"no JSON":                          {post, `{"jsonrpc":`, nil, 400, "-32700", "null"},
		"empty body":                       {post, " ", nil, 400, "-32700", "null"},
		"two messages":                     {post, ping + ping, nil, 400, "-32700", "1"},
		"no JSON-RPC, with an id":          {post, `{"id":7,"method":"ping"}`, nil, 400, "-32600", "7"},
		"null id":                          {post, request("null", "ping", `{}`), nil, 400, "-32600", "null"},
		"batch after 2025-03-26":           {post, "[" + ping + "]", nil, 400, "-32600", "null"},
		"batch without session":            {post, "[" + initializeMessage("2025-03-26") + "]", header{HeaderSession: ""}, 400, "-32600", "null"},
		"stateless revision in the header": {post, ping, header{HeaderProtocol: "2026-07-28"}, 400, "-32022", "1"},
		"unknown revision":                 {post, ping, header{HeaderProtocol: "1999-01-01"}, 400, "-32022", "1"},
		"stateless revision in the body":   {post, modern, header{HeaderSession: "", HeaderProtocol: ""}, 400, "-32022", "5"},
		"stateless revision on GET":        {get, "", header{HeaderProtocol: "2026-07-28"}, 400, "-32022", "null"},
		"stateless revision on DELETE":     {del, "", header{HeaderProtocol: "2026-07-28"}, 400, "-32022", "null"},
		"foreign origin on POST":           {post, ping, header{"Origin": "https://evil.example"}, 403, "-32600", "null"},
		"foreign origin on initialize":     {post, initializeMessage("2025-06-18"), header{HeaderSession: "", "Origin": "https://evil.example"}, 403, "-32600", "null"},
		"foreign origin on GET":            {get, "", header{"Origin": "null"}, 403, "-32600", "null"},
		"foreign origin on DELETE":         {del, "", header{"Origin": "https://inspector.example.evil"}, 403, "-32600", "null"},
		"foreign origin on OPTIONS":        {"OPTIONS", "", header{"Origin": "https://evil.example"}, 403, "-32600", "null"},
		"event of no stream":               {get, "", header{headerLastID: "77-1"}, 400, "-32600", "null"},
		"event not sent yet":               {get, "", header{headerLastID: "0-9"}, 400, "-32600", "null"},
		"event id that is none":            {get, "", header{headerLastID: "0-00"}, 400, "-32600", "null"},
	} {
		t.Run(name, func(t *testing.T) {
			client := ft.open("2025-06-18")
			client.t = t
			resp := client.do(c.method, c.body, c.header)
			got := readMessages(t, resp)
			if resp.StatusCode != c.status || len(got) != 1 {
				t.Fatalf("HTTP %d %v, want %d", resp.StatusCode, texts(got), c.status)
			}
			if code := string(Lookup(got[0].Raw, "error", "code")); code != c.code || string(got[0].ID) != c.id {
				t.Errorf("got %s, want code %s and id %s", got[0].Raw, c.code, c.id)
			}
			if c.code == "-32022" && string(Lookup(got[0].Raw, "error", "data", "supported")) != `["2025-11-25","2025-06-18","2025-03-26","2024-11-05"]` {
				t.Errorf("got %s", got[0].Raw)
			}
			if allow := resp.Header.Get("Allow"); (c.status == 405) != (allow != "") {
				t.Errorf("Allow: %q", allow)
			}
			if got := client.call(ping); len(got) != 1 || got[0].Failed {
				t.Errorf("the session does not go on: %v", texts(got))
			}
		})
	}
}

func TestFrontTooLargeWithoutAnnouncedLength(t *testing.T) {
	c := startFront(t, FrontOptions{MaxMessage: 1000}).open("2025-06-18")
	req := c.request(t.Context(), http.MethodPost, "x", nil)
	req.ContentLength = -1
	req.Body = io.NopCloser(bytes.NewReader(bytes.Repeat([]byte("["), 2000)))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if got := readMessages(t, resp); resp.StatusCode != http.StatusRequestEntityTooLarge || len(got) != 1 {
		t.Errorf("HTTP %d %v", resp.StatusCode, texts(got))
	}
}

func TestFrontLetsIn(t *testing.T) {
	ft := startFront(t, FrontOptions{AllowedOrigins: []string{"https://inspector.example"}})
	for name, header := range map[string]map[string]string{
		"wildcard":             {"Accept": "*/*"},
		"ranges with params":   {"Accept": "application/*;q=0.5, TEXT/event-stream ; charset=utf-8"},
		"no Accept":            {"Accept": ""},
		"charset":              {"Content-Type": "application/json; charset=utf-8"},
		"listed origin":        {"Origin": "https://inspector.example"},
		"no version header":    {HeaderProtocol: ""},
		"other known revision": {HeaderProtocol: "2025-11-25"},
	} {
		t.Run(name, func(t *testing.T) {
			c := ft.open("2025-06-18")
			if resp := c.do(http.MethodPost, request("1", "ping", `{}`), header); resp.StatusCode != http.StatusOK {
				t.Errorf("HTTP %d", resp.StatusCode)
			}
		})
	}
}

func TestFrontHostOfALoopbackListener(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "localhost:8080": true, "LOCALHOST.": true, "app.localhost:1": true, "127.0.0.1:80": true,
		"127.8.9.1": true, "[::1]:80": true, "[::1]": true, "::1": true, "[::ffff:127.0.0.1]:1": true,
		"": false, "evil.example": false, "localhost.evil.example": false, "127.0.0.1.evil.example:80": false,
		"10.0.0.1:80": false, "[fe80::1]:80": false, "0.0.0.0": false, "evillocalhost": false,
	} {
		if got := loopbackHost(host); got != want {
			t.Errorf("%q: %v", host, got)
		}
	}
	ft := startFront(t, FrontOptions{LoopbackHost: true})
	c := ft.open("2025-06-18")
	req := c.request(t.Context(), http.MethodDelete, "", nil)
	req.Host = "evil.example"
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if _ = readMessages(t, resp); resp.StatusCode != http.StatusForbidden {
		t.Errorf("HTTP %d", resp.StatusCode)
	}
}

// What a stranger sees of a session must be what anybody sees of none.
func TestFrontAnotherOwnersSessionDoesNotExist(t *testing.T) {
	sc := &script{sessions: make(chan *Session, 1)}
	ft := startFrontWith(t, FrontOptions{}, sc)
	alice := &frontClient{t: t, url: ft.server.URL, owner: "alice"}
	alice.initialize("2025-06-18")
	s := <-sc.sessions
	if s.Owner() != "alice" {
		t.Errorf("owner %q", s.Owner())
	}
	get := alice.stream(http.MethodGet, "", nil)
	if err := s.Write(t.Context(), logNote(0)); err != nil {
		t.Fatal(err)
	}
	get.mustNext()

	show := func(c *frontClient, method, body string, header map[string]string) string {
		resp := c.do(method, body, header)
		text, _ := io.ReadAll(resp.Body)
		var b strings.Builder
		b.WriteString(resp.Status + "\n")
		for _, k := range slices.Sorted(maps.Keys(resp.Header)) {
			if k != "Date" {
				b.WriteString(k + ": " + strings.Join(resp.Header[k], "|") + "\n")
			}
		}
		return b.String() + string(text)
	}
	for name, c := range map[string]struct {
		method, body string
		header       map[string]string
	}{
		"POST":       {http.MethodPost, request("1", "ping", `{}`), nil},
		"cancel":     {http.MethodPost, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`, nil},
		"initialize": {http.MethodPost, initializeMessage("2025-06-18"), nil},
		"GET":        {http.MethodGet, "", nil},
		"resume":     {http.MethodGet, "", map[string]string{headerLastID: "0-0"}},
		"DELETE":     {http.MethodDelete, "", nil},
	} {
		bob := &frontClient{t: t, url: ft.server.URL, owner: "bob", version: "2025-06-18", session: alice.session}
		other := show(bob, c.method, c.body, c.header)
		bob.session = "NOSUCHSESSION"
		if none := show(bob, c.method, c.body, c.header); other != none || !strings.HasPrefix(none, "404 ") {
			t.Errorf("%s: another owner sees\n%s\nwithout a session it is\n%s", name, other, none)
		}
	}
	// Alice noticed nothing.
	if err := s.Write(t.Context(), logNote(1)); err != nil {
		t.Fatal(err)
	}
	get.mustNext()
}

func TestFrontBoundsSessions(t *testing.T) {
	sc := &script{hold: make(chan struct{})}
	ft := startFrontWith(t, FrontOptions{MaxSessions: 4, MaxSessionsPerOwner: 3}, sc)
	as := func(owner string) *frontClient { return &frontClient{t: t, url: ft.server.URL, owner: owner} }
	alive := func(c *frontClient) bool {
		return c.do(http.MethodPost, request("9", "ping", `{}`), nil).StatusCode == http.StatusOK
	}
	bob := as("bob")
	bob.initialize("2025-06-18")

	flood := make([]*frontClient, 50)
	for i := range flood {
		flood[i] = as("alice")
		flood[i].initialize("2025-06-18")
		if n := len(ft.front.front.all()); n > 4 {
			t.Fatalf("%d sessions", n)
		}
	}
	if !alive(bob) {
		t.Error("another owner's flood ended a session")
	}
	for i, c := range flood {
		if got, want := alive(c), i >= len(flood)-3; got != want {
			t.Errorf("session %d of the flood: alive %v", i, got)
		}
	}
	carol := as("carol")
	if resp := carol.do(http.MethodPost, initializeMessage("2025-06-18"), nil); resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") == "" {
		t.Errorf("an owner without sessions at the limit of all: HTTP %d", resp.StatusCode)
	}
	// Sessions in use are not given up for new ones.
	for _, c := range flood[len(flood)-3:] {
		c.stream(http.MethodGet, "", nil)
	}
	if resp := as("alice").do(http.MethodPost, initializeMessage("2025-06-18"), nil); resp.StatusCode != http.StatusTooManyRequests {
		t.Errorf("with all sessions in use: HTTP %d", resp.StatusCode)
	}
}

func TestFrontBoundsOpenRequests(t *testing.T) {
	c := startFront(t, FrontOptions{MaxPending: 2, KeepAlive: 5 * time.Millisecond}).open("2025-06-18")
	c.stream(http.MethodPost, request("1", "test/hold", `{}`), nil)
	c.stream(http.MethodPost, request("2", "test/hold", `{}`), nil)
	resp := c.do(http.MethodPost, request("3", "ping", `{}`), nil)
	if got := readMessages(t, resp); resp.StatusCode != http.StatusTooManyRequests || string(got[0].ID) != "3" {
		t.Errorf("HTTP %d %v", resp.StatusCode, texts(got))
	}
}

func TestFrontCloseLetsOpenRequestsFinish(t *testing.T) {
	ft := startFront(t, FrontOptions{KeepAlive: 5 * time.Millisecond})
	c := ft.open("2025-06-18")
	get := c.stream(http.MethodGet, "", nil)
	call := c.stream(http.MethodPost, request("1", "test/hold", `{}`), nil)
	closed := make(chan error)
	go func() { closed <- ft.front.Close(context.Background()) }()
	eventually(t, "new requests to be refused", func() bool {
		resp := c.do(http.MethodPost, request("2", "ping", `{}`), nil)
		_ = readMessages(t, resp)
		return resp.StatusCode == http.StatusServiceUnavailable
	})
	if resp := (&frontClient{t: t, url: c.url}).do(http.MethodPost, initializeMessage("2025-06-18"), nil); resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("initialize: HTTP %d", resp.StatusCode)
	}
	// What an open request needs still passes.
	c.notify(`{"jsonrpc":"2.0","method":"notifications/progress"}`)
	close(ft.script.hold)
	if got := call.rest(); len(got) != 1 || got[0].Failed {
		t.Errorf("the open request got %v", texts(got))
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if rest := get.rest(); len(rest) != 0 {
		t.Errorf("the GET stream carried %v", texts(rest))
	}
}

func TestFrontCloseAnswersWhatDoesNotFinish(t *testing.T) {
	ft := startFront(t, FrontOptions{KeepAlive: 5 * time.Millisecond})
	c := ft.open("2025-06-18")
	call := c.stream(http.MethodPost, request("1", "test/hold", `{}`), nil)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := ft.front.Close(ctx); err != nil {
		t.Error(err)
	}
	if got := call.rest(); len(got) != 1 || !got[0].Failed || string(got[0].ID) != "1" {
		t.Errorf("the open request got %v", texts(got))
	}
}
