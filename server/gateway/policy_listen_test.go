package gateway

import (
	"context"
	"strings"
	"testing"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// The resources that a subscriptions/listen asks for are judged one by one.
func TestPolicyDecidesAboutListening(t *testing.T) {
	for _, tc := range []struct{ name, filter, sent, answer, rule string }{
		{"allowed", `{"resourceSubscriptions":["a://1"]}`, `{"resourceSubscriptions":["a://1"]}`, `"ok":true`, "reading"},
		{"lists alone", `{"toolsListChanged":true}`, `{"toolsListChanged":true}`, `"ok":true`, ""},
		{"nothing is left", `{"resourceSubscriptions":["b://1"]}`, "", "denied by the policy (no b)", "no b"},
		{"nothing but a list that is not wanted", `{"toolsListChanged":false,"resourceSubscriptions":["b://1"]}`, "", "denied by the policy (no b)", "no b"},
		{"one of two", `{"x":1e400,"resourceSubscriptions":["b://1", "a://1"]}`, `{"x":1e400,"resourceSubscriptions":["a://1"]}`, `"ok":true`, "reading"},
		{"lists are left", `{"promptsListChanged":true,"resourceSubscriptions":["b://1"]}`, `{"promptsListChanged":true,"resourceSubscriptions":[]}`, `"ok":true`, ""},
		{"escaped", `{"resourceSubscriptions":["\u0062://1"]}`, "", "no b", "no b"},
		{"escaped name", `{"resource\u0053ubscriptions":["b://1"]}`, "", "no b", "no b"},
		{"in capitals", `{"ResourceSubscriptions":["b://1"]}`, "", `taken for \"resourceSubscriptions\"`, "ambiguous-request"},
		{"twice", `{"resourceSubscriptions":["b://1"],"resourceSubscriptions":[]}`, "", "stands twice", "ambiguous-request"},
		{"no list", `{"resourceSubscriptions":{"a":"b://1"}}`, "", "expected an array", "ambiguous-request"},
		{"no addresses", `{"resourceSubscriptions":[{"uri":"b://1"}]}`, "", "not a list of addresses", "ambiguous-request"},
		{"too many", `{"resourceSubscriptions":["a://1"` + strings.Repeat(`,"a://1"`, maxSubscriptions) + `]}`, "", "too many", "ambiguous-request"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d, u, got := deciding(t, readOnly)
			var records []Record
			d.opts.Record = func(_ context.Context, r Record) error { records = append(records, r); return nil }
			e, err := exchange(t, d, `{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":`+tc.filter+`}}`)
			if err != nil || len(*got) != 1 || !strings.Contains((*got)[0], tc.answer) {
				t.Fatalf("%v, %q", err, *got)
			}
			if sent := string(wire.Lookup(u.last, "params", "notifications")); sent != tc.sent {
				t.Errorf("the upstream got %s", sent)
			}
			if denied, rule := e.Decision(); denied != (tc.sent == "") || rule != tc.rule {
				t.Errorf("evidence: denied %v by %q", denied, rule)
			}
			if partly := tc.sent != "" && strings.Contains(tc.filter, "b://"); partly != (len(records) == 1) {
				t.Errorf("recorded at once: %+v", records)
			}
			for _, r := range records {
				if denied, rule := r.Evidence.Decision(); r.Target != "b://1" || r.Outcome != Denied || !denied || rule != "no b" {
					t.Errorf("recorded: %+v, by %q", r, rule)
				}
			}
		})
	}
}

// Updates reach the client of resources alone that it may use, whatever the
// upstream takes for a part of what was subscribed to.
func TestPolicyDropsUpdatesOfWhatIsDenied(t *testing.T) {
	const update = `{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"`
	d, u, got := deciding(t, readOnly)
	hear := func(uri, meta string) int {
		t.Helper()
		*got = nil
		if err := u.deliver(t.Context(), wire.MustParse(update+uri+`"`+meta+`}}`)); err != nil {
			t.Fatal(err)
		}
		return len(*got)
	}
	if hear("a://1", "") != 0 {
		t.Error("nobody has subscribed, and gets an update")
	}
	if _, err := exchange(t, d, `{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"a://1"}}`); err != nil {
		t.Fatal(err)
	}
	if hear("a://1", "") != 1 || hear("b://1", "") != 0 {
		t.Error("who subscribed gets the wrong updates")
	}
	u.during = func() {
		const of = `,"_meta":{"io.modelcontextprotocol/subscriptionId":"L"}`
		if hear("a://1", of) != 1 || hear("b://1", of) != 0 {
			t.Error("who listens gets the wrong updates")
		}
	}
	if _, err := exchange(t, d, `{"jsonrpc":"2.0","id":"L","method":"subscriptions/listen","params":{"notifications":{"resourceSubscriptions":["a://1"]}}}`); err != nil {
		t.Fatal(err)
	}
}

// What is about tools, prompts and resources and can't be judged stays outside.
func TestPolicyPassesOnNothingItCanNotJudge(t *testing.T) {
	for _, method := range []string{"tools/Call", "TOOLS/CALL", "tools/call ", "resources/write", "prompts/render"} {
		d, u, got := deciding(t, readOnly)
		e, err := exchange(t, d, `{"jsonrpc":"2.0","id":1,"method":"`+method+`","params":{"name":"read"}}`)
		if err != nil || len(*got) != 1 || !strings.Contains((*got)[0], "-32601") || len(u.called) != 0 {
			t.Errorf("%s: %v, %q, the upstream got %v", method, err, *got, u.called)
		}
		if denied, rule := e.Decision(); !denied || rule != "unknown-method" {
			t.Errorf("%s: denied %v by %q", method, denied, rule)
		}
	}
	for _, method := range []string{"tools/call", "resources/read", "subscriptions/listen", "tools/Call"} {
		d, u, _ := deciding(t, readOnly)
		if _, err := exchange(t, d, `{"jsonrpc":"2.0","method":"`+method+`","params":{"name":"write","uri":"b://1"}}`); err != nil || len(u.called) != 0 {
			t.Errorf("%s without an id: %v, the upstream got %v", method, err, u.called)
		}
	}
	for _, ref := range []string{
		`{"type":"ref/tool","name":"p","uri":"b://x"}`, `{"type":"ref/prompt","name":"p","uri":"b://x"}`,
		`{"type":"ref/resource","name":"p","uri":"a://x"}`, `{"type":"ref/prompt"}`, `{}`,
	} {
		d, u, got := deciding(t, readOnly)
		if _, err := exchange(t, d, `{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":`+ref+`}}`); err != nil || len(*got) != 1 || !strings.Contains((*got)[0], "-32602") || len(u.called) != 0 {
			t.Errorf("%s: %v, %q, the upstream got %v", ref, err, *got, u.called)
		}
	}
}

// What the decider asks for itself is of the era of the request it asks for:
// else a server without sessions refuses it, or its answer goes astray.
func TestPolicyAsksInTheClientsEra(t *testing.T) {
	const meta = `{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}`
	for own, want := range map[string]string{
		"": "",
		`,"_meta":` + strings.Replace(meta, "{", `{"progressToken":7,`, 1): meta,
	} {
		d, u, _ := deciding(t, readOnly)
		if _, err := exchange(t, d, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read"`+own+`}}`); err != nil {
			t.Fatal(err)
		}
		if got := string(wire.Lookup(u.listed, "params", "_meta")); got != want || wire.LookupString(u.listed, "params", "cursor") != "2" {
			t.Errorf("it asked with %s", u.listed)
		}
	}
}
