package server_test

import (
	"strings"
	"testing"

	"github.com/mcpctl/mcpctl/server"
)

// Rules with names as clients see them would do nothing, and a denial that does
// nothing is a hole.
func TestCheckWarnsOfNamesThatRulesDoNotSee(t *testing.T) {
	cfg, faults := parse(t, minimal+"  - {name: crm, builtin: [whoami]}\npolicy: [{allow: 'true'}, {deny: 'tool.name == \"crm__drop\"'}]\n")
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	cfg.Entra.Authority, cfg.Entra.CAFile = "https://127.0.0.1:1/00000000-0000-0000-0000-000000000001", ""
	all := server.Check(t.Context(), server.CheckOptions{Config: cfg})
	r := result(t, all, "policy")
	if r.Status != server.CheckWarn || !strings.Contains(r.Detail, "policy[1]") || !strings.Contains(r.Fix, `tool.upstream == "crm"`) {
		t.Errorf("%+v", r)
	}
	cfg.Policy[1].Deny = `tool.upstream == "crm" && tool.name == "drop"`
	for _, r := range server.Check(t.Context(), server.CheckOptions{Config: cfg}) {
		if r.ID == "policy" {
			t.Errorf("%+v", r)
		}
	}
}
