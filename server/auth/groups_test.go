package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// graphStub answers like Microsoft Graph, as an HTTP transport. Look-ups take
// a second of the test's time where slow is set.
type graphStub struct {
	mu       sync.Mutex
	slow     time.Duration
	status   int
	header   http.Header
	body     func(r *http.Request) string
	requests []*http.Request
}

func (g *graphStub) RoundTrip(r *http.Request) (*http.Response, error) {
	g.mu.Lock()
	g.requests = append(g.requests, r)
	status, header, body, slow := g.status, g.header, g.body, g.slow
	g.mu.Unlock()
	if slow > 0 {
		time.Sleep(slow)
	}
	if status < 0 {
		return nil, errors.New("dial tcp 10.1.2.3: refused")
	}
	if header == nil {
		header = http.Header{}
	}
	return &http.Response{StatusCode: max(status, 200), Header: header, Body: io.NopCloser(strings.NewReader(body(r))), Request: r}, nil
}

func (g *graphStub) set(change func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	change()
}

func (g *graphStub) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.requests)
}

// pages answers with n groups, size a page.
func pages(n, size int) func(*http.Request) string {
	return func(r *http.Request) string {
		first := 0
		_, _ = fmt.Sscan(r.URL.Query().Get("$skiptoken"), &first)
		var ids []string
		for i := first; i < min(first+size, n); i++ {
			ids = append(ids, fmt.Sprintf(`{"@odata.type":"#microsoft.graph.group","id":"%08x-0000-4000-8000-000000000000"}`, n-i))
		}
		next := ""
		if first+size < n {
			next = fmt.Sprintf(`,"@odata.nextLink":"https://%s%s?$skiptoken=%d"`, r.URL.Host, r.URL.Path, first+size)
		}
		return `{"value":[` + strings.Join(ids, ",") + `]` + next + `}`
	}
}

type laterError struct{ wait time.Duration }

func (laterError) Error() string               { return "the authority asks to wait" }
func (e laterError) RetryAfter() time.Duration { return e.wait }

func newTestGroups(t *testing.T, g *graphStub, change func(*GroupsOptions)) *Groups {
	t.Helper()
	o := GroupsOptions{
		HTTPClient: &http.Client{Transport: g},
		Token:      func(_ context.Context, tenant string) (string, error) { return "token-of-" + tenant, nil },
	}
	if change != nil {
		change(&o)
	}
	groups, err := NewGroups(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(groups.Close)
	return groups
}

func overageToken() *testToken {
	return v2Token().with(map[string]any{
		"_claim_names":   map[string]any{"groups": "src1"},
		"_claim_sources": map[string]any{"src1": map[string]any{"endpoint": "https://graph.evil.example/" + testTenant + "/users/x/getMemberObjects"}},
	})
}

// TestGroupsAreLookedUp: at Graph, by object id, with the server's own token,
// all pages; never at the address in the token.
func TestGroupsAreLookedUp(t *testing.T) {
	g := &graphStub{body: pages(2500, 999)}
	o := testOptions(newFakeAuthority(), newClock())
	o.NeedGroups, o.Groups = true, newTestGroups(t, g, nil)
	v := newVerifier(t, o)
	for range 3 {
		p, err := v.Verify(t.Context(), overageToken().sign())
		if err != nil || len(p.Groups) != 2500 || !p.GroupsOverage || !slices.IsSorted(p.Groups) {
			t.Fatalf("got %v", err)
		}
	}
	if g.count() != 3 {
		t.Errorf("%d requests for three pages", g.count())
	}
	for i, r := range g.requests {
		if r.URL.Host != "graph.microsoft.com" || r.URL.Path != "/v1.0/users/"+testPerson+"/transitiveMemberOf/microsoft.graph.group" ||
			r.Header.Get("Authorization") != "Bearer token-of-"+testTenant || r.Header.Get("ConsistencyLevel") != "eventual" ||
			i == 0 && r.URL.Query().Get("$select") != "id" {
			t.Errorf("asked %s, %v", r.URL, r.Header)
		}
	}
	// Others cost nothing.
	if p, err := v.Verify(t.Context(), v2Token().with(map[string]any{"groups": []string{"g1"}}).sign()); err != nil || len(p.Groups) != 1 || g.count() != 3 {
		t.Errorf("got %v, %d requests", err, g.count())
	}
}

func TestGroupsOfApplications(t *testing.T) {
	g := &graphStub{body: pages(1, 10)}
	groups := newTestGroups(t, g, func(o *GroupsOptions) { o.Cloud = CloudChina })
	if list, err := groups.Of(t.Context(), &Principal{TenantID: testTenant, ObjectID: testPerson, AppOnly: true}); err != nil || len(list) != 1 {
		t.Fatalf("got %v, %v", list, err)
	}
	if r := g.requests[0]; r.URL.Host != "microsoftgraph.chinacloudapi.cn" || !strings.HasPrefix(r.URL.Path, "/v1.0/servicePrincipals/"+testPerson+"/") {
		t.Errorf("asked %s", r.URL)
	}
}

// TestGroupsFailClosed: what can't be looked up refuses the request, and says
// why; it is not asked again at once.
func TestGroupsFailClosed(t *testing.T) {
	for name, tt := range map[string]struct {
		stub   *graphStub
		token  error
		reason string        // of a refusal
		wait   time.Duration // of an outage
	}{
		"no permission":  {stub: &graphStub{status: 403, body: fixed(`{"error":{"code":"Authorization_RequestDenied","message":"secret detail"}}`)}, reason: "Authorization_RequestDenied"},
		"unknown caller": {stub: &graphStub{status: 404, body: fixed(`{}`)}, reason: "doesn't know the caller"},
		"failing":        {stub: &graphStub{status: 500, body: fixed("")}, wait: time.Second},
		"no network":     {stub: &graphStub{status: -1}, wait: time.Second},
		"throttled":      {stub: &graphStub{status: 429, header: http.Header{"Retry-After": {"17"}}, body: fixed("")}, wait: 17 * time.Second},
		"no JSON":        {stub: &graphStub{body: fixed("<html>")}, wait: time.Second},
		"no list":        {stub: &graphStub{body: fixed("{}")}, wait: time.Second},
		"foreign page":   {stub: &graphStub{body: fixed(`{"value":[],"@odata.nextLink":"https://graph.microsoft.com.evil.example/v1.0/x"}`)}, wait: time.Second},
		"endless":        {stub: &graphStub{body: pages(1<<30, 1)}, reason: "more than 30 pages"},
		"redirect":       {stub: &graphStub{status: 307, header: http.Header{"Location": {"https://evil.example"}}, body: fixed("")}, reason: "HTTP 307"},
		"no token":       {stub: &graphStub{}, token: laterError{9 * time.Second}, wait: 9 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			g := tt.stub
			if g.body == nil {
				g.body = fixed("")
			}
			o := testOptions(newFakeAuthority(), newClock())
			o.NeedGroups = true
			o.Groups = newTestGroups(t, g, func(o *GroupsOptions) {
				if tt.token != nil {
					o.Token = func(context.Context, string) (string, error) { return "", tt.token }
				}
			})
			v := newVerifier(t, o)
			_, err := v.Verify(t.Context(), overageToken().sign())
			asked := g.count()
			if _, again := v.Verify(t.Context(), overageToken().sign()); again == nil || g.count() != asked {
				t.Errorf("asked again at once: %v", again)
			}
			var refusal *Refusal
			var unavailable *UnavailableError
			switch {
			case tt.reason != "":
				if !errors.As(err, &refusal) || refusal.Rule != RuleGroupsOverage || refusal.Status != 403 || !strings.Contains(refusal.Description, tt.reason) ||
					refusal.Fix == "" || strings.Contains(refusal.Description, "secret detail") {
					t.Errorf("got %v", err)
				}
			case !errors.As(err, &unavailable) || unavailable.RetryAfter != tt.wait || !strings.Contains(err.Error(), "groups"):
				t.Errorf("got %v", err)
			}
		})
	}
}

func fixed(body string) func(*http.Request) string { return func(*http.Request) string { return body } }

func TestGroupsAreOneLookUpAndAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &graphStub{slow: time.Second, body: pages(2, 10)}
		groups := newTestGroups(t, g, func(o *GroupsOptions) { o.TTL = time.Minute })
		p := &Principal{TenantID: testTenant, ObjectID: testPerson}
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				if list, err := groups.Of(t.Context(), p); err != nil || len(list) != 2 {
					t.Errorf("got %v, %v", list, err)
				}
			})
		}
		all.Wait()
		if g.count() != 1 {
			t.Errorf("%d requests for fifty callers at once", g.count())
		}
		time.Sleep(time.Minute)
		g.set(func() { g.body = pages(3, 10) })
		if list, err := groups.Of(t.Context(), p); err != nil || len(list) != 3 {
			t.Errorf("got %v, %v after a minute", list, err)
		}
		// What was known is not used on when it has aged.
		g.set(func() { g.status = 503 })
		time.Sleep(time.Minute)
		if list, err := groups.Of(t.Context(), p); err == nil {
			t.Errorf("got %v", list)
		}
		g.set(func() { g.status = 0 })
		time.Sleep(groupsFailure)
		if _, err := groups.Of(t.Context(), p); err != nil {
			t.Errorf("got %v when Graph is back", err)
		}
	})
}

func TestGraphBelongsToTheCloud(t *testing.T) {
	for _, tt := range []struct {
		cloud       Cloud
		development bool
		root, want  string
	}{
		{"", false, "", "https://graph.microsoft.com"},
		{CloudUSGov, false, "", "https://graph.microsoft.us"},
		{CloudUSGov, false, "https://dod-graph.microsoft.us/", "https://dod-graph.microsoft.us"},
		{CloudChina, false, "https://MicrosoftGraph.chinacloudapi.cn", "https://microsoftgraph.chinacloudapi.cn"},
		{CloudGlobal, false, "https://graph.microsoft.us", "bad"},
		{CloudUSGov, false, "https://graph.microsoft.com", "bad"},
		{"", false, "http://graph.microsoft.com", "bad"},
		{"", false, "https://graph.microsoft.com/beta", "bad"},
		{"", false, "https://graph.microsoft.com.evil.example", "bad"},
		{"", false, "https://a@graph.microsoft.com", "bad"},
		{"moon", false, "", "bad"},
		{"", true, "", ""},
		{"", true, "https://127.0.0.1:8443", "https://127.0.0.1:8443"},
		{"", true, "https://graph.microsoft.com", "bad"},
		{"", true, "https://localhost:8443", "bad"},
	} {
		got, err := GraphURL(tt.cloud, tt.development, tt.root)
		if err != nil {
			got = "bad"
		}
		if got != tt.want {
			t.Errorf("%s %v %s: got %q, %v", tt.cloud, tt.development, tt.root, got, err)
		}
	}
	if _, err := NewGroups(GroupsOptions{}); err == nil {
		t.Error("groups without a token")
	}
}
