package doctor

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func result(f finding) func(context.Context) finding {
	return func(context.Context) finding { return f }
}

// told is what became of each check, as "id status because".
func told(checks []Check) []string {
	var list []string
	for _, c := range checks {
		list = append(list, strings.TrimSpace(c.ID+" "+string(c.Status)+" "+c.Because))
	}
	return list
}

func TestOnlyTheCauseFails(t *testing.T) {
	broken, fine := result(fail("mend it", "it is broken")), result(ok("fine"))
	own := fail("mend it too", "it is broken by itself")
	own.own = true
	for _, test := range []struct {
		name  string
		steps []step
		want  []string
	}{
		{"what needs it is not tried", []step{
			{id: "a", run: broken},
			{id: "b", needs: []string{"a"}, run: func(context.Context) finding { t.Error("tried"); return ok("") }},
			{id: "c", needs: []string{"b"}, run: fine},
		}, []string{"a fail", "b skip a", "c skip a"}},
		{"what comes of it is no cause", []step{
			{id: "a", run: broken}, {id: "b", after: []string{"a"}, run: broken}, {id: "c", needs: []string{"b"}, run: fine},
		}, []string{"a fail", "b skip a", "c skip a"}},
		{"what works nevertheless counts", []step{{id: "a", run: broken}, {id: "b", after: []string{"a"}, run: fine}}, []string{"a fail", "b ok"}},
		{"what has a cause of its own fails", []step{{id: "a", run: broken}, {id: "b", after: []string{"a"}, run: result(own)}}, []string{"a fail", "b fail"}},
		{"what is needless blocks nothing", []step{{id: "a", run: result(needless("no"))}, {id: "b", needs: []string{"a"}, run: fine}}, []string{"a skip", "b ok"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := told(runSteps(t.Context(), test.steps)); !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// Whatever hangs, a report comes within half a minute, and is not good.
func TestTheTimeIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		hangs := func(ctx context.Context) finding {
			<-ctx.Done()
			return needless("%s", reason(ctx.Err()))
		}
		var steps []step
		for _, id := range strings.Split("abcdefgh", "") {
			steps = append(steps, step{id: id, run: hangs})
		}
		checks := runSteps(t.Context(), steps)
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("it took %s", took)
		}
		if len(checks) != 8 || len(Failed(checks)) != 1 || checks[0].Detail != "no answer within 6s" {
			t.Errorf("got %+v", checks)
		}
	})
}

func TestAudience(t *testing.T) {
	const api, graphID = "11111111-2222-4333-8444-555555555555", "99999999-8888-4777-8666-555555555555"
	for _, test := range []struct {
		aud, scope string
		want       bool
	}{
		{"https://mcp.contoso.com/mcp", "https://mcp.contoso.com/mcp/Mcp.Access", true}, // v1
		{"https://mcp.contoso.com/mcp/", "https://mcp.contoso.com/mcp/Mcp.Access", true},
		{"https://other.contoso.com", "https://mcp.contoso.com/mcp/Mcp.Access", false},
		{api, "https://mcp.contoso.com/mcp/Mcp.Access", true}, // v2: only the server can tell
		{api, "api://" + api + "/Mcp.Access", true},
		{"api://" + api, "api://" + api + "/Mcp.Access", true},
		{graphID, "api://" + api + "/Mcp.Access", false},
		{"api://other", "Mcp.Access", true}, // the scope names no API
	} {
		if got := audienceFits(claims{Audience: test.aud}, []string{test.scope}); got != test.want {
			t.Errorf("a token for %q where the scope is %q: %v", test.aud, test.scope, got)
		}
	}
}

// Reading foreign bytes never fails otherwise than by saying so.
func FuzzReadClaims(f *testing.F) {
	f.Add("a.eyJhdWQiOiJ4In0.c")
	f.Add("..")
	f.Add("opaque")
	f.Fuzz(func(t *testing.T, token string) {
		if c, readable := readClaims(token); !readable && c.Audience != "" && strings.Count(token, ".") != 2 {
			t.Errorf("claims without a token: %+v", c)
		}
	})
}
