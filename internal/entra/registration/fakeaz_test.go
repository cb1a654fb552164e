//go:build unix

package registration_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

type object = map[string]any

// fakeAz stands in for the Azure CLI and Microsoft Graph behind it. What is on
// PATH as az hands its arguments to the test, which keeps the directory.
type fakeAz struct {
	t      *testing.T
	bin    string // the folder of az
	listen net.Listener
	served sync.WaitGroup

	mu         sync.Mutex
	tenant     string // "" is nobody signed in
	cloud      string
	apps       []object
	principals []object
	changes    []change
	failAt     int            // the change that fails, counted from 1; 0 is none
	unknown    map[string]int // how often a new object is still denied
	verified   bool           // only verified domains, whatever the version
	secrets    int
}

// A change is a request that changes the directory.
type change struct {
	method, path string
	body         object
}

func (c change) String() string {
	return c.method + " " + c.path + " " + strings.Join(slices.Sorted(maps.Keys(c.body)), ",")
}

const stub = `#!/usr/bin/env bash
exec 3<>/dev/tcp/127.0.0.1/%d
printf '%%s\n' "$#" >&3
printf '%%s\0' "$@" >&3
IFS= read -r code <&3
IFS= read -r dir <&3
printf '%%s' "$(<"$dir/out")"
printf '%%s' "$(<"$dir/err")" >&2
exit "$code"
`

const tenant = "11111111-1111-1111-1111-111111111111"

func newFakeAz(t *testing.T) *fakeAz {
	t.Helper()
	listen, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	az := &fakeAz{t: t, bin: t.TempDir(), listen: listen, tenant: tenant, cloud: "AzureCloud", unknown: map[string]int{}}
	text := fmt.Sprintf(stub, listen.Addr().(*net.TCPAddr).Port)
	if err := os.WriteFile(filepath.Join(az.bin, "az"), []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	az.served.Go(func() {
		for {
			conn, err := listen.Accept()
			if err != nil {
				return
			}
			az.serve(conn)
		}
	})
	t.Cleanup(func() {
		_ = listen.Close()
		az.served.Wait()
	})
	return az
}

// serve answers one call of az.
func (az *fakeAz) serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	first, err := in.ReadString('\n')
	count, convErr := strconv.Atoi(strings.TrimSpace(first))
	if err != nil || convErr != nil {
		az.t.Errorf("az was called in an unknown way: %q", first)
		return
	}
	args := make([]string, count)
	for i := range args {
		arg, err := in.ReadString(0)
		if err != nil {
			az.t.Errorf("az: %v", err)
			return
		}
		args[i] = strings.TrimSuffix(arg, "\x00")
	}
	out, fault := az.run(args)
	dir, code := az.t.TempDir(), 0
	text := ""
	if fault != "" {
		code, text = 1, "ERROR: "+fault+"\n"
	}
	for name, data := range map[string]string{"out": out, "err": text} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o600); err != nil {
			az.t.Error(err)
		}
	}
	_, _ = fmt.Fprintf(conn, "%d\n%s\n", code, dir)
}

// run is the Azure CLI.
func (az *fakeAz) run(args []string) (out, fault string) {
	az.mu.Lock()
	defer az.mu.Unlock()
	switch {
	case strings.HasPrefix(strings.Join(args, " "), "account show"):
		if az.tenant == "" {
			return "", "Please run 'az login' to setup account."
		}
		return az.tenant + "\n", ""
	case strings.HasPrefix(strings.Join(args, " "), "cloud show"):
		return az.cloud + "\n", ""
	case len(args) == 0 || args[0] != "rest":
		az.t.Errorf("az is called with %q", args)
		return "", "unknown command"
	}
	flags := map[string][]string{}
	name := ""
	for _, arg := range args[1:] {
		if strings.HasPrefix(arg, "--") {
			name = arg
			flags[name] = nil
		} else {
			flags[name] = append(flags[name], arg)
		}
	}
	one := func(flag string) string {
		if len(flags[flag]) != 1 {
			az.t.Errorf("%s is %q", flag, flags[flag])
			return ""
		}
		return flags[flag][0]
	}
	path, ok := strings.CutPrefix(one("--url"), "https://graph.microsoft.com/v1.0/")
	if !ok || one("--resource") != "https://graph.microsoft.com" || one("--output") != "json" {
		az.t.Errorf("az rest is called with %q", args)
	}
	body := object{}
	if _, ok := flags["--body"]; ok {
		file, ok := strings.CutPrefix(one("--body"), "@")
		data, err := os.ReadFile(file)
		if !ok || err != nil || json.Unmarshal(data, &body) != nil || !slices.Contains(flags["--headers"], "Content-Type=application/json") {
			az.t.Errorf("az rest is called with %q: %s, %v", args, data, err)
		}
	}
	result, fault := az.graph(one("--method"), path, body, slices.Contains(flags["--headers"], "Prefer=create-if-missing"))
	if fault != "" || result == nil {
		return "", fault
	}
	data, err := json.Marshal(result)
	if err != nil {
		az.t.Error(err)
	}
	return string(data), ""
}

var (
	keyed    = regexp.MustCompile(`^(applications|servicePrincipals)\((uniqueName|appId)='([^']*)'\)(.*)$`)
	notFound = `Not Found({"error":{"code":"Request_ResourceNotFound","message":"Resource does not exist."}})`
)

// graph is Microsoft Graph.
func (az *fakeAz) graph(method, path string, body object, create bool) (result any, fault string) {
	if method != "get" {
		az.changes = append(az.changes, change{method, path, body})
		if az.failAt > 0 && len(az.changes) == az.failAt {
			return nil, `Service Unavailable({"error":{"code":"ServiceUnavailable","message":"Try again."}})`
		}
	}
	if path == "servicePrincipals" && method == "post" {
		return az.createPrincipal(body)
	}
	m := keyed.FindStringSubmatch(path)
	if m == nil {
		az.t.Errorf("unknown path %q", path)
		return nil, notFound
	}
	list := az.apps
	if m[1] == "servicePrincipals" {
		list = az.principals
	}
	i := slices.IndexFunc(list, func(o object) bool { return o[m[2]] == m[3] })
	if i < 0 {
		if method == "patch" && create && m[2] == "uniqueName" && m[4] == "" {
			return az.createApplication(m[3], body)
		}
		return nil, notFound
	}
	o := list[i]
	switch {
	case method == "get" && az.unknown[path] > 0:
		az.unknown[path]--
		return nil, notFound
	case method == "get" && (m[4] == "" || m[4] == "?$select=keyCredentials"):
		return o, ""
	case method == "get" && m[4] == "/federatedIdentityCredentials":
		return object{"value": append([]any{}, values(o["federated"])...)}, ""
	case method == "post" && m[4] == "/federatedIdentityCredentials":
		o["federated"] = append(values(o["federated"]), body)
		return body, ""
	case method == "patch" && strings.HasPrefix(m[4], "/federatedIdentityCredentials("):
		for _, f := range values(o["federated"]) {
			maps.Copy(f.(object), body)
		}
		return nil, ""
	case method == "post" && m[4] == "/addPassword":
		az.secrets++
		return object{"secretText": fmt.Sprintf("secret~%d", az.secrets)}, ""
	case method == "patch" && m[4] == "" && m[1] == "servicePrincipals":
		maps.Copy(o, body)
		return nil, ""
	case method == "patch" && m[4] == "":
		return nil, az.patch(o, body)
	}
	az.t.Errorf("unknown request %s %s", method, path)
	return nil, notFound
}

func (az *fakeAz) createApplication(key string, body object) (any, string) {
	id := fmt.Sprintf("22222222-0000-0000-0000-%012d", len(az.apps)+1)
	o := object{
		"id": "object-" + id, "appId": id, "uniqueName": key, "identifierUris": []any{}, "appRoles": []any{},
		"api": object{
			"requestedAccessTokenVersion": nil, "oauth2PermissionScopes": []any{}, "preAuthorizedApplications": []any{},
			"knownClientApplications": []any{}, "acceptMappedClaims": nil,
		},
		"optionalClaims": nil, "groupMembershipClaims": nil, "isFallbackPublicClient": nil,
		"publicClient": object{"redirectUris": []any{}}, "requiredResourceAccess": []any{}, "keyCredentials": []any{},
	}
	maps.Copy(o, body)
	az.apps = append(az.apps, o)
	az.unknown["applications(appId='"+id+"')"] = 1 // what is new is not known everywhere at once
	return o, ""
}

func (az *fakeAz) createPrincipal(body object) (any, string) {
	if !slices.ContainsFunc(az.apps, func(o object) bool { return o["appId"] == body["appId"] }) {
		return nil, `Bad Request({"error":{"code":"NoBackingApplicationObject","message":"…"}})`
	}
	o := object{"id": fmt.Sprint("principal-", body["appId"]), "appId": body["appId"], "appRoleAssignmentRequired": false}
	az.principals = append(az.principals, o)
	return o, ""
}

// patch changes an application by the rules that Entra has.
func (az *fakeAz) patch(o, body object) (fault string) {
	for _, name := range slices.Sorted(maps.Keys(body)) {
		if _, ok := o[name]; !ok {
			return `Bad Request({"error":{"code":"Request_BadRequest","message":"Invalid property '` + name + `'."}})`
		}
	}
	if uris, ok := body["identifierUris"]; ok {
		version, _ := o["api"].(object)["requestedAccessTokenVersion"].(float64)
		for _, uri := range values(uris) {
			if strings.HasPrefix(uri.(string), "https://") && (version != 2 || az.verified) {
				return `Bad Request({"error":{"code":"HostNameNotOnVerifiedDomain","message":"Values of identifierUris property must use a verified domain of the organization or its subdomain."}})`
			}
		}
	}
	if api, ok := body["api"].(object); ok {
		kept := ids(api["oauth2PermissionScopes"])
		for _, id := range ids(o["api"].(object)["oauth2PermissionScopes"]) {
			if !slices.Contains(kept, id) {
				return `Bad Request({"error":{"code":"CannotDeleteOrUpdateEnabledEntitlement","message":"…"}})`
			}
		}
		for _, p := range values(api["preAuthorizedApplications"]) {
			for _, id := range values(p.(object)["delegatedPermissionIds"]) {
				if !slices.Contains(kept, id.(string)) {
					return `Bad Request({"error":{"code":"InvalidValue","message":"a pre-authorized scope that is none"}})`
				}
			}
		}
	}
	maps.Copy(o, body)
	return ""
}

func values(v any) []any {
	list, _ := v.([]any)
	return list
}

func ids(v any) []string {
	var list []string
	for _, item := range values(v) {
		list = append(list, item.(object)["id"].(string))
	}
	return list
}

// register runs the script in dir and returns its exit code and what it said.
func (az *fakeAz) register(dir string) (int, string) {
	az.t.Helper()
	cmd := exec.Command("bash", filepath.Join(dir, "register.sh"))
	cmd.Dir = az.t.TempDir() // it finds its own folder
	cmd.Env = []string{"PATH=" + az.bin + ":" + os.Getenv("PATH"), "HOME=" + az.t.TempDir(), "MCPCTL_SETUP_WAIT=0", "LC_ALL=C.UTF-8"}
	var out strings.Builder
	cmd.Stderr = &out
	cmd.Stdout = io.MultiWriter(&out, forbidden{az.t})
	err := cmd.Run()
	if _, ended := err.(*exec.ExitError); err != nil && !ended { //nolint:errorlint // Run returns it bare
		az.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String()
}

// forbidden is standard output, to which the script says nothing.
type forbidden struct{ t *testing.T }

func (f forbidden) Write(p []byte) (int, error) {
	f.t.Errorf("the script prints %q", p)
	return len(p), nil
}

// taken are the changes since the last call.
func (az *fakeAz) taken() []string {
	az.mu.Lock()
	defer az.mu.Unlock()
	var list []string
	for _, c := range az.changes {
		list = append(list, c.String())
	}
	az.changes = nil
	return list
}

// state is the whole directory.
func (az *fakeAz) state() string {
	az.mu.Lock()
	defer az.mu.Unlock()
	data, err := json.MarshalIndent([]any{az.apps, az.principals}, "", "  ")
	if err != nil {
		az.t.Fatal(err)
	}
	return string(data)
}
