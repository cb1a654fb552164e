package fakeentra

// The identifiers of the sample tenant stay the same from run to run, so that
// what a person pinned or cached yesterday still means the same.
const (
	SampleAPIClientID    = "0a1d2c3b-7f5e-4c1a-9b8d-3e4f5a6b7c8d"
	SamplePublicClientID = "1b2e3d4c-8a6f-4d2b-8c9e-4f5a6b7c8d9e"
	SampleScope          = "Mcp.Access"
	SampleWriterRole     = "Writer"
)

// Sample is what [Server.AddSample] registered.
type Sample struct {
	API    App    // the protected MCP server; v2 tokens, assignment required
	Client App    // the public client that mcpctl login uses; pre-authorized
	Ada    Person // role Writer
	Grace  Person // assigned, without a role
	Alan   Person // not assigned: AADSTS50105
}

// Scope is the API's delegated permission in full, "URI/Mcp.Access".
func (s Sample) Scope() string { return s.API.IDURIs[0] + "/" + SampleScope }

// AddSample registers the sample tenant: an API, a public client and three
// people. The API's first App ID URI is appIDURI, "api://{client id}" if empty;
// the latter is registered in any case.
func (s *Server) AddSample(appIDURI string) (Sample, error) {
	uris := []string{"api://" + SampleAPIClientID}
	if appIDURI != "" && appIDURI != uris[0] {
		uris = append([]string{appIDURI}, uris...)
	}
	var out Sample
	var err error
	if out.API, err = s.RegisterApp(App{
		Name:               "Contoso MCP server",
		ClientID:           SampleAPIClientID,
		IDURIs:             uris,
		Scopes:             []Scope{{Name: SampleScope, Description: "Use the MCP server as you"}},
		Roles:              []Role{{Name: SampleWriterRole, Description: "May use tools that change something"}},
		TokenVersion:       2,
		AssignmentRequired: true,
		PreAuthorized:      []string{SamplePublicClientID},
		OptionalClaims:     []string{"idtyp", "xms_cc"},
		GroupClaims:        true,
	}); err != nil {
		return Sample{}, err
	}
	if out.Client, err = s.RegisterApp(App{
		Name:         "mcpctl",
		ClientID:     SamplePublicClientID,
		PublicClient: true,
		RedirectURIs: []string{"http://localhost", "http://127.0.0.1"},
	}); err != nil {
		return Sample{}, err
	}
	for _, p := range []struct {
		to *Person
		is Person
	}{
		{&out.Ada, Person{Name: "Ada Lovelace", UPN: "ada@" + s.domain, OID: "a1111111-1111-4111-8111-111111111111",
			Roles: map[string][]string{SampleAPIClientID: {SampleWriterRole}}}},
		{&out.Grace, Person{Name: "Grace Hopper", UPN: "grace@" + s.domain, OID: "b2222222-2222-4222-8222-222222222222",
			Roles: map[string][]string{SampleAPIClientID: {}}}},
		{&out.Alan, Person{Name: "Alan Turing", UPN: "alan@" + s.domain, OID: "c3333333-3333-4333-8333-333333333333"}},
	} {
		if *p.to, err = s.AddPerson(p.is); err != nil {
			return Sample{}, err
		}
	}
	return out, nil
}
