package cmd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/mcpctl/mcpctl/bridge"
	"github.com/mcpctl/mcpctl/internal/entra"
	"github.com/mcpctl/mcpctl/internal/netconf"
	"github.com/mcpctl/mcpctl/internal/profile"
	"github.com/mcpctl/mcpctl/internal/redact"
	"github.com/mcpctl/mcpctl/tokencache"
)

// loginOptions are the flags of mcpctl login.
type loginOptions struct {
	deps       Deps
	url        string
	deviceCode bool
	browser    bool
	tenant     string
	clientID   string
	scopes     []string
	store      string
	devCA      string
	transport  string
	network    networkFlags
	out        outputFlag
}

func newLogin(deps Deps, run func(context.Context, loginOptions) error) *cobra.Command {
	o := loginOptions{deps: deps}
	c := &cobra.Command{
		Use:     "login URL",
		Short:   "Sign in to an MCP server with Microsoft Entra ID",
		GroupID: "client",
		Long: `Sign in to the MCP server at URL with Microsoft Entra ID.

The server tells which tenant, client and scopes belong to it; they are pinned in
a profile that "mcpctl bridge URL" uses from then on. Flags replace what the
server says. Tokens are kept in a sealed file; its key is in the keyring of the
operating system.

How to reach the server (--proxy, --ca-file, --client-cert) is kept in the profile
as well, because MCP clients start bridges without the variables of a terminal.
Without --proxy it is the proxy variables, else the settings of Windows,
macOS, GNOME or KDE.

With a browser on this machine the sign-in opens there. Without one, or with
--device-code, it shows a code to enter on any device.`,
		Example: `  mcpctl login https://mcp.contoso.com/mcp
  mcpctl login https://mcp.contoso.com/mcp --device-code
  mcpctl login https://mcp.contoso.com/mcp --tenant contoso.com --client-id 11111111-2222-3333-4444-555555555555
  mcpctl login https://mcp.contoso.com/mcp --proxy http://proxy.contoso.com:8080 --ca-file contoso-root.pem`,
		Args: oneURL,
		RunE: func(c *cobra.Command, args []string) error {
			o.url = args[0]
			if o.deviceCode && o.browser {
				return usagef(c, "choose --device-code or --browser, not both")
			}
			return run(c.Context(), o)
		},
	}
	f := c.Flags()
	f.BoolVar(&o.deviceCode, "device-code", false, "sign in with a code on any device")
	f.BoolVar(&o.browser, "browser", false, "sign in with the browser of this machine")
	f.StringVar(&o.tenant, "tenant", "", "`tenant` id or verified domain to sign in to")
	f.StringVar(&o.clientID, "client-id", "", "application `id` of the public client to sign in with")
	f.StringArrayVar(&o.scopes, "scope", nil, "full `scope` to ask for (repeatable)")
	f.StringVar(&o.store, "token-store", "auto", "`store` for the key of the token file: auto, keyring or file")
	f.StringVar(&o.devCA, "dev-ca", "", "CA `file` of a development authority on this machine")
	f.StringVar(&o.transport, "transport", bridge.TransportAuto, "`transport` of bridges to this server: auto, http or sse")
	o.network.add(c)
	o.out.add(c)
	completeValues(c, "token-store", string(tokencache.ModeAuto), string(tokencache.ModeKeyring), string(tokencache.ModeFile))
	completeValues(c, "transport", transports...)
	return c
}

func runLogin(ctx context.Context, o loginOptions) error {
	if _, err := checkEndpoint(o.url); err != nil {
		return &exitError{exitUsage, err}
	}
	mode, err := tokencache.ParseMode(o.store)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	if err := checkTransport(o.transport); err != nil {
		return err
	}
	if o.devCA != "" {
		if o.devCA, err = filepath.Abs(o.devCA); err != nil {
			return err
		}
	}
	if o.deps.Network, err = o.network.settings(o.deps.Now); err != nil {
		return err
	}
	profiles, err := openProfiles(o.deps)
	if err != nil {
		return err
	}
	old, oldErr := profiles.Load(o.url)
	log := slog.New(redact.NewHandler(slog.NewTextHandler(o.deps.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	p, err := pinFor(ctx, o, old.Network, log)
	if err != nil {
		return err
	}
	ui := newLoginUI(o)
	if oldErr == nil {
		ui.changes(profile.Diff(old, profile.Pin{TenantID: p.TenantID, Authority: p.Authority, ClientID: p.ClientID, Scopes: p.Scopes}))
	}
	storeAt, err := storeOptions(p.DevCA != "", log)
	if err != nil {
		return err
	}
	store, err := tokencache.OpenForLogin(ctx, storeAt, mode)
	if err != nil {
		return err
	}
	signIn, err := signInWith(ctx, o, ui, p, store, log)
	if storeErr := store.Err(); err == nil && storeErr != nil {
		err = fmt.Errorf("keeping the tokens: %w", storeErr)
	}
	if err != nil {
		return err
	}
	p.Account = profile.Account{HomeAccountID: signIn.Account.HomeAccountID, Username: signIn.Account.Username}
	p.TokenStore = string(store.Backend())
	p.Transport = o.transport
	p.Network = ui.keepNetwork(ctx, o.deps, p, log)
	if p, err = profiles.Save(p); err != nil {
		return err
	}
	return ui.done(p, signIn)
}

// pinFor decides what the sign-in is for: what the server says, replaced by
// flags where there are any.
// network is what an earlier sign-in says about reaching the server.
func pinFor(ctx context.Context, o loginOptions, network profile.Network, log *slog.Logger) (profile.Profile, error) {
	p := profile.Profile{URL: o.url, ClientID: o.clientID, Scopes: o.scopes, DevCA: o.devCA, Network: network}
	discovered, err := discover(ctx, o, p, log)
	if err != nil {
		return p, err
	}
	authority, err := discovered.Authority(o.tenant, o.devCA)
	if err != nil {
		return p, fmt.Errorf("%w\nRun: mcpctl login %s --tenant TENANT", err, redact.URL(o.url))
	}
	p.Authority, p.TenantID = authority.String(), authority.Tenant()
	if p.ClientID == "" {
		p.ClientID = discovered.ClientID
	}
	if p.ClientID == "" {
		return p, fmt.Errorf("the server at %s does not say which client application to sign in with. Ask its operator for the application (client) id.\nRun: mcpctl login %s --client-id ID", redact.URL(o.url), redact.URL(o.url))
	}
	if !entra.IsGUID(p.ClientID) {
		return p, &exitError{exitUsage, fmt.Errorf("the client id %q is not an application id: it should look like 11111111-2222-3333-4444-555555555555", p.ClientID)}
	}
	if len(p.Scopes) == 0 {
		p.Scopes = discovered.Scopes
	}
	remote, err := url.Parse(o.url)
	if err != nil {
		return p, err
	}
	if p.Scopes, err = entra.CheckScopes(p.Scopes, remote); err != nil {
		return p, fmt.Errorf("%w. Ask the server's operator for the full scope of the server itself.\nRun: mcpctl login %s --scope SCOPE", err, redact.URL(o.url))
	}
	if len(p.Scopes) == 0 {
		return p, fmt.Errorf("the server at %s does not say which scope to ask for. Ask its operator for the full scope, such as api://…/Mcp.Access.\nRun: mcpctl login %s --scope SCOPE", redact.URL(o.url), redact.URL(o.url))
	}
	return p, nil
}

func discover(ctx context.Context, o loginOptions, p profile.Profile, log *slog.Logger) (entra.Discovery, error) {
	client, err := resourceClient(ctx, o.deps, p, log)
	if err != nil {
		return entra.Discovery{}, err
	}
	defer client.CloseIdleConnections()
	d, err := entra.Discover(ctx, client, o.url)
	complete := o.tenant != "" && o.clientID != "" && len(o.scopes) > 0
	switch {
	case err != nil && complete && ctx.Err() == nil && !errors.Is(err, entra.ErrUntrustedMetadata):
		return entra.Discovery{URL: o.url}, nil // the flags say everything
	case errors.As(err, new(*netconf.Error)):
		return d, err // it says what to do
	case errors.As(err, new(*url.Error)) && ctx.Err() == nil:
		return d, fmt.Errorf("%w. Check the address, the network, and that the server is running", err)
	case err != nil:
		return d, err
	case !d.AuthRequired && !complete:
		return d, fmt.Errorf("the server at %s asks for no sign-in.\nRun: mcpctl bridge %s --no-auth", redact.URL(o.url), redact.URL(o.url))
	}
	return d, nil
}

// signInWith runs the flow: the one that was asked for, else the browser where
// there is one, and the browser too where policy forbids device codes.
func signInWith(ctx context.Context, o loginOptions, ui *loginUI, p profile.Profile, store *tokencache.Login, log *slog.Logger) (entra.SignIn, error) {
	p.Account = profile.Account{} // whoever signs in now
	client, err := signInClient(o.deps, p, store, log)
	if err != nil {
		return entra.SignIn{}, err
	}
	defer client.CloseIdleConnections()
	if o.browser || !o.deviceCode && ui.hasBrowser() {
		return client.SignInBrowser(ctx, ui.openBrowser)
	}
	signIn, err := client.SignInDeviceCode(ctx, ui.showCode)
	ui.stopWaiting()
	var failed *entra.Error
	if errors.As(err, &failed) && failed.Kind == entra.KindDeviceCodeBlocked {
		if !o.deviceCode && ui.canOpenBrowser() {
			ui.say("Your organisation " + failed.NoCode + " (" + failed.Code + "). Going on in the browser.")
			return client.SignInBrowser(ctx, ui.openBrowser)
		}
	}
	return signIn, err
}
