package registration

// A Client is a program of people's that may connect.
type Client struct {
	Name  string // as mcpctl install knows it, where Bridged
	Title string
	// Bridged connects through mcpctl bridge, and needs no registration.
	Bridged bool
	// AppID is Microsoft's own registration of a client that signs in by
	// itself; it has to be pre-authorized (AADSTS65002 otherwise).
	AppID string
	// Redirects are where the sign-in of a client that connects by itself returns to.
	Redirects []string
}

// Clients are the clients that can be chosen.
var Clients = []Client{
	{Name: "claude-code", Title: "Claude Code", Bridged: true},
	{Name: "claude-desktop", Title: "Claude Desktop", Bridged: true},
	{Name: "codex", Title: "Codex", Bridged: true},
	{Name: "continue", Title: "Continue", Bridged: true},
	{Name: "cursor", Title: "Cursor", Bridged: true},
	{Name: "gemini-cli", Title: "Gemini CLI", Bridged: true},
	{Name: "opencode", Title: "opencode", Bridged: true},
	{Name: "vscode", Title: "Visual Studio Code", Bridged: true, AppID: "aebc6443-996d-45c2-90f0-388ff96faa56"},
	{Name: "windsurf", Title: "Windsurf", Bridged: true},
	{Name: "zed", Title: "Zed", Bridged: true},
	{Name: "claude-ai", Title: "claude.ai on the web", Redirects: []string{"https://claude.ai/api/mcp/auth_callback"}},
	{Name: "azure-cli", Title: "Azure CLI (az account get-access-token)", AppID: "04b07795-8ddb-461a-bbee-02f9e1bf7b46"},
}

// chosen are the clients that the answers name, in the order of [Clients].
func (a Answers) chosen() []Client {
	var list []Client
	for _, c := range Clients {
		for _, name := range a.Clients {
			if c.Name == name {
				list = append(list, c)
			}
		}
	}
	return list
}

// redirectURIs are where the public client's sign-ins return to.
func (a Answers) redirectURIs() []string {
	// Entra ignores the port of a loopback address (RFC 8252 section 7.3).
	uris := []string{"http://localhost", "http://127.0.0.1"}
	for _, c := range a.chosen() {
		uris = append(uris, c.Redirects...)
	}
	for _, uri := range a.RedirectURIs {
		if !contains(uris, uri) {
			uris = append(uris, uri)
		}
	}
	return uris
}

// preAuthorized are the clients of Microsoft's that need no consent.
func (a Answers) preAuthorized() []Client {
	var list []Client
	for _, c := range a.chosen() {
		if c.AppID != "" {
			list = append(list, c)
		}
	}
	return list
}

// graphAppID is Microsoft Graph.
const graphAppID = "00000003-0000-0000-c000-000000000000"

// graphPermissions are the delegated permissions of Microsoft Graph that can be
// chosen, with their ids ("Microsoft Graph permissions reference").
var graphPermissions = map[string]string{
	"User.Read":            "e1fe6dd8-ba31-4d61-89e7-88639da4683d",
	"User.Read.All":        "a154be20-db9c-4678-8ab7-66f6cc099a59",
	"GroupMember.Read.All": "bc024368-1153-4739-b217-4326f2e966d0",
	"People.Read":          "ba47897c-39ec-4d83-8086-ee8256fa737d",
	"Mail.Read":            "570282fd-fa5c-430d-a7fd-fc8dc98a9dca",
	"Calendars.Read":       "465a38f9-76ea-45b9-9f34-9e8b0d4b0b42",
}
