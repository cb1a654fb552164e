package cmd

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/mcpctl/mcpctl/internal/entra/registration"
)

// asking puts questions to a person about a registration.
type asking struct {
	ctx context.Context
	ui  *callUI
	err error // the first; nothing is asked after it
}

// askAnswers asks for what a lacks and no flag has answered.
func askAnswers(ctx context.Context, ui *callUI, a registration.Answers, given func(string) bool) (registration.Answers, error) {
	q := &asking{ctx: ctx, ui: ui}
	ui.note("What is the server that people connect to? Enter takes what is in brackets.")
	if !given("tenant") {
		q.text(&a.TenantID, "Tenant id (az account show --query tenantId)", "", func(s string) string {
			probe := registration.Answers{TenantID: s}
			return faultOf(probe.Fill().Check(), "tenant_id")
		})
	}
	if !given("public-url") {
		q.text(&a.PublicURL, "Address that people type, like https://mcp.contoso.com/mcp", "", func(s string) string {
			if message, fix := registration.CheckURL(s); message != "" {
				return message + ". " + fix
			}
			return ""
		})
	}
	filled := a.Fill()
	check := func(key string, set func(*registration.Answers, string)) func(string) string {
		return func(s string) string {
			probe := filled
			set(&probe, s)
			return faultOf(probe.Check(), key)
		}
	}
	if !given("name") {
		q.text(&a.Name, "Name shown to people", filled.Name, check("name", func(p *registration.Answers, s string) { p.Name = s }))
	}
	if !given("scope") {
		q.list(&a.Scopes, "Scopes that clients ask for", filled.Scopes, check("scopes", func(p *registration.Answers, s string) { p.Scopes = words(s) }))
		filled.Scopes = a.Scopes
	}
	if !given("role") {
		q.list(&a.Roles, "App roles, if any, like Mcp.Invoke", nil, check("roles", func(p *registration.Answers, s string) { p.Roles = words(s) }))
	}
	if !given("client") {
		for _, line := range wrap("Known: "+strings.Join(registration.ClientNames(), ", "), ui.screen.width-2) {
			ui.note("  " + ui.screen.dim(line))
		}
		q.list(&a.Clients, "Clients that people use, if known", nil, check("clients", func(p *registration.Answers, s string) { p.Clients = words(s) }))
	}
	if !given("assignment-required") {
		q.yes(&a.AssignmentRequired, "Admit only people and groups who are assigned?", false)
	}
	if !given("on-behalf-of") {
		q.yes(&a.OnBehalfOf, "Should the server act for callers at Microsoft Graph (On-Behalf-Of)?", false)
	}
	if a.OnBehalfOf && !given("credential") {
		q.credential(&a.Credential, given)
	}
	return a, q.err
}

func (q *asking) credential(c *registration.Credential, given func(string) bool) {
	q.text(&c.Kind, "Credential of the server: "+strings.Join(registration.CredentialKinds[:4], ", "), registration.CredentialManagedIdentity, func(s string) string {
		if slices.Contains(registration.CredentialKinds[:4], s) {
			return ""
		}
		return "choose one of them"
	})
	ask := func(to *string, flag, prompt, key string) {
		if given(flag) {
			return
		}
		q.text(to, prompt, "", func(s string) string {
			probe := registration.Answers{Credential: *c}
			switch key {
			case "identity_client_id":
				probe.Credential.IdentityClientID = s
			case "identity_principal_id":
				probe.Credential.IdentityPrincipalID = s
			case "issuer":
				probe.Credential.Issuer = s
			case "subject":
				probe.Credential.Subject = s
			}
			return faultOf(probe.Fill().Check(), "credential."+key)
		})
	}
	switch c.Kind {
	case registration.CredentialManagedIdentity:
		ask(&c.IdentityClientID, "identity-client-id", "Client id of the managed identity (az identity show --query clientId)", "identity_client_id")
		ask(&c.IdentityPrincipalID, "identity-principal-id", "Its object id (az identity show --query principalId)", "identity_principal_id")
	case registration.CredentialFederated:
		ask(&c.Issuer, "issuer", "Issuer of the platform's token", "issuer")
		ask(&c.Subject, "subject", "Subject of the platform's token", "subject")
	}
}

// faultOf is what a check says about one answer, "" where nothing.
func faultOf(err error, key string) string {
	faults, _ := err.(registration.Faults) //nolint:errorlint // Check returns it bare
	for _, f := range faults {
		if f.Key == key || strings.HasPrefix(f.Key, key+"[") {
			return f.Message + ". " + f.Fix
		}
	}
	return ""
}

// words are the names in an answer, whatever is between them.
func words(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' })
}

// text asks until bad has nothing to say.
func (q *asking) text(to *string, prompt, preset string, bad func(string) string) {
	if *to != "" {
		preset = *to
	}
	if preset != "" {
		prompt += " [" + oneLine(preset) + "]"
	}
	for q.err == nil {
		answer, err := q.ui.ask(q.ctx, prompt+": ")
		if err != nil {
			q.err = fmt.Errorf("asking about the registration: %w", err)
			return
		}
		if answer == "" {
			answer = preset
		}
		reason := bad(answer)
		if reason == "" {
			*to = answer
			return
		}
		for _, line := range wrap(reason, q.ui.screen.width-2) {
			q.ui.note("  " + line)
		}
	}
}

// list asks for names.
func (q *asking) list(to *[]string, prompt string, preset []string, bad func(string) string) {
	text := strings.Join(*to, " ")
	q.text(&text, prompt, strings.Join(preset, " "), bad)
	*to = words(text)
}

func (q *asking) yes(to *bool, question string, preset bool) {
	if q.err != nil {
		return
	}
	answer, err := q.ui.yes(q.ctx, question, preset)
	if err != nil {
		q.err = fmt.Errorf("asking about the registration: %w", err)
	}
	*to = answer
}
