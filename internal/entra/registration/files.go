package registration

import (
	"encoding/json"
	"fmt"
	"strings"
)

// A File is one that was written for an operator.
type File struct {
	Name string
	Data []byte
	Exec bool // a program
}

// Names of the files.
const (
	AnswersFile = "answers.yaml"
	ScriptFile  = "register.sh"
	ConfigFile  = "mcpctl.yaml"
	GuideFile   = "README.md"
	// ResultFile is what the script writes: the ids that Entra gave out.
	ResultFile = "registration.json"
)

// IDs are the client ids that Entra gave out; empty before the script ran.
type IDs struct {
	TenantID       string `json:"tenant_id"`
	APIClientID    string `json:"api_client_id"`
	PublicClientID string `json:"public_client_id"`
}

// Placeholders stand for ids that are not known yet. They have the form of ids,
// so that a configuration with them can be checked.
const (
	placeholderAPI    = "00000000-0000-0000-0000-0000000000aa"
	placeholderClient = "00000000-0000-0000-0000-0000000000cc"
)

func (i IDs) api() string {
	if i.APIClientID == "" {
		return placeholderAPI
	}
	return i.APIClientID
}

func (i IDs) client() string {
	if i.PublicClientID == "" {
		return placeholderClient
	}
	return i.PublicClientID
}

// Known reports whether Entra has given the ids out.
func (i IDs) Known() bool { return i.APIClientID != "" && i.PublicClientID != "" }

// ParseIDs reads a [ResultFile].
func ParseIDs(data []byte) (IDs, error) {
	var ids IDs
	if err := json.Unmarshal(data, &ids); err != nil {
		return IDs{}, fmt.Errorf("reading %s: %w", ResultFile, err)
	}
	for _, id := range []string{ids.TenantID, ids.APIClientID, ids.PublicClientID} {
		if !guidPattern.MatchString(id) {
			return IDs{}, fmt.Errorf("reading %s: an id is missing or malformed. Run %s again", ResultFile, ScriptFile)
		}
	}
	return ids, nil
}

// Files returns all files for filled answers that [Answers.Check] has passed.
// Ids of another tenant count as unknown.
func Files(a Answers, ids IDs) []File {
	if !strings.EqualFold(ids.TenantID, a.TenantID) {
		ids = IDs{}
	}
	return []File{
		{Name: GuideFile, Data: a.guide(ids)},
		{Name: ScriptFile, Data: a.script(), Exec: true},
		{Name: ConfigFile, Data: a.serverConfig(ids)},
		{Name: "main.bicep", Data: a.bicep()},
		{Name: "bicepconfig.json", Data: bicepConfig()},
		{Name: "api.manifest.json", Data: indentedJSON(a.apiApplication(ids))},
		{Name: "client.manifest.json", Data: indentedJSON(a.clientApplication(ids))},
		{Name: AnswersFile, Data: a.YAML()},
	}
}

// ConsentURLs are where an administrator consents for the whole tenant: for
// people's clients, and for the server where it acts for callers.
func (a Answers) ConsentURLs(ids IDs) []string {
	at := func(id string) string {
		return clouds[a.Cloud].login + "/" + a.TenantID + "/adminconsent?client_id=" + id
	}
	var list []string
	if len(a.Scopes) > 0 {
		list = append(list, at(ids.client()))
	}
	if a.OnBehalfOf {
		list = append(list, at(ids.api()))
	}
	return list
}

// Scopes in full, as clients ask for them.
func (a Answers) fullScopes() []string {
	list := make([]string, len(a.Scopes))
	for i, s := range a.Scopes {
		list[i] = a.IdentifierURI() + "/" + s
	}
	return list
}
