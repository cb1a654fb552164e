package fakeentra

import "strings"

// openIDConfiguration is the part of Entra's document that clients read.
type openIDConfiguration struct {
	TokenEndpoint         string   `json:"token_endpoint"`
	TokenAuthMethods      []string `json:"token_endpoint_auth_methods_supported"`
	KeysURI               string   `json:"jwks_uri"`
	ResponseModes         []string `json:"response_modes_supported"`
	SubjectTypes          []string `json:"subject_types_supported"`
	IDTokenAlgorithms     []string `json:"id_token_signing_alg_values_supported"`
	ResponseTypes         []string `json:"response_types_supported"`
	Scopes                []string `json:"scopes_supported"`
	Issuer                string   `json:"issuer"`
	AuthorizationEndpoint string   `json:"authorization_endpoint"`
	DeviceEndpoint        string   `json:"device_authorization_endpoint"`
	Claims                []string `json:"claims_supported"`
	Region                *string  `json:"tenant_region_scope"`
	Cloud                 string   `json:"cloud_instance_name"`
	CloudGraphHost        string   `json:"cloud_graph_host_name"`
	GraphHost             string   `json:"msgraph_host"`
}

func (x *exchange) discoveryV2() (any, *Error) {
	return x.configuration(x.templateTenant()+"/v2.0", "/discovery/v2.0/keys")
}

// discoveryV1 names the v2 endpoints, unlike Entra: there are no v1 endpoints
// here. What verifiers of v1 tokens read, issuer and jwks_uri, is as at Entra.
func (x *exchange) discoveryV1() (any, *Error) {
	return x.configuration(x.templateTenant()+"/", "/discovery/keys")
}

// templateTenant is the tenant as the issuer names it: under the aliases the
// literal {tenantid}, which the reader has to replace by a token's tid.
func (x *exchange) templateTenant() string {
	if x.alias() {
		return x.s.base + "/{tenantid}"
	}
	return x.s.Authority()
}

func (x *exchange) alias() bool {
	t := strings.ToLower(x.r.PathValue("tenant"))
	return t == "common" || t == "organizations"
}

func (x *exchange) configuration(issuer, keys string) (any, *Error) {
	at := x.s.Authority()
	if x.alias() {
		at = x.s.base + "/" + x.r.PathValue("tenant")
	}
	doc := openIDConfiguration{
		TokenEndpoint:         at + "/oauth2/v2.0/token",
		TokenAuthMethods:      []string{"client_secret_post", "private_key_jwt", "client_secret_basic"},
		KeysURI:               at + keys,
		ResponseModes:         []string{"query", "fragment", "form_post"},
		SubjectTypes:          []string{"pairwise"},
		IDTokenAlgorithms:     []string{"RS256"},
		ResponseTypes:         []string{"code"},
		Scopes:                oidcScopes,
		Issuer:                issuer,
		AuthorizationEndpoint: at + "/oauth2/v2.0/authorize",
		DeviceEndpoint:        at + "/oauth2/v2.0/devicecode",
		Claims: []string{"sub", "iss", "cloud_instance_name", "cloud_instance_host_name", "cloud_graph_host_name", "msgraph_host",
			"aud", "exp", "iat", "auth_time", "acr", "nonce", "preferred_username", "name", "tid", "ver", "at_hash", "c_hash", "email"},
		Cloud:          x.r.Host,
		CloudGraphHost: "graph.windows.net",
		GraphHost:      "graph.microsoft.com",
	}
	return doc, nil
}

// instance says that this host is a cloud of its own.
func (x *exchange) instance() (any, *Error) {
	host := strings.TrimPrefix(x.s.base, "https://")
	return map[string]any{
		"tenant_discovery_endpoint": x.s.Authority() + "/v2.0/.well-known/openid-configuration",
		"api-version":               "1.1",
		"metadata": []map[string]any{
			{"preferred_network": host, "preferred_cache": host, "aliases": []string{host}},
		},
	}, nil
}

func (x *exchange) keysV2() (any, *Error) { return x.publishKeys(x.templateTenant() + "/v2.0") }
func (x *exchange) keysV1() (any, *Error) { return x.publishKeys("") }

func (x *exchange) publishKeys(issuer string) (any, *Error) {
	keys := make([]jwk, 0, len(x.s.keys))
	for _, k := range x.s.keys {
		keys = append(keys, k.public(x.r.Host, issuer))
	}
	return map[string]any{"keys": keys}, nil
}
