package server

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
	"github.com/mcpctl/mcpctl/server/auth"
	"github.com/mcpctl/mcpctl/server/gateway"
	"github.com/mcpctl/mcpctl/server/state"
)

const callersToken = "eyJ.callers.token"

func someCaller(name string) *auth.Principal {
	return &auth.Principal{
		TenantID: "11111111-1111-1111-1111-111111111111", ObjectID: name, Name: "Ada “the first” Lovelace", Username: "ada@contoso.com",
		ClientID: "client", AppOnly: true, AgentBlueprint: "blueprint",
		Scopes: []string{"Mcp.Access", "Mcp.Write"}, Roles: []string{"Writer"}, Groups: []string{"g1", "g2"}, GroupsOverage: true,
		ClientCapabilities: []string{"cp1"}, UTI: "uti", ExpiresAt: time.Now().Add(time.Hour).UTC().Truncate(time.Second),
	}
}

// as returns a context like that of a request that the guard has let in.
func as(ctx context.Context, p *auth.Principal) context.Context {
	return context.WithValue(auth.WithAssertion(ctx, p, callersToken), remoteKey{}, "192.0.2.1:4711")
}

// wantCaller compares all that the server goes by.
func wantCaller(t *testing.T, ctx context.Context, want *auth.Principal) {
	t.Helper()
	got, _ := auth.FromContext(ctx)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if token, expires := auth.Assertion(ctx); token != callersToken || !expires.Equal(want.ExpiresAt) {
		t.Errorf("the assertion is another, or expires at %s", expires)
	}
	if remote := remoteOf(ctx); remote != "192.0.2.1:4711" {
		t.Errorf("the remote address is %q", remote)
	}
	if key := principal(ctx); key != want.Key() {
		t.Errorf("the owner is %q", key)
	}
	auth.Refuse(ctx, &auth.Refusal{Status: http.StatusUnauthorized})
	if r := auth.Refused(ctx); r == nil || r.Status != http.StatusUnauthorized {
		t.Errorf("a challenge got lost: %+v", r)
	}
}

func TestCarriedCallerIsWhole(t *testing.T) {
	p := someCaller("ada")
	for v, i := reflect.ValueOf(*p), 0; i < v.NumField(); i++ {
		if v.Field(i).IsZero() {
			t.Errorf("this test has no value for %s", v.Type().Field(i).Name)
		}
	}
	carried, err := carriedCaller{}.Carry(as(t.Context(), p))
	if err != nil {
		t.Fatal(err)
	}
	ctx, err := carriedCaller{}.Restore(context.Background(), carried)
	if err != nil {
		t.Fatal(err)
	}
	wantCaller(t, ctx, p)

	// Where upstreams act for nobody, the guard keeps no token.
	carried, err = carriedCaller{}.Carry(auth.NewContext(t.Context(), p))
	if err != nil {
		t.Fatal(err)
	}
	if ctx, err = (carriedCaller{}).Restore(context.Background(), carried); err != nil {
		t.Fatal(err)
	}
	if token, _ := auth.Assertion(ctx); token != "" {
		t.Error("there is a token")
	}
}

func TestCarriedCallerIsRefused(t *testing.T) {
	if _, err := (carriedCaller{}).Carry(t.Context()); err == nil {
		t.Error("nobody was passed on")
	}
	ending := func(in time.Duration) []byte {
		p := someCaller("ada")
		p.ExpiresAt = time.Now().Add(in)
		carried, err := carriedCaller{}.Carry(as(t.Context(), p))
		if err != nil {
			t.Fatal(err)
		}
		return carried
	}
	for name, test := range map[string]struct {
		carried []byte
		ok      bool
	}{
		"good":                  {ending(time.Minute), true},
		"within the skew":       {ending(-auth.DefaultSkew / 2), true},
		"expired":               {ending(-2 * auth.DefaultSkew), false},
		"without an end":        {[]byte(`{"principal":{"TenantID":"t","ObjectID":"o"},"assertion":"` + callersToken + `"}`), false},
		"nobody":                {[]byte(`{"assertion":"` + callersToken + `","remote":"r"}`), false},
		"null":                  {[]byte(`null`), false},
		"nothing":               {nil, false},
		"a token where none is": {[]byte(`{"principal":"` + callersToken + `"}`), false},
	} {
		ctx, err := carriedCaller{}.Restore(context.Background(), test.carried)
		if (err == nil) != test.ok || (ctx != nil) != test.ok {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), callersToken) {
			t.Errorf("%s: the error holds the token", name)
		}
	}
}

// countedCaller counts what is done to callers.
type countedCaller struct {
	carriedCaller
	carried, restored *atomic.Int32
}

func (c countedCaller) Carry(ctx context.Context) ([]byte, error) {
	c.carried.Add(1)
	return c.carriedCaller.Carry(ctx)
}

func (c countedCaller) Restore(ctx context.Context, carried []byte) (context.Context, error) {
	c.restored.Add(1)
	return c.carriedCaller.Restore(ctx, carried)
}

// forgedStore changes the callers of requests that pass through its mail.
type forgedStore struct {
	state.Store
	forge atomic.Pointer[func(caller []byte) []byte]
	leaks atomic.Int32 // messages in which the token can be read
}

func (s *forgedStore) Send(ctx context.Context, topic string, data []byte) (int, error) {
	if bytes.Contains(data, []byte(callersToken)) {
		s.leaks.Add(1)
	}
	head, body, _ := bytes.Cut(data, []byte{'\n'})
	var m map[string]any
	if forge := s.forge.Load(); forge != nil && json.Unmarshal(head, &m) == nil && m["k"] == "request" {
		var sealed struct {
			Caller []byte `json:"c"`
		}
		_ = json.Unmarshal(head, &sealed)
		m["c"] = (*forge)(sealed.Caller)
		head, _ = json.Marshal(m)
		data = append(append(head, '\n'), body...)
	}
	return s.Store.Send(ctx, topic, data)
}

// twin is a front of one of several replicas. Its sessions hand on the contexts
// that requests come with.
type twin struct {
	front             *wire.StreamableFront
	came              chan context.Context
	carried, restored atomic.Int32
}

func startTwin(t *testing.T, store state.Store) *twin {
	t.Helper()
	w := &twin{came: make(chan context.Context, 10)}
	replica, err := gateway.NewReplica(gateway.ReplicaOptions{Store: store, Key: bytes.Repeat([]byte("k"), 32), Caller: countedCaller{carried: &w.carried, restored: &w.restored}})
	if err != nil {
		t.Fatal(err)
	}
	opts := wire.FrontOptions{Serve: w.serve, Owner: func(r *http.Request) string { return principal(r.Context()) }}
	serve := replica.Share(&opts, gateway.FrontShare{Scope: "/mcp"})
	w.front = wire.NewStreamableFront(opts)
	serve(w.front)
	t.Cleanup(func() {
		if err := w.front.Close(context.Background()); err != nil {
			t.Error(err)
		}
		replica.Close()
	})
	return w
}

func (w *twin) serve(ctx context.Context, s *wire.Session) {
	for {
		in, err := s.Receive(ctx)
		if err != nil {
			return
		}
		w.came <- in.Request
		err = s.Write(ctx, wire.NewResult(in.ID, map[string]string{"protocolVersion": "2025-11-25"}))
		in.Release()
		if err != nil {
			return
		}
	}
}

func (w *twin) post(ctx context.Context, session, method string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/mcp", strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"`+method+`","params":{}}`))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	r.Header.Set("Authorization", "Bearer "+callersToken)
	if session != "" {
		r.Header.Set(wire.HeaderSession, session)
	}
	answer := httptest.NewRecorder()
	w.front.ServeHTTP(answer, r)
	return answer
}

// A caller whose request is passed on is the same to the replica that has the
// session, nobody else gets there, and nothing that was forged.
func TestCarriedCallerReachesTheOtherReplica(t *testing.T) {
	store := &forgedStore{Store: state.NewMemory(state.MemoryOptions{})}
	t.Cleanup(func() { _ = store.Close() })
	home, away := startTwin(t, store), startTwin(t, store)
	caller := someCaller("ada")
	ada, grace := as(t.Context(), caller), as(t.Context(), someCaller("grace"))
	session := home.post(ada, "", "initialize").Header().Get(wire.HeaderSession)
	<-home.came
	for range 3 {
		if answer := home.post(ada, session, "tools/list"); answer.Code != http.StatusOK {
			t.Fatalf("HTTP %d: %s", answer.Code, answer.Body)
		}
		<-home.came
	}
	home.post(ada, "unknown", "tools/list")
	if home.carried.Load() != 0 || home.restored.Load() != 0 {
		t.Error("a caller was passed on who is at home")
	}

	if answer := away.post(ada, session, "tools/list"); answer.Code != http.StatusOK {
		t.Fatalf("HTTP %d: %s", answer.Code, answer.Body)
	}
	wantCaller(t, <-home.came, caller)
	if n := store.leaks.Load(); n != 0 {
		t.Errorf("the token can be read in %d messages", n)
	}
	if answer := away.post(grace, session, "tools/list"); answer.Code != http.StatusNotFound {
		t.Errorf("another's session: HTTP %d", answer.Code)
	}

	plain, err := carriedCaller{}.Carry(ada)
	if err != nil {
		t.Fatal(err)
	}
	for name, forge := range map[string]func([]byte) []byte{
		"not sealed": func([]byte) []byte { return plain },
		"cut":        func(c []byte) []byte { return c[:len(c)-1] },
		"changed":    func(c []byte) []byte { c[len(c)/2] ^= 1; return c },
		"missing":    func([]byte) []byte { return nil },
	} {
		store.forge.Store(&forge)
		if answer := away.post(ada, session, "tools/list"); answer.Code != http.StatusServiceUnavailable || strings.Contains(answer.Body.String(), callersToken) {
			t.Errorf("%s: HTTP %d: %s", name, answer.Code, answer.Body)
		}
	}
	select {
	case <-home.came:
		t.Error("a forged caller got there")
	default:
	}
}
