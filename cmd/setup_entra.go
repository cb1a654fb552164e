package cmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mcpctl/mcpctl/internal/entra/registration"
)

type setupEntraOptions struct {
	deps    Deps
	answers registration.Answers
	given   func(flag string) bool // whether a flag was typed
	config  string
	out     string
	print   bool
	yes     bool
}

const defaultSetupOut = "entra-setup"

func newSetupEntra(deps Deps, run func(context.Context, setupEntraOptions) error) *cobra.Command {
	o := setupEntraOptions{deps: deps}
	a := &o.answers
	c := &cobra.Command{
		Use:   "entra",
		Short: "Write what registers a server in Microsoft Entra ID",
		Long: `Write what registers an MCP server in Microsoft Entra ID: a script for the Azure CLI
that can be run again and again, the same as Bicep and as manifests, the matching
mcpctl.yaml, and what to tell people. Read it, then run the script.

What is not given by flags or a file of answers is asked for on a terminal. Run
again, it shows what would change and asks. Nothing is asked of the network.`,
		Example: `  mcpctl setup entra
  mcpctl setup entra --tenant 00000000-0000-0000-0000-000000000001 --public-url https://mcp.contoso.com/mcp --client vscode
  mcpctl setup entra --config answers.yaml --print`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			o.given = c.Flags().Changed
			err := run(c.Context(), o)
			if faults := (registration.Faults)(nil); errors.As(err, &faults) {
				return usageError(c, err)
			}
			return err
		},
	}
	f := c.Flags()
	f.StringVar(&a.TenantID, "tenant", "", "`id` of the tenant")
	f.StringVar(&a.PublicURL, "public-url", "", "`URL` that people type, exactly")
	f.StringVar(&a.Name, "name", "", "`name` of the server, shown to people who sign in")
	f.StringVar(&a.Cloud, "cloud", "", "`cloud` of the tenant: global, usgov or china")
	f.StringVar(&a.AppIDURI, "app-id-uri", "", "`form` of the Application ID URI: url (the public URL) or api (needs no verified domain)")
	f.StringArrayVar(&a.MoreURLs, "more-url", nil, "further `URL` of the same server; can be repeated")
	f.StringSliceVar(&a.Scopes, "scope", nil, "`names` of the scopes that people's clients ask for (default Mcp.Access)")
	f.StringSliceVar(&a.Roles, "role", nil, "`names` of app roles")
	f.StringSliceVar(&a.Clients, "client", nil, "`names` of people's clients: "+strings.Join(registration.ClientNames(), ", "))
	f.StringArrayVar(&a.RedirectURIs, "redirect-uri", nil, "further redirect `URI` of the public client; can be repeated")
	f.BoolVar(&a.AssignmentRequired, "assignment-required", false, "admit only people and groups who were assigned")
	f.BoolVar(&a.GroupClaims, "group-claims", false, "put assigned groups into tokens")
	f.BoolVar(&a.OnBehalfOf, "on-behalf-of", false, "let the server act for callers at Microsoft Graph")
	f.StringSliceVar(&a.GraphPermissions, "graph-permission", nil, "delegated `permissions` at Microsoft Graph (default User.Read)")
	f.StringVar(&a.Credential.Kind, "credential", "", "`kind` of the server's credential: "+strings.Join(registration.CredentialKinds, ", "))
	f.StringVar(&a.Credential.File, "credential-file", "", "`file` of the credential, relative to mcpctl.yaml")
	f.StringVar(&a.Credential.IdentityClientID, "identity-client-id", "", "client `id` of the managed identity")
	f.StringVar(&a.Credential.IdentityPrincipalID, "identity-principal-id", "", "object `id` of the managed identity")
	f.StringVar(&a.Credential.Issuer, "issuer", "", "`issuer` of the federated token")
	f.StringVar(&a.Credential.Subject, "subject", "", "`subject` of the federated token")
	f.StringVar(&o.config, "config", "", "`file` with answers (default answers.yaml in the folder of --out)")
	f.StringVar(&o.out, "out", defaultSetupOut, "`folder` to write to")
	f.BoolVar(&o.print, "print", false, "print the files instead of writing them")
	f.BoolVarP(&o.yes, "yes", "y", false, "write changes without asking")
	completeValues(c, "cloud", "global", "usgov", "china")
	completeValues(c, "app-id-uri", registration.AppIDURIPublicURL, registration.AppIDURIAPI)
	completeValues(c, "client", registration.ClientNames()...)
	completeValues(c, "credential", registration.CredentialKinds...)
	return c
}

func runSetupEntra(ctx context.Context, o setupEntraOptions) error {
	ui := newCallUI(o.deps)
	answers, known, err := o.collect()
	if err != nil {
		return err
	}
	if ui.interactive && !known {
		if answers, err = askAnswers(ctx, ui, answers, o.given); err != nil {
			return err
		}
	}
	answers = answers.Fill()
	if err := missingAnswers(answers); err != nil {
		return err
	}
	if err := answers.Check(); err != nil {
		return err
	}
	ids, err := o.ids()
	if err != nil {
		return err
	}
	files := registration.Files(answers, ids)
	for _, warning := range answers.Warnings() {
		for i, line := range wrap(warning, ui.screen.width-2) {
			mark := "  "
			if i == 0 {
				mark = "! "
			}
			ui.note(mark + line)
		}
	}
	if o.print {
		return printFiles(newScreen(o.deps.Stdout, o.deps.Getenv), files)
	}
	written, err := writeSetup(ctx, ui, o, files)
	if err != nil || !written {
		return err
	}
	return setupNext(o, answers, ids)
}

// collect are the answers of a file with the flags over them. known is whether
// there was a file, so that nothing needs to be asked.
func (o setupEntraOptions) collect() (a registration.Answers, known bool, err error) {
	file := o.config
	if file == "" {
		file = filepath.Join(o.out, registration.AnswersFile)
	}
	data, err := os.ReadFile(file)
	switch {
	case err == nil:
		if a, err = registration.ParseAnswers(file, data); err != nil {
			return a, false, &exitError{exitUsage, err}
		}
		known = true
	case o.config != "" || !errors.Is(err, os.ErrNotExist):
		return a, false, fmt.Errorf("reading the answers: %w", err)
	}
	o.overlay(&a)
	return a, known, nil
}

// overlay puts what was typed over a.
func (o setupEntraOptions) overlay(a *registration.Answers) {
	f := o.answers
	take := func(flag string, set func()) {
		if o.given(flag) {
			set()
		}
	}
	take("public-url", func() {
		if a.PublicURL != "" && a.PublicURL != f.PublicURL {
			// The registration stays the same one where only the address changes.
			filled := a.Fill()
			a.Key, a.Name = filled.Key, filled.Name
		}
		a.PublicURL = f.PublicURL
	})
	take("tenant", func() { a.TenantID = f.TenantID })
	take("name", func() { a.Name = f.Name })
	take("cloud", func() { a.Cloud = f.Cloud })
	take("app-id-uri", func() { a.AppIDURI = f.AppIDURI })
	take("more-url", func() { a.MoreURLs = f.MoreURLs })
	take("scope", func() { a.Scopes = f.Scopes })
	take("role", func() { a.Roles = f.Roles })
	take("client", func() { a.Clients = f.Clients })
	take("redirect-uri", func() { a.RedirectURIs = f.RedirectURIs })
	take("assignment-required", func() { a.AssignmentRequired = f.AssignmentRequired })
	take("group-claims", func() { a.GroupClaims = f.GroupClaims })
	take("on-behalf-of", func() {
		if a.OnBehalfOf = f.OnBehalfOf; !a.OnBehalfOf {
			a.GraphPermissions = nil
		} else if a.Credential.Kind == registration.CredentialNone {
			a.Credential = registration.Credential{}
		}
	})
	take("graph-permission", func() { a.GraphPermissions = f.GraphPermissions })
	take("credential", func() { a.Credential = registration.Credential{Kind: f.Credential.Kind} })
	take("credential-file", func() { a.Credential.File = f.Credential.File })
	take("identity-client-id", func() { a.Credential.IdentityClientID = f.Credential.IdentityClientID })
	take("identity-principal-id", func() { a.Credential.IdentityPrincipalID = f.Credential.IdentityPrincipalID })
	take("issuer", func() { a.Credential.Issuer = f.Credential.Issuer })
	take("subject", func() { a.Credential.Subject = f.Credential.Subject })
}

// missingAnswers names what nobody can be asked for.
func missingAnswers(a registration.Answers) error {
	var flags []string
	if a.TenantID == "" {
		flags = append(flags, "--tenant ID")
	}
	if a.PublicURL == "" {
		flags = append(flags, "--public-url URL")
	}
	if len(flags) == 0 {
		return nil
	}
	return &exitError{exitUsage, fmt.Errorf("add %s, or a file of answers by --config.\nOn a terminal mcpctl setup entra asks for everything. Run: mcpctl setup entra --help", strings.Join(flags, " and "))}
}

// ids are those that the script has left; none before it ran.
func (o setupEntraOptions) ids() (registration.IDs, error) {
	data, err := os.ReadFile(filepath.Join(o.out, registration.ResultFile))
	if errors.Is(err, os.ErrNotExist) {
		return registration.IDs{}, nil
	}
	if err != nil {
		return registration.IDs{}, fmt.Errorf("reading the ids of the registration: %w", err)
	}
	return registration.ParseIDs(data)
}

// setupNext says what to do with the files.
func setupNext(o setupEntraOptions, a registration.Answers, ids registration.IDs) error {
	s := newScreen(o.deps.Stdout, o.deps.Getenv)
	lines := []string{
		"Next: read " + filepath.Join(o.out, registration.ScriptFile) + ", then as an Application Administrator:",
		"  az login --tenant " + a.TenantID + " --allow-no-subscriptions",
		"  bash " + filepath.Join(o.out, registration.ScriptFile),
	}
	if urls := a.ConsentURLs(ids); ids.Known() && ids.TenantID == a.TenantID {
		lines = append(lines, "Consent of an administrator for everybody:")
		for _, u := range urls {
			lines = append(lines, "  "+u)
		}
	} else if len(urls) > 0 {
		lines = append(lines, "It prints the address at which an administrator consents for everybody.")
	}
	lines = append(lines, "The rest is in "+filepath.Join(o.out, registration.GuideFile)+".")
	for _, line := range lines {
		say := s.prose
		if strings.HasPrefix(line, " ") {
			say = s.line // to be copied
		}
		if err := say("%s", line); err != nil {
			return err
		}
	}
	return nil
}
