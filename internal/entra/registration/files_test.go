package registration_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/mcpctl/mcpctl/internal/entra/registration"
	"github.com/mcpctl/mcpctl/server"
)

var update = flag.Bool("update", false, "write golden files instead of comparing")

func full() registration.Answers {
	a := good()
	a.Name = `Contoso's "MCP" ${server}`
	a.MoreURLs = []string{"https://mcp.contoso.com:8443/mcp"}
	a.Scopes, a.Roles = []string{"Mcp.Read", "Mcp.Write"}, []string{"Mcp.Invoke"}
	a.Clients = []string{"vscode", "claude-desktop", "claude-ai", "azure-cli"}
	a.OnBehalfOf, a.GraphPermissions = true, []string{"User.Read", "People.Read"}
	a.GroupClaims, a.AssignmentRequired = true, true
	a.Credential = registration.Credential{
		Kind: registration.CredentialManagedIdentity, IdentityClientID: "33333333-3333-3333-3333-333333333333", IdentityPrincipalID: "44444444-4444-4444-4444-444444444444",
	}
	return a
}

// The files are kept in testdata, so that a change is seen in review. -update
// rewrites them.
func TestFilesAreAsReviewed(t *testing.T) {
	for name, a := range map[string]registration.Answers{"small": good(), "full": full()} {
		a = a.Fill()
		if err := a.Check(); err != nil {
			t.Fatal(err)
		}
		for _, f := range registration.Files(a, registration.IDs{}) {
			path := filepath.Join("testdata", name, f.Name)
			if *update {
				if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, f.Data, 0o600); err != nil {
					t.Fatal(err)
				}
				continue
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatalf("%v (write it with -update)", err)
			}
			if string(f.Data) != strings.ReplaceAll(string(want), "\r\n", "\n") {
				t.Errorf("%s differs (look at it, then write it with -update):\n%s", path, f.Data)
			}
		}
	}
}

// Whatever is answered, the server takes its configuration, and the other files
// are what their names say.
func TestFilesAreWellFormed(t *testing.T) {
	variants := map[string]func(*registration.Answers){
		"as it is":          func(*registration.Answers) {},
		"api://":            func(a *registration.Answers) { a.AppIDURI, a.MoreURLs = "api", nil },
		"applications only": func(a *registration.Answers) { a.Scopes = []string{} },
		"people only":       func(a *registration.Answers) { a.Roles = nil },
		"another cloud":     func(a *registration.Answers) { a.Cloud = "usgov" },
		"a secret":          func(a *registration.Answers) { a.Credential = registration.Credential{Kind: "secret"} },
		"a certificate":     func(a *registration.Answers) { a.Credential = registration.Credential{Kind: "certificate"} },
		"a file named oddly": func(a *registration.Answers) {
			a.Credential = registration.Credential{Kind: "secret", File: `a "b" #c: 'd'.txt`}
		},
		"a number as a role": func(a *registration.Answers) { a.Roles = []string{"123", "true", "1e5", "null"} },
		"a federation": func(a *registration.Answers) {
			a.Credential = registration.Credential{Kind: "federated", File: "token", Issuer: "https://oidc.example", Subject: "system:serviceaccount:a:b"}
		},
	}
	for name, change := range variants {
		t.Run(name, func(t *testing.T) {
			a := full()
			change(&a)
			a = a.Fill()
			if err := a.Check(); err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			if a.Credential.File != "" {
				if err := os.WriteFile(filepath.Join(dir, a.Credential.File), []byte("x"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			for _, f := range registration.Files(a, registration.IDs{}) {
				var v any
				switch {
				case f.Name == registration.ConfigFile:
					cfg, err := server.ParseConfig(filepath.Join(dir, f.Name), f.Data)
					if err != nil {
						t.Errorf("%v\n%s", err, f.Data)
					} else if cfg.PublicURL != a.PublicURL || cfg.Entra.AppIDURI != a.IdentifierURI() || len(cfg.Entra.RequiredScopes) != len(a.Scopes) {
						t.Errorf("%+v", cfg.Entra)
					}
				case strings.HasSuffix(f.Name, ".json"):
					if err := json.Unmarshal(f.Data, &v); err != nil {
						t.Errorf("%s: %v", f.Name, err)
					}
				case strings.HasSuffix(f.Name, ".yaml"):
					if err := yaml.Unmarshal(f.Data, &v); err != nil {
						t.Errorf("%s: %v", f.Name, err)
					}
				case strings.HasSuffix(f.Name, ".bicep"):
					checkBicep(t, string(f.Data))
				}
			}
		})
	}
}

var (
	bicepString = regexp.MustCompile(`'(?:[^'\\]|\\['\\nrt$])*'`)
	bicepLine   = regexp.MustCompile(`^(?:extension \w+|resource \w+ '' = \{|output \w+ string = (?:''|\w+\.appId)|\w+: (?:''|true|false|\d+|\{|\[|\w+\.appId)|\w+\.appId|''|[{}\]])$`)
	symbol      = regexp.MustCompile(`\b(\w+)\.(?:appId|uniqueName)\b`)
)

// checkBicep knows as much of Bicep as is used here: declarations, objects and
// arrays over lines, strings.
func checkBicep(t *testing.T, text string) {
	t.Helper()
	declared := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^resource (\w+) `).FindAllStringSubmatch(text, -1) {
		declared[m[1]] = true
	}
	var open []byte
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "//") {
			continue
		}
		for _, m := range symbol.FindAllStringSubmatch(line, -1) {
			if !declared[m[1]] && !strings.Contains(line, "'"+m[1]) && strings.Contains(bicepString.ReplaceAllString(line, ""), m[0]) {
				t.Errorf("line %d refers to %s, which there is not", i+1, m[1])
			}
		}
		plain := bicepString.ReplaceAllString(line, "''")
		if !bicepLine.MatchString(plain) {
			t.Errorf("line %d is no Bicep: %s", i+1, line)
		}
		for _, c := range []byte(plain) {
			switch c {
			case '{', '[':
				open = append(open, c)
			case '}', ']':
				if len(open) == 0 || open[len(open)-1] != c-2 {
					t.Fatalf("line %d closes what is not open: %s", i+1, line)
				}
				open = open[:len(open)-1]
			}
		}
	}
	if len(open) > 0 {
		t.Errorf("%q is left open", open)
	}
	for _, kind := range []string{"applications@v1.0", "servicePrincipals@v1.0"} {
		if strings.Count(text, "'Microsoft.Graph/"+kind+"'") != 2 {
			t.Errorf("there should be two %s", kind)
		}
	}
	if !strings.Contains(text, "requestedAccessTokenVersion: 2") {
		t.Error("no version 2 of access tokens")
	}
}

func TestAnswersComeBackAsWritten(t *testing.T) {
	for _, a := range []registration.Answers{good(), full()} {
		a = a.Fill()
		got, err := registration.ParseAnswers("answers.yaml", a.YAML())
		if err != nil {
			t.Fatal(err)
		}
		if again := got.Fill(); !reflect.DeepEqual(normal(again), normal(a)) {
			t.Errorf("%+v\nwant\n%+v", again, a)
		}
	}
	for _, text := range []string{"nonsense: 1", "scopes: 7", "{", "a: b: c", "name: [x", strings.Repeat("x", 70<<10)} {
		if _, err := registration.ParseAnswers("answers.yaml", []byte(text)); err == nil || !strings.Contains(err.Error(), "answers.yaml") {
			t.Errorf("%.20q: %v", text, err)
		}
	}
}

func TestOperatorsPartOfTheConfigurationIsKept(t *testing.T) {
	config := func(a registration.Answers) []byte {
		for _, f := range registration.Files(a.Fill(), registration.IDs{}) {
			if f.Name == registration.ConfigFile {
				return f.Data
			}
		}
		return nil
	}
	old := []byte(strings.Replace(string(config(good())), "builtin: [whoami]", "url: https://crm.internal/mcp", 1))
	a := good()
	a.Scopes = []string{"Mcp.Other"}
	got := string(registration.KeepOwn(old, config(a)))
	if !strings.Contains(got, "Mcp.Other") || !strings.Contains(got, "crm.internal") || strings.Contains(got, "Mcp.Access") {
		t.Errorf("%s", got)
	}
	if _, err := server.ParseConfig("mcpctl.yaml", []byte(got)); err != nil {
		t.Error(err)
	}
	for _, foreign := range []string{"", "listen: 127.0.0.1:1\n"} {
		if got := registration.KeepOwn([]byte(foreign), config(a)); string(got) != string(config(a)) {
			t.Errorf("%q: %s", foreign, got)
		}
	}
}

// normal makes no difference between no list and an empty one.
func normal(a registration.Answers) registration.Answers {
	for _, list := range []*[]string{&a.MoreURLs, &a.Scopes, &a.Roles, &a.Clients, &a.RedirectURIs, &a.GraphPermissions} {
		if len(*list) == 0 {
			*list = nil
		}
	}
	return a
}

// Every name that is let through is written so that it comes back the same.
func FuzzName(f *testing.F) {
	for _, name := range []string{"Contoso", `it's "x" \ ${y} #z: - [a] {b}`, "true", "0x10", "~", "2026-01-01", "=", "Ünïcødé 🙂", "- x", "'", "% @ ` | > ! & *"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		a := good()
		a.Name = name
		a = a.Fill()
		if a.Check() != nil {
			return
		}
		for _, file := range registration.Files(a, registration.IDs{}) {
			switch file.Name {
			case registration.AnswersFile:
				if got, err := registration.ParseAnswers(file.Name, file.Data); err != nil || got.Name != a.Name {
					t.Fatalf("%q came back as %q, %v", a.Name, got.Name, err)
				}
			case "api.manifest.json":
				var got struct{ DisplayName string }
				if err := json.Unmarshal(file.Data, &got); err != nil || got.DisplayName != a.Name {
					t.Fatalf("%q came back as %q, %v", a.Name, got.DisplayName, err)
				}
			case "main.bicep":
				checkBicep(t, string(file.Data))
			case registration.ScriptFile:
				want := "\napi_name='" + strings.ReplaceAll(a.Name, "'", `'\''`) + "'\n"
				if !strings.Contains(string(file.Data), want) {
					t.Fatalf("%q is not one word in the script", a.Name)
				}
			}
		}
	})
}

func FuzzParseAnswers(f *testing.F) {
	f.Add(good().Fill().YAML())
	f.Add([]byte("credential: {kind: [}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := registration.ParseAnswers("x", data)
		if err != nil {
			return
		}
		a = a.Fill()
		if a.Check() == nil {
			registration.Files(a, registration.IDs{})
			a.Warnings()
		}
	})
}
