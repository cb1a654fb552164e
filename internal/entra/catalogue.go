package entra

import (
	"strconv"
	"strings"
)

// An Entry explains one AADSTS code to the person who meets it.
type Entry struct {
	Code    int
	Title   string // a few words
	Meaning string // what it means for someone using mcpctl
	Who     Who    // who can fix it
	Fix     string // the exact command or portal step
}

// Who names the person who can resolve an error.
type Who string

// Those who fix sign-in errors.
const (
	You       Who = "you"
	Admin     Who = "an Entra administrator"
	Developer Who = "whoever registered the application"
	Microsoft Who = "nobody: it passes"
)

// Hint returns the meaning and the fix in one line.
func (e Entry) Hint() string {
	switch {
	case e.Who != You && e.Who != Microsoft:
		return e.Meaning + ". This needs " + string(e.Who) + ": " + e.Fix
	case strings.HasPrefix(e.Fix, "mcpctl "):
		return e.Meaning + ". Run: " + e.Fix
	}
	return e.Meaning + ". " + e.Fix
}

// Lookup finds the entry for a code, given as "AADSTS53003" or "53003".
func Lookup(code string) (Entry, bool) {
	n, err := strconv.Atoi(strings.TrimPrefix(strings.ToUpper(strings.TrimSpace(code)), "AADSTS"))
	if err != nil {
		return Entry{}, false
	}
	for _, e := range catalogue {
		if e.Code == n {
			return e, true
		}
	}
	return Entry{}, false
}

// Catalogue returns all entries, ordered by code.
func Catalogue() []Entry { return append([]Entry(nil), catalogue...) }

// catalogue is data, ordered by code; a test checks the order and that each
// entry is complete.
var catalogue = []Entry{
	{50011, "Redirect address not registered", "The app registration does not list the address to which the browser should return", Developer,
		"Entra admin center > App registrations > the client app > Authentication > Add a platform > Mobile and desktop applications > add http://localhost"},
	{50020, "Account from another directory", "The account that signed in does not exist in this tenant", You,
		"Sign in with an account of the tenant, or name yours: mcpctl login URL --tenant TENANT"},
	{50034, "Unknown account", "The account does not exist in this tenant", You,
		"Check the address you typed, or name your tenant: mcpctl login URL --tenant TENANT"},
	{50055, "Password expired", "The account's password has expired", You,
		"Change it at https://mysignins.microsoft.com and then run: mcpctl login URL"},
	{50057, "Account disabled", "The account is disabled", Admin,
		"Entra admin center > Users > the user > Account status"},
	{50058, "No browser session", "A silent sign-in found nobody signed in", You, "mcpctl login URL"},
	{50076, "Multi-factor authentication needed", "The organisation asks for a second factor now", You,
		"Sign in again and complete it: mcpctl login URL"},
	{50078, "Second factor expired", "The second factor is too old for what the organisation asks", You, "mcpctl login URL"},
	{50079, "Second factor not set up", "The account must register a second factor first", You,
		"Register one at https://aka.ms/mfasetup and then run: mcpctl login URL"},
	{50097, "Device sign-in needed", "The organisation accepts only devices that are signed in to it", You,
		"Sign in with a browser on a managed device: mcpctl login URL --browser"},
	{50105, "Not assigned to the application", "The account is not among those who may use this application", Admin,
		"Entra admin center > Enterprise applications > the API app > Users and groups > Add user/group"},
	{50126, "Wrong name or password", "The name or password was wrong", You, "mcpctl login URL"},
	{50158, "Another identity provider must be satisfied", "An external check of the organisation was not completed", You, "mcpctl login URL --browser"},
	{50173, "Sign-in revoked", "The sign-in was revoked, for example by a changed password", You, "mcpctl login URL"},
	{50196, "Request loop", "The same request was made too often and is being refused for a while", Microsoft,
		"Wait five minutes; if it returns, restart the MCP client"},
	{53000, "Device not compliant", "The organisation accepts only compliant devices", You,
		"Bring the device into compliance (Company Portal), then: mcpctl login URL --browser"},
	{53001, "Device not joined", "The organisation accepts only domain-joined devices", You,
		"Use a joined device, then: mcpctl login URL --browser"},
	{53003, "Blocked by Conditional Access", "A Conditional Access policy forbids this sign-in", Admin,
		"Entra admin center > Sign-in logs > the failed sign-in > Conditional Access shows which policy; with a device code, try first: mcpctl login URL --browser"},
	{65001, "Consent missing", "Nobody has agreed that this client may use the API", You,
		"Accept the permissions when signing in (mcpctl login URL), or an administrator grants them: Enterprise applications > the client app > Permissions > Grant admin consent"},
	{65002, "Client not pre-authorized", "A Microsoft client may use only what has pre-authorized it", Developer,
		"App registrations > the API app > Expose an API > Add a client application"},
	{65004, "Consent declined", "The permissions were declined", You, "To accept them: mcpctl login URL"},
	{70016, "Waiting for the sign-in", "Nobody has entered the code yet", You, "Enter the code that is shown"},
	{70018, "Wrong device code", "The code is not one that this authority gave out", You, "mcpctl login URL"},
	{70019, "Device code expired", "Nobody entered the code in time", You, "mcpctl login URL"},
	{70043, "Sign-in too old", "The organisation asks for a new sign-in at intervals", You, "mcpctl login URL"},
	{90009, "Application asks for a token for itself", "Client and API are one registration, which works only with the GUID as scope", Developer,
		"Register a separate client app, or use scopes of the form APP-GUID/NAME"},
	{90014, "Required field missing", "The request lacks a field that the authority needs", Developer, "Report the code and the correlation id as a bug of mcpctl"},
	{90055, "Too many requests", "The tenant makes too many requests", Microsoft, "Wait a few minutes and try again"},
	{90094, "Administrator consent needed", "Only an administrator may grant these permissions", Admin,
		"Enterprise applications > the client app > Permissions > Grant admin consent"},
	{90095, "Administrator consent requested", "Consent was requested and waits for an administrator", Admin,
		"Entra admin center > Enterprise applications > Admin consent requests > approve"},
	{500011, "API not found in the tenant", "The tenant knows no application with the address in the scope", Developer,
		"Check the scope's Application ID URI, or create the service principal: az ad sp create --id API-APP-ID"},
	{500113, "No redirect address registered", "The app registration has no redirect address", Developer,
		"App registrations > the client app > Authentication > Mobile and desktop applications > add http://localhost"},
	{530032, "Blocked by a security policy", "A tenant-wide security policy forbids this sign-in", Admin,
		"Entra admin center > Sign-in logs > the failed sign-in shows which policy"},
	{530036, "Device code sign-ins now forbidden", "This sign-in began with a device code, which the organisation has forbidden since", You,
		"Sign in with a browser: mcpctl login URL --browser"},
	{530084, "Token protection", "The organisation requires tokens that are bound to the device, which command-line clients cannot have", Admin,
		"Exempt the API in the Conditional Access policy that requires token protection"},
	{650053, "Scope not found", "The scope does not exist on the API; a scope without a resource is looked up on Microsoft Graph", Developer,
		"Use the full scope, such as api://API-APP-ID/NAME, as listed under Expose an API"},
	{650057, "Client lacks the permission", "The client app does not list this API among its permissions", Developer,
		"App registrations > the client app > API permissions > Add a permission > My APIs"},
	{700016, "Application not found", "The tenant knows no application with this client id", Developer,
		"Check --client-id and --tenant; the client app must exist in that tenant"},
	{700082, "Sign-in unused for too long", "The sign-in expired because it was not used for 90 days", You, "mcpctl login URL"},
	{900144, "Scope missing", "The request named no scope", You, "Name one: mcpctl login URL --scope api://API-APP-ID/NAME"},
	{7000218, "Public client flows are off", "The app registration is not a public client, so it cannot sign people in without a secret", Developer,
		"App registrations > the client app > Authentication > Allow public client flows > Yes"},
	{9002313, "Malformed request", "The authority could not read the request", Developer, "Check --client-id and --tenant for typing errors"},
	{9010010, "Resource and scope disagree", "The request named a resource that is not the one of its scopes", Developer,
		"Set the API's Application ID URI to the exact MCP URL, or use scopes of its present Application ID URI"},
}
