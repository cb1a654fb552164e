package server

import (
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"testing"
)

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Header fields of an upstream change with the configuration, those of another
// upstream don't.
func TestHeadersChange(t *testing.T) {
	cfg := Config{Upstreams: []Upstream{
		{Name: "crm", URL: "https://crm.internal/mcp", Headers: map[string]string{"X-Key": "old"}},
		{Name: "files", URL: "https://files.internal/mcp"},
	}}
	s := &Server{}
	var got http.Header
	next := roundTripper(func(r *http.Request) (*http.Response, error) {
		got = r.Header
		return httptest.NewRecorder().Result(), nil
	})
	crm, files := s.withHeaders(cfg.Upstreams[0], next), s.withHeaders(cfg.Upstreams[1], next)
	ask := func(rt http.RoundTripper) string {
		r := httptest.NewRequest("POST", "/", nil)
		resp, err := rt.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if len(r.Header) > 0 {
			t.Error("the caller's request was changed")
		}
		return got.Get("X-Key")
	}
	if ask(crm) != "old" || ask(files) != "" {
		t.Error("the fields are not those of the configuration")
	}
	wanted := cfg
	wanted.Upstreams = []Upstream{{Name: "crm", URL: "https://crm.internal/mcp", Headers: map[string]string{"X-Key": "new"}}, cfg.Upstreams[1]}
	merged, changed, fixed := merge(cfg, wanted, s.reload.keys)
	if len(changed) != 1 || changed[0] != "upstreams[0].headers" || len(fixed) > 0 {
		t.Errorf("changed %v, fixed %v", changed, fixed)
	}
	for _, step := range s.reload.steps {
		commit, err := step(cfg, merged)
		if err != nil {
			t.Fatal(err)
		}
		commit()
	}
	if ask(crm) != "new" || ask(files) != "" {
		t.Error("the fields did not change")
	}
}

// Whoever sorts the upstreams anew, or moves one, gives none the key of another:
// it would go to the wrong address.
func TestHeadersStayWithTheirUpstream(t *testing.T) {
	crm := Upstream{Name: "crm", URL: "https://crm.internal/mcp", Headers: map[string]string{"X-Key": "of crm"}, RequestsPerMinute: 1}
	files := Upstream{Name: "files", URL: "https://files.internal/mcp", Headers: map[string]string{"X-Key": "of files"}, RequestsPerMinute: 2}
	moved := crm
	moved.URL, moved.Headers = "https://crm.example.com/mcp", map[string]string{"X-Key": "of the new crm"}
	old := Config{Upstreams: []Upstream{crm, files}}
	for name, wanted := range map[string][]Upstream{"sorted": {files, crm}, "moved": {moved, files}} {
		t.Run(name, func(t *testing.T) {
			next, changed, fixed := merge(old, Config{Upstreams: wanted}, []string{"upstreams[].headers", "upstreams[].requests_per_minute"})
			if !reflect.DeepEqual(next.Upstreams, old.Upstreams) || len(changed) > 0 {
				t.Errorf("changed %v to %+v", changed, next.Upstreams)
			}
			if !slices.Contains(fixed, "upstreams[0].headers") {
				t.Errorf("only %v are said to need a restart", fixed)
			}
		})
	}
}

// What can't change stays, and is named.
func TestMerge(t *testing.T) {
	old := Config{Listen: "127.0.0.1:1", Limits: Limits{Body: 1, RequestsPerMinute: 1}, Upstreams: []Upstream{{Name: "a", Builtin: []string{"whoami"}}}}
	wanted := old
	wanted.Listen, wanted.Limits.Body, wanted.Limits.RequestsPerMinute = "127.0.0.1:2", 2, 2
	wanted.Policy = []PolicyRule{{Allow: "true"}}
	wanted.AllowedOrigins = []string{} // the same as none
	wanted.Upstreams = []Upstream{{Name: "a", Builtin: []string{"whoami"}}, {Name: "b", Builtin: []string{"market"}}}
	next, changed, fixed := merge(old, wanted, []string{"policy", "limits.requests_per_minute", "upstreams[].headers"})
	if next.Listen != old.Listen || next.Limits.Body != 1 || next.Limits.RequestsPerMinute != 2 || len(next.Policy) != 1 || len(next.Upstreams) != 1 {
		t.Errorf("got %+v", next)
	}
	if len(changed) != 2 || changed[0] != "limits.requests_per_minute" || changed[1] != "policy" {
		t.Errorf("changed %v", changed)
	}
	for _, want := range []string{"listen", "limits.body", "upstreams[1].name"} {
		found := false
		for _, key := range fixed {
			found = found || key == want
		}
		if !found {
			t.Errorf("%s is not among %v", want, fixed)
		}
	}
}
