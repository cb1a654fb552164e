package registration

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// unverifiable are domains of hosting services, with names that the customer
// can't prove to own.
var unverifiable = []string{
	"azurewebsites.net", "azurecontainerapps.io", "azure-api.net", "cloudapp.azure.com", "azurestaticapps.net", "azurefd.net", "trafficmanager.net",
	"devtunnels.ms", "ngrok.io", "ngrok.app", "ngrok-free.app", "ngrok-free.dev", "trycloudflare.com", "loca.lt",
	"amazonaws.com", "awsapprunner.com", "cloudfront.net", "on.aws", "run.app", "appspot.com", "vercel.app", "netlify.app", "herokuapp.com",
	"fly.dev", "onrender.com", "railway.app", "workers.dev", "github.dev", "ts.net",
}

// Warnings say what of filled answers may be refused by Entra or is less than
// safe, one sentence or two each.
func (a Answers) Warnings() []string {
	var list []string
	u, err := url.Parse(a.PublicURL)
	if err == nil && a.AppIDURI == AppIDURIPublicURL {
		host := u.Hostname()
		i := slices.IndexFunc(unverifiable, func(d string) bool { return host == d || strings.HasSuffix(host, "."+d) })
		switch {
		case i >= 0:
			list = append(list, fmt.Sprintf("Nobody can verify %s for a tenant. Entra makes an exception for registrations with version 2 tokens, such as this, "+
				"unless the tenant's policy forbids that: reports differ. If it refuses the Application ID URI, use a domain of your own, or --app-id-uri api.", unverifiable[i]))
		case !strings.Contains(host, "."):
			list = append(list, fmt.Sprintf("%s is no full domain name, and Entra refuses most of those as an Application ID URI. Use a name on a verified domain, or --app-id-uri api.", host))
		default:
			list = append(list, fmt.Sprintf("%s should be on a domain that the tenant has verified: az rest --method get --url %s/v1.0/domains lists them. If Entra refuses it, verify the domain or use --app-id-uri api.",
				host, clouds[a.Cloud].graph))
		}
	}
	if a.AppIDURI == AppIDURIAPI {
		list = append(list, "With --app-id-uri api only clients that leave out the parameter resource can sign in by themselves (AADSTS9010010 otherwise). Those that connect through mcpctl bridge can.")
	}
	if a.Credential.Kind == CredentialSecret {
		list = append(list, "A secret can be copied and expires. A managed identity or a federated credential can't and doesn't, where the platform has them.")
	}
	if !a.AssignmentRequired {
		list = append(list, "Everybody in the tenant can sign in, guests too. --assignment-required admits only those who were assigned.")
	}
	if a.AssignmentRequired && len(a.Roles) == 0 {
		list = append(list, "Without app roles people are assigned to the role Default Access.")
	}
	return list
}
