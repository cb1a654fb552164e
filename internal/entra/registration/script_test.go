//go:build unix

package registration_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mcpctl/mcpctl/internal/entra/registration"
)

// write writes the files for the answers as setup does.
func write(t *testing.T, dir string, a registration.Answers, ids registration.IDs) registration.Answers {
	t.Helper()
	a = a.Fill()
	if err := a.Check(); err != nil {
		t.Fatal(err)
	}
	for _, f := range registration.Files(a, ids) {
		if err := os.WriteFile(filepath.Join(dir, f.Name), f.Data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

func basic() registration.Answers {
	return registration.Answers{TenantID: tenant, PublicURL: "https://mcp.contoso.com/mcp", Roles: []string{"Mcp.Invoke"}, Clients: []string{"vscode", "claude-ai"}}
}

// everything has every part that there is.
func everything() registration.Answers {
	a := basic()
	a.MoreURLs = []string{"https://mcp.contoso.com:8443/mcp"}
	a.Scopes = []string{"Mcp.Read", "Mcp.Write"}
	a.Clients = append(a.Clients, "azure-cli", "claude-desktop")
	a.RedirectURIs = []string{"cursor://anysphere.cursor-mcp/oauth/callback"}
	a.OnBehalfOf, a.GraphPermissions = true, []string{"User.Read", "People.Read"}
	a.GroupClaims, a.AssignmentRequired = true, true
	return a
}

var credentials = map[string]registration.Credential{
	"none":             {},
	"secret":           {Kind: registration.CredentialSecret},
	"certificate":      {Kind: registration.CredentialCertificate},
	"federated":        {Kind: registration.CredentialFederated, Issuer: "https://oidc.example/k8s", Subject: "system:serviceaccount:mcp:mcpctl"},
	"managed identity": {Kind: registration.CredentialManagedIdentity, IdentityClientID: "33333333-3333-3333-3333-333333333333", IdentityPrincipalID: "44444444-4444-4444-4444-444444444444"},
}

func TestScriptPassesShellcheck(t *testing.T) {
	t.Parallel()
	for name, credential := range credentials {
		for _, a := range []registration.Answers{basic(), everything()} {
			if a.Credential = credential; a.OnBehalfOf && credential.Kind == "" {
				a.OnBehalfOf, a.GraphPermissions = false, nil
			}
			a.Name = `it's "$HOME" & more`
			dir := t.TempDir()
			write(t, dir, a, registration.IDs{})
			if out, err := exec.Command("shellcheck", filepath.Join(dir, registration.ScriptFile)).CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", name, err, out)
			}
		}
	}
}

func TestScriptRegistersInOrderAndThenChangesNothing(t *testing.T) {
	t.Parallel()
	az, dir := newFakeAz(t), t.TempDir()
	write(t, dir, basic(), registration.IDs{})
	code, said := az.register(dir)
	if code != 0 {
		t.Fatalf("exit code %d:\n%s", code, said)
	}
	const api, client = "applications(appId='22222222-0000-0000-0000-000000000001')", "applications(appId='22222222-0000-0000-0000-000000000002')"
	want := []string{
		"patch applications(uniqueName='mcpctl-mcp.contoso.com-mcp') displayName,signInAudience",
		"post servicePrincipals appId",
		"patch " + api + " api", // version 2 of access tokens
		"patch " + api + " identifierUris",
		"patch " + api + " api", // scopes
		"patch " + api + " appRoles",
		"patch " + api + " optionalClaims",
		"patch applications(uniqueName='mcpctl-mcp.contoso.com-mcp-client') displayName,signInAudience",
		"post servicePrincipals appId",
		"patch " + client + " isFallbackPublicClient",
		"patch " + client + " publicClient",
		"patch " + client + " requiredResourceAccess",
		"patch " + api + " api", // pre-authorized clients
	}
	if got := az.taken(); !slices.Equal(got, want) {
		t.Errorf("changes:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, part := range []string{
		"https://login.microsoftonline.com/" + tenant + "/adminconsent?client_id=22222222-0000-0000-0000-000000000002", "+ Application ID URIs", "… waiting for Entra",
	} {
		if !strings.Contains(said, part) {
			t.Errorf("the script does not say %q:\n%s", part, said)
		}
	}
	before, files := az.state(), read(t, dir)
	code, said = az.register(dir)
	if got := az.taken(); code != 0 || len(got) > 0 || strings.Contains(said, " + ") {
		t.Errorf("the second run: exit code %d, changes %q\n%s", code, got, said)
	}
	if az.state() != before || !slices.Equal(read(t, dir), files) {
		t.Error("the second run changed something")
	}
}

// read returns the files of a folder.
func read(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, e.Name()+"\n"+string(data))
	}
	return list
}

// What the script makes is what the manifests show.
func TestScriptMakesWhatTheManifestsShow(t *testing.T) {
	t.Parallel()
	az, dir := newFakeAz(t), t.TempDir()
	write(t, dir, everything(), registration.IDs{})
	if code, said := az.register(dir); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, said)
	}
	for i, name := range []string{"api.manifest.json", "client.manifest.json"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		var want object
		if err := json.Unmarshal(data, &want); err != nil {
			t.Fatal(err)
		}
		covers(t, name, az.apps[i], want)
	}
	if az.principals[0]["appRoleAssignmentRequired"] != true {
		t.Error("assignment is not required")
	}
}

// covers wants have to have all that want has.
func covers(t *testing.T, at string, have, want any) {
	t.Helper()
	switch want := want.(type) {
	case object:
		have, _ := have.(object)
		for name, value := range want {
			covers(t, at+"."+name, have[name], value)
		}
	case []any:
		list := values(have)
		if len(list) != len(want) {
			t.Errorf("%s is %v, want %v", at, have, want)
			return
		}
		for i, value := range want {
			covers(t, at, list[i], value)
		}
	default:
		if have != want {
			t.Errorf("%s is %v, want %v", at, have, want)
		}
	}
}

// Wherever it stops, another run goes on, and the end is the same.
func TestScriptResumesAfterAFailure(t *testing.T) {
	t.Parallel()
	whole, dir := newFakeAz(t), t.TempDir()
	write(t, dir, everything(), registration.IDs{})
	if code, said := whole.register(dir); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, said)
	}
	last := len(whole.taken())
	for _, at := range []int{3, last} {
		az, dir := newFakeAz(t), t.TempDir()
		write(t, dir, everything(), registration.IDs{})
		az.failAt = at
		code, said := az.register(dir)
		if code == 0 || !strings.Contains(said, "ServiceUnavailable") || !strings.Contains(said, "run this again to go on from here") {
			t.Errorf("failing at change %d: exit code %d:\n%s", at, code, said)
		}
		az.failAt = 0
		if code, said := az.register(dir); code != 0 {
			t.Errorf("after failing at change %d: exit code %d:\n%s", at, code, said)
		}
		if az.state() != whole.state() {
			t.Errorf("after failing at change %d the end is another one", at)
		}
	}
}

func TestScriptKeepsWhatOthersAdded(t *testing.T) {
	t.Parallel()
	az, dir := newFakeAz(t), t.TempDir()
	write(t, dir, basic(), registration.IDs{})
	if code, said := az.register(dir); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, said)
	}
	app, client := az.apps[0], az.apps[1]
	theirs := object{"id": "55555555-5555-5555-5555-555555555555", "value": "Their.Scope", "isEnabled": true}
	app["api"].(object)["oauth2PermissionScopes"] = append(values(app["api"].(object)["oauth2PermissionScopes"]), theirs)
	app["api"].(object)["preAuthorizedApplications"] = append(values(app["api"].(object)["preAuthorizedApplications"]),
		object{"appId": "66666666-6666-6666-6666-666666666666", "delegatedPermissionIds": []any{theirs["id"]}})
	app["identifierUris"] = append(values(app["identifierUris"]), "api://theirs")
	app["optionalClaims"].(object)["idToken"] = []any{object{"name": "email"}}
	client["requiredResourceAccess"] = append(values(client["requiredResourceAccess"]), object{"resourceAppId": "theirs", "resourceAccess": []any{}})
	az.taken()

	more := basic()
	more.Scopes, more.Roles, more.Clients = []string{"Mcp.Access", "Mcp.Admin"}, []string{"Mcp.Invoke", "Mcp.Audit"}, []string{"vscode", "azure-cli"}
	write(t, dir, more, registration.IDs{})
	if code, said := az.register(dir); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, said)
	}
	state := az.state()
	for _, part := range []string{"Their.Scope", "66666666-6666-6666-6666-666666666666", "api://theirs", `"email"`, `"theirs"`, "Mcp.Admin", "Mcp.Audit", "04b07795-8ddb-461a-bbee-02f9e1bf7b46"} {
		if !strings.Contains(state, part) {
			t.Errorf("%s is missing:\n%s", part, state)
		}
	}
	if got := az.taken(); len(got) != 4 { // scopes, roles, the client's permission, pre-authorization
		t.Errorf("changes: %q", got)
	}
}

func TestScriptSaysWhatEntraRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		set    func(*fakeAz)
		answer func(*registration.Answers)
		code   int
		says   []string
	}{
		{"an unverified domain", func(az *fakeAz) { az.verified = true }, nil, 1, []string{"HostNameNotOnVerifiedDomain", "Add custom domain", "--app-id-uri api"}},
		{"which api:// needs not", func(az *fakeAz) { az.verified = true }, func(a *registration.Answers) { a.AppIDURI = "api" }, 0, nil},
		{"nobody signed in", func(az *fakeAz) { az.tenant = "" }, nil, 1, []string{"az login --tenant " + tenant}},
		{"another tenant", func(az *fakeAz) { az.tenant = "77777777-7777-7777-7777-777777777777" }, nil, 1, []string{"77777777-7777-7777-7777-777777777777", "az login --tenant " + tenant}},
		{"another cloud", func(az *fakeAz) { az.cloud = "AzureUSGovernment" }, nil, 1, []string{"az cloud set --name AzureCloud"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			az, dir, a := newFakeAz(t), t.TempDir(), basic()
			tt.set(az)
			if tt.answer != nil {
				tt.answer(&a)
			}
			write(t, dir, a, registration.IDs{})
			code, said := az.register(dir)
			if code != tt.code {
				t.Errorf("exit code %d:\n%s", code, said)
			}
			for _, part := range tt.says {
				if !strings.Contains(said, part) {
					t.Errorf("it does not say %q:\n%s", part, said)
				}
			}
			if _, err := os.Stat(filepath.Join(dir, registration.ResultFile)); (err == nil) != (tt.code == 0) {
				t.Errorf("%s: %v", registration.ResultFile, err)
			}
		})
	}
}

func TestScriptMakesACredentialOnce(t *testing.T) {
	t.Parallel()
	for name, credential := range credentials {
		if credential.Kind == "" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			az, dir, a := newFakeAz(t), t.TempDir(), basic()
			a.Credential = credential
			a = write(t, dir, a, registration.IDs{})
			for range 2 {
				if code, said := az.register(dir); code != 0 || strings.Contains(said, "secret~") {
					t.Fatalf("exit code %d:\n%s", code, said)
				}
			}
			var changes int
			for _, c := range az.taken() {
				if strings.Contains(c, "addPassword") || strings.Contains(c, "keyCredentials") || strings.Contains(c, "federatedIdentityCredentials") {
					changes++
				}
			}
			if changes != 1 {
				t.Errorf("the credential was set %d times", changes)
			}
			switch credential.Kind {
			case registration.CredentialSecret, registration.CredentialCertificate:
				info, err := os.Stat(filepath.Join(dir, a.Credential.File))
				if err != nil || info.Mode().Perm() != 0o600 || info.Size() == 0 {
					t.Errorf("%v, %v", info, err)
				}
			default:
				f := values(az.apps[0]["federated"])[0].(object)
				if f["audiences"].([]any)[0] != "api://AzureADTokenExchange" || f["name"] != "mcpctl" {
					t.Errorf("%v", f)
				}
				// Another subject replaces it.
				a.Credential.Subject, a.Credential.IdentityPrincipalID = "other", "88888888-8888-8888-8888-888888888888"
				write(t, dir, a, registration.IDs{})
				if code, said := az.register(dir); code != 0 || len(az.taken()) != 1 {
					t.Errorf("exit code %d:\n%s", code, said)
				}
			}
		})
	}
}

// Whatever people are called, a shell makes nothing of it.
func TestScriptTakesAnswersVerbatim(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"$(touch pwned) `touch pwned` '; touch pwned; ' \"; touch pwned; \" \\'; touch pwned #",
		`--name %s %n $1 ${HOME} !! ~ * ?  Ünïcødé 名前 🙂 & | > < ; it's "quoted"\`,
		`@/etc/passwd {{.TenantID}}`,
	} {
		az, dir, a := newFakeAz(t), t.TempDir(), basic()
		a.Name = name
		write(t, dir, a, registration.IDs{})
		code, said := az.register(dir)
		if code != 0 {
			t.Errorf("%q: exit code %d:\n%s", name, code, said)
			continue
		}
		if got := az.apps[0]["displayName"]; got != name {
			t.Errorf("%q became %q", name, got)
		}
		for _, file := range read(t, dir) {
			if strings.HasPrefix(file, "pwned\n") {
				t.Fatalf("%q was run", name)
			}
		}
	}
}

// After the script ran, writing the files anew changes nothing.
func TestScriptFillsInTheIDs(t *testing.T) {
	t.Parallel()
	az, dir := newFakeAz(t), t.TempDir()
	write(t, dir, everything(), registration.IDs{})
	if code, said := az.register(dir); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, said)
	}
	filled := read(t, dir)
	data, err := os.ReadFile(filepath.Join(dir, registration.ResultFile))
	if err != nil {
		t.Fatal(err)
	}
	got, err := registration.ParseIDs(data)
	want := registration.IDs{TenantID: tenant, APIClientID: "22222222-0000-0000-0000-000000000001", PublicClientID: "22222222-0000-0000-0000-000000000002"}
	if err != nil || got != want {
		t.Fatalf("%+v, %v", got, err)
	}
	write(t, dir, everything(), got)
	if anew := read(t, dir); !slices.Equal(anew, filled) {
		t.Errorf("written anew:\n%s\nfilled in:\n%s", strings.Join(anew, "\n"), strings.Join(filled, "\n"))
	}
	// The registration was deleted and made again: the ids follow.
	az.apps[0]["uniqueName"], az.apps[1]["uniqueName"] = "gone", "gone too"
	if code, said := az.register(dir); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, said)
	}
	for _, file := range read(t, dir) {
		if strings.Contains(file, want.APIClientID) || strings.Contains(file, want.PublicClientID) {
			t.Errorf("an old id is left in %s", file)
		}
	}
}
