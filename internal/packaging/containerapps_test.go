package packaging

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestContainerApps reads the Bicep file. Its compiler is not to be had in the
// tests: what is checked is that brackets match, that every name is declared and
// every declaration used, and that it fits the configuration it ships.
func TestContainerApps(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(repo, "examples", "container-apps", "main.bicep"))
	must(t, err)
	text := string(data)
	code := bicepCode(t, text)

	declared := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^(param|var|resource) (\w+)`).FindAllStringSubmatch(code, -1) {
		declared[m[2]] = true
		uses := regexp.MustCompile(`\b`+m[2]+`\b`).FindAllString(code, -1)
		if len(uses) < 2 && m[2] != "app" { // what all the others are for
			t.Errorf("%s %s is not used", m[1], m[2])
		}
	}
	// A name on its own, or with something after it, in the place of a value.
	for _, m := range regexp.MustCompile(`(?m)(?:[:=?(,]|\$\{)\s*([a-z]\w*)(\(|\.|\b)`).FindAllStringSubmatch(code, -1) {
		known := declared[m[1]] || m[2] == "(" || m[1] == "az" || m[1] == "true" || m[1] == "false"
		if !known {
			t.Errorf("%s is not declared", m[1])
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^resource .*$`).FindAllString(text, -1) {
		if !regexp.MustCompile(`^resource \w+ 'Microsoft\.[A-Za-z]+/[A-Za-z]+@\d{4}-\d{2}-\d{2}' = \{$`).MatchString(m) {
			t.Errorf("%q names no type and stable version", m)
		}
	}

	cfg := readConfig(t, "examples/container-apps/mcpctl.yaml")
	// Each id in the configuration is replaced by what the deployment knows.
	for _, id := range []string{cfg.Entra.TenantID, cfg.Entra.ClientID, cfg.Entra.PublicClientID, cfg.Entra.Credential.ManagedIdentity, publicHost(t, cfg)} {
		if id == "" || !strings.Contains(text, "'"+id+"'") {
			t.Errorf("main.bicep doesn't fill in %q", id)
		}
	}
	grace := regexp.MustCompile(`terminationGracePeriodSeconds: (\d+)`).FindStringSubmatch(text)
	if seconds, _ := strconv.ParseFloat(grace[1], 64); seconds <= (cfg.DrainDelay + cfg.DrainTimeout).Seconds() {
		t.Errorf("the app is killed after %v s", seconds)
	}
	for _, want := range []string{
		"targetPort: " + port(t, cfg.Listen), "port: " + port(t, cfg.Telemetry.Listen), "path: '/healthz'", "path: '/readyz'",
		"allowInsecure: false", "type: 'UserAssigned'",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("main.bicep lacks %q", want)
		}
	}
}

// bicepCode returns text without comments and without what strings say, except
// for the expressions in them. It fails the test where brackets don't match.
func bicepCode(t *testing.T, text string) string {
	t.Helper()
	var out strings.Builder
	var open []byte // brackets, and ' for a string
	for i := 0; i < len(text); i++ {
		c := text[i]
		inString := len(open) > 0 && open[len(open)-1] == '\''
		switch {
		case inString && c == '\\':
			i++
		case inString && c == '\n':
			t.Fatal("a string has no end")
		case inString && strings.HasPrefix(text[i:], "${"):
			out.WriteString("${")
			open = append(open, '{')
			i++
		case c == '\'':
			if inString {
				open = open[:len(open)-1]
			} else {
				open = append(open, '\'')
			}
			out.WriteByte(c)
		case inString:
		case strings.HasPrefix(text[i:], "//"):
			i += strings.IndexByte(text[i:], '\n') - 1
		default:
			out.WriteByte(c)
			if strings.IndexByte("{[(", c) >= 0 {
				open = append(open, c)
			} else if at := strings.IndexByte("}])", c); at >= 0 {
				if len(open) == 0 || open[len(open)-1] != "{[("[at] {
					t.Fatalf("a %c closes nothing: …%s", c, text[max(0, i-40):i+1])
				}
				open = open[:len(open)-1]
			}
		}
	}
	if len(open) > 0 {
		t.Fatalf("these are not closed: %s", open)
	}
	return out.String()
}
