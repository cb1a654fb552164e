package auth

import (
	"os"
	"regexp"
	"testing"

	"github.com/mcpctl/mcpctl/internal/catalogue"
)

// Whoever is refused is told what to do about it: the catalogue has every rule.
func TestCatalogueHasEveryRule(t *testing.T) {
	source, err := os.ReadFile("refusal.go")
	if err != nil {
		t.Fatal(err)
	}
	rules := regexp.MustCompile(`Rule\w+ +(?:Rule +)?= "([^"]+)"`).FindAllSubmatch(source, -1)
	if len(rules) < 50 {
		t.Fatalf("found %d rules only", len(rules))
	}
	for _, m := range rules {
		rule := string(m[1])
		if entry, ok := catalogue.LookupRule(rule); !ok || entry.FixFor("https://mcp.contoso.com/mcp") == "" {
			t.Errorf("the catalogue lacks the rule %s", rule)
		}
	}
}
