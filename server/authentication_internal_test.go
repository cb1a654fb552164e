package server

import "testing"

// What a check and the server verify tokens with comes from one place, and
// leaves out nothing that the configuration says.
func TestAuthOptions(t *testing.T) {
	c := Config{
		PublicURL: "https://mcp.contoso.com/mcp", Policy: []PolicyRule{{Allow: `"g" in user.groups`}}, Limits: Limits{Token: 8 << 10},
		Entra: Entra{
			Cloud: "usgov", TenantIDs: []string{"t"}, ClientID: "api", RequiredScopes: []string{"s"}, RequiredRoles: []string{"r"},
			AllowedClients: []string{"c"}, ClaimsMapping: true,
		},
	}
	o := c.authOptions()
	if o.Cloud != "usgov" || len(o.TenantIDs) != 1 || len(o.Audiences) != 3 || len(o.RequiredScopes) != 1 || len(o.RequiredRoles) != 1 ||
		len(o.AllowedClients) != 1 || !o.ClaimsMapping || !o.NeedGroups || o.MaxTokenBytes != 8<<10 {
		t.Errorf("got %+v", o)
	}
}
