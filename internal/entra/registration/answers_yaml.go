package registration

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/goccy/go-yaml"
)

// maxAnswers bounds a file with answers, in bytes.
const maxAnswers = 64 << 10

// ParseAnswers reads answers.yaml. Unknown keys are errors; values are checked
// by [Answers.Check].
func ParseAnswers(name string, data []byte) (a Answers, err error) {
	if len(data) > maxAnswers {
		return Answers{}, fmt.Errorf("reading %s: the file is too large for answers", name)
	}
	defer func() {
		// The parser is not ours, and an operator must not get a stack trace.
		if recover() != nil {
			a, err = Answers{}, fmt.Errorf("reading %s: this is not YAML", name)
		}
	}()
	err = yaml.NewDecoder(bytes.NewReader(data), yaml.Strict()).Decode(&a)
	if err != nil && !errors.Is(err, io.EOF) {
		return Answers{}, fmt.Errorf("reading %s: %s", name, strings.TrimSpace(yaml.FormatError(err, false, true)))
	}
	return a, nil
}

// YAML writes the answers as [ParseAnswers] reads them.
func (a Answers) YAML() []byte {
	var b bytes.Buffer
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	text := func(key, value string) {
		if value != "" {
			line("%s: %s", key, yamlQuote(value))
		}
	}
	line("# The answers that these files were written from. After a change run, in the")
	line("# folder above: mcpctl setup entra --out THIS-FOLDER")
	text("name", a.Name)
	text("key", a.Key)
	text("cloud", a.Cloud)
	text("tenant_id", a.TenantID)
	text("public_url", a.PublicURL)
	list := func(key string, values []string) { line("%s: %s", key, yamlList(values)) }
	if len(a.MoreURLs) > 0 {
		list("more_urls", a.MoreURLs)
	}
	text("app_id_uri", a.AppIDURI)
	list("scopes", a.Scopes)
	list("roles", a.Roles)
	list("clients", a.Clients)
	if len(a.RedirectURIs) > 0 {
		list("redirect_uris", a.RedirectURIs)
	}
	line("assignment_required: %t", a.AssignmentRequired)
	line("group_claims: %t", a.GroupClaims)
	line("on_behalf_of: %t", a.OnBehalfOf)
	if a.OnBehalfOf {
		list("graph_permissions", a.GraphPermissions)
	}
	line("credential:")
	text("  kind", a.Credential.Kind)
	text("  file", a.Credential.File)
	text("  identity_client_id", a.Credential.IdentityClientID)
	text("  identity_principal_id", a.Credential.IdentityPrincipalID)
	text("  issuer", a.Credential.Issuer)
	text("  subject", a.Credential.Subject)
	return b.Bytes()
}

func yamlList(values []string) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = yamlQuote(v)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}
