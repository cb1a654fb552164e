package fakeentra_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/mcpctl/mcpctl/internal/fakeentra"
)

func TestAccessTokensByVersion(t *testing.T) {
	c := newClock()
	srv, sample := start(t, fakeentra.Options{Now: c.Now})
	api := fakeentra.App{Name: "API", Scopes: []fakeentra.Scope{{Name: "Do"}}, Roles: []fakeentra.Role{{Name: "Writer"}},
		ClientID: "77777777-7777-4777-8777-777777777777", PreAuthorized: []string{sample.Client.ClientID}}
	ada := sample.Ada
	ada.Roles = map[string][]string{api.ClientID: {"Writer", "a role that the API lacks"}}
	if _, err := srv.AddPerson(ada); err != nil {
		t.Fatal(err)
	}

	for version, want := range map[int]map[string]any{
		1: {"ver": "1.0", "iss": srv.IssuerV1(), "aud": "api://" + api.ClientID, "appid": sample.Client.ClientID, "appidacr": "0",
			"unique_name": ada.UPN, "upn": ada.UPN, "given_name": "Ada", "azp": nil, "preferred_username": nil},
		2: {"ver": "2.0", "iss": srv.IssuerV2(), "aud": api.ClientID, "azp": sample.Client.ClientID, "azpacr": "0",
			"preferred_username": ada.UPN, "appid": nil, "unique_name": nil, "upn": nil},
	} {
		t.Run(fmt.Sprint("v", version), func(t *testing.T) {
			api.TokenVersion = version
			register(t, srv, api)
			r := signIn(t, srv, sample.Client.ClientID, "api://"+api.ClientID+"/.default openid", ada.UPN)
			if want := "api://" + api.ClientID + "/Do api://" + api.ClientID + "/.default"; r.Scope != want {
				t.Errorf("scope %q, want %q", r.Scope, want)
			}
			h, claims := verify(t, srv, r.AccessToken)
			if h.KeyID != srv.SigningKeyID() || h.ExtraHeaders["typ"] != "JWT" || h.ExtraHeaders["x5t"] != srv.SigningKeyID() {
				t.Errorf("header %+v", h)
			}
			for name, value := range want {
				if claims[name] != value {
					t.Errorf("%s is %v, want %v", name, claims[name], value)
				}
			}
			for name, value := range map[string]any{
				"tid": srv.TenantID(), "oid": ada.OID, "name": "Ada Lovelace", "scp": "Do", "roles": []any{"Writer"},
				"iat": float64(c.Now().Unix()), "nbf": float64(c.Now().Unix() - 300), "exp": float64(c.Now().Unix() + 75*60),
				"idtyp": nil, "xms_cc": nil, "groups": nil,
			} {
				if !reflect.DeepEqual(claims[name], value) {
					t.Errorf("%s is %v, want %v", name, claims[name], value)
				}
			}
			for _, name := range []string{"uti", "aio", "rh", "sub"} {
				if s, _ := claims[name].(string); s == "" {
					t.Errorf("no %s", name)
				}
			}
			_, id := verify(t, srv, r.IDToken)
			if id["sub"] == claims["sub"] {
				t.Error("sub is the same at two apps")
			}
		})
	}
}

func TestGroupsAndOverage(t *testing.T) {
	srv, sample := start(t, fakeentra.Options{})
	for _, n := range []int{0, 3, 200, 201} {
		p := sample.Grace
		p.Groups = make([]string, n)
		for i := range p.Groups {
			p.Groups[i] = fmt.Sprintf("00000000-0000-4000-8000-%012d", i)
		}
		if _, err := srv.AddPerson(p); err != nil {
			t.Fatal(err)
		}
		_, claims := verify(t, srv, signIn(t, srv, sample.Client.ClientID, sample.Scope(), p.UPN).AccessToken)
		groups, _ := claims["groups"].([]any)
		_, overage := claims["_claim_names"]
		if n <= 200 && (len(groups) != n || overage) || n > 200 && (len(groups) != 0 || !overage) {
			t.Errorf("%d groups: %d in the token, overage %v", n, len(groups), overage)
		}
		if overage && !strings.Contains(fmt.Sprint(claims["_claim_sources"]), p.OID+"/getMemberObjects") {
			t.Errorf("sources %v", claims["_claim_sources"])
		}
	}
}

func TestLifetimesAndCAE(t *testing.T) {
	srv, sample := start(t, fakeentra.Options{})
	plain := signIn(t, srv, sample.Client.ClientID, sample.Scope()+" offline_access", sample.Ada.UPN)
	if *plain.ExpiresIn != 75*60 || plain.RefreshIn != nil {
		t.Errorf("plain: %+v", plain)
	}
	form := params("client_id", sample.Client.ClientID, "grant_type", "refresh_token", "refresh_token", plain.RefreshToken, "scope", sample.Scope())
	cae := post(t, srv, "token", with(form, "claims", `{"access_token":{"xms_cc":{"values":["cp1"]}}}`))
	if *cae.ExpiresIn != 26*3600 || cae.RefreshIn == nil || *cae.RefreshIn != 13*3600 {
		t.Errorf("CAE: %+v", cae)
	}
	srv.SetLifetimes(fakeentra.Lifetimes{AccessToken: 302 * time.Second, RefreshIn: time.Second})
	short := post(t, srv, "token", form)
	if *short.ExpiresIn != 302 || short.RefreshIn == nil || *short.RefreshIn != 1 {
		t.Errorf("short: %+v", short)
	}
}

func TestStepUpHoldsForTheSession(t *testing.T) {
	srv, sample := start(t, fakeentra.Options{})
	challenge := `{"access_token":{"acrs":{"essential":true,"value":"c1"}}}`
	dc := post(t, srv, "devicecode", params("client_id", sample.Client.ClientID, "scope", sample.Scope()))
	if err := srv.ApproveDevice(dc.UserCode, sample.Ada.UPN); err != nil {
		t.Fatal(err)
	}
	r := post(t, srv, "token", params("client_id", sample.Client.ClientID, "grant_type", "device_code", "device_code", dc.DeviceCode,
		"scope", sample.Scope()+" offline_access", "claims", challenge))
	form := params("client_id", sample.Client.ClientID, "grant_type", "refresh_token", "refresh_token", r.RefreshToken, "scope", sample.Scope())
	again := post(t, srv, "token", with(form, "claims", challenge))
	if again.Error != "" {
		t.Fatal(again.Description)
	}
	if _, claims := verify(t, srv, again.AccessToken); !reflect.DeepEqual(claims["acrs"], []any{"c1"}) {
		t.Errorf("acrs %v", claims["acrs"])
	}
	refusal := post(t, srv, "token", with(form, "claims", strings.Replace(challenge, "c1", "c2", 1)))
	refused(t, refusal, 400, "interaction_required", 50076)
	if !strings.Contains(refusal.Claims, `"c2"`) {
		t.Errorf("claims %q", refusal.Claims)
	}
}

func TestGraphTokensVerifyNowhere(t *testing.T) {
	srv, sample := start(t, fakeentra.Options{})
	r := signIn(t, srv, sample.Client.ClientID, "User.Read openid", sample.Ada.UPN)
	if r.Scope != "User.Read openid" {
		t.Errorf("scope %q", r.Scope)
	}
	minted, err := srv.MintToken(fakeentra.TokenSpec{API: fakeentra.GraphClientID, Person: sample.Ada.UPN})
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{r.AccessToken, minted} {
		tok, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256})
		if err != nil {
			t.Fatal(err)
		}
		if tok.Headers[0].ExtraHeaders["nonce"] == nil && tok.Headers[0].Nonce == "" {
			t.Error("no nonce in the header")
		}
		if tok.Claims(publishedKeys(t, srv), new(map[string]any)) == nil {
			t.Error("the signature verifies")
		}
	}
}

func publishedKeys(t *testing.T, srv *fakeentra.Server) jose.JSONWebKeySet {
	t.Helper()
	_, body := send(t, srv, "GET", srv.Authority()+"/discovery/v2.0/keys", nil)
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(body), &set); err != nil {
		t.Fatal(err)
	}
	return set
}

func TestRotateKeys(t *testing.T) {
	srv, sample := start(t, fakeentra.Options{})
	token := signIn(t, srv, sample.Client.ClientID, sample.Scope(), sample.Ada.UPN).AccessToken
	old := srv.SigningKeyID()
	if err := srv.RotateKeys(false); err != nil {
		t.Fatal(err)
	}
	if srv.SigningKeyID() == old || len(publishedKeys(t, srv).Keys) != 2 {
		t.Error("the key was not rolled over")
	}
	verify(t, srv, token)
	if err := srv.RotateKeys(true); err != nil {
		t.Fatal(err)
	}
	if set := publishedKeys(t, srv); len(set.Keys) != 1 || len(set.Key(old)) != 0 {
		t.Error("the old key is still published")
	}
	verify(t, srv, signIn(t, srv, sample.Client.ClientID, sample.Scope(), sample.Ada.UPN).AccessToken)
}

func TestClockSkewShowsInTokensAndDate(t *testing.T) {
	c := newClock()
	srv, sample := start(t, fakeentra.Options{Now: c.Now})
	srv.SetSkew(10 * time.Minute)
	r := signIn(t, srv, sample.Client.ClientID, sample.Scope(), sample.Ada.UPN)
	_, claims := verify(t, srv, r.AccessToken)
	if claims["iat"] != float64(c.Now().Add(10*time.Minute).Unix()) {
		t.Errorf("iat %v", claims["iat"])
	}
	resp, _ := send(t, srv, "GET", srv.Authority()+"/discovery/v2.0/keys", nil)
	if resp.Header.Get("Date") != "Tue, 24 Nov 2026 09:10:00 GMT" {
		t.Errorf("date %q", resp.Header.Get("Date"))
	}
}

func TestMintToken(t *testing.T) {
	c := newClock()
	srv, sample := start(t, fakeentra.Options{Now: c.Now})
	mint := func(spec fakeentra.TokenSpec) string {
		t.Helper()
		if spec.API == "" {
			spec.API = sample.API.ClientID
		}
		token, err := srv.MintToken(spec)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}

	t.Run("as the authority would", func(t *testing.T) {
		_, claims := verify(t, srv, mint(fakeentra.TokenSpec{Person: sample.Ada.UPN, Scopes: []string{"Mcp.Access"}, CAE: true, Lifetime: -time.Minute}))
		for name, want := range map[string]any{
			"ver": "2.0", "aud": sample.API.ClientID, "scp": "Mcp.Access", "roles": []any{"Writer"}, "idtyp": "user",
			"xms_cc": []any{"cp1"}, "exp": float64(c.Now().Unix() - 60),
		} {
			if !reflect.DeepEqual(claims[name], want) {
				t.Errorf("%s is %v, want %v", name, claims[name], want)
			}
		}
	})
	t.Run("the other version, app-only", func(t *testing.T) {
		_, claims := verify(t, srv, mint(fakeentra.TokenSpec{API: sample.API.IDURIs[0], Version: 1, Roles: []string{"Writer"}, Client: sample.Client.ClientID}))
		if claims["iss"] != srv.IssuerV1() || claims["aud"] != sample.API.IDURIs[0] || claims["idtyp"] != "app" || claims["scp"] != nil || claims["oid"] != claims["sub"] {
			t.Errorf("claims %v", claims)
		}
	})
	t.Run("ID token", func(t *testing.T) {
		_, claims := verify(t, srv, mint(fakeentra.TokenSpec{ID: true, Client: sample.Client.ClientID, Person: sample.Ada.UPN, Claims: map[string]any{"nonce": "n"}}))
		if claims["aud"] != sample.Client.ClientID || claims["nonce"] != "n" {
			t.Errorf("claims %v", claims)
		}
	})
	t.Run("overrides", func(t *testing.T) {
		h, claims := verify(t, srv, mint(fakeentra.TokenSpec{Person: sample.Ada.UPN,
			Claims: map[string]any{"tid": "elsewhere", "exp": nil}, Header: map[string]any{"x5t": nil}}))
		if _, has := claims["exp"]; has || claims["tid"] != "elsewhere" || h.ExtraHeaders["x5t"] != nil {
			t.Errorf("header %v, claims %v", h, claims)
		}
	})
	t.Run("foreign keys and algorithms", func(t *testing.T) {
		for _, tc := range []struct {
			alg    jose.SignatureAlgorithm
			sign   any
			verify any
		}{
			{jose.RS256, rsaKey, &rsaKey.PublicKey},
			{jose.PS256, rsaKey, &rsaKey.PublicKey},
			{jose.ES256, ecKey, &ecKey.PublicKey},
			{jose.HS256, []byte(strings.Repeat("k", 32)), []byte(strings.Repeat("k", 32))},
		} {
			token := mint(fakeentra.TokenSpec{Person: sample.Ada.UPN, Key: tc.sign, Header: map[string]any{"alg": string(tc.alg)}})
			tok, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{tc.alg})
			if err != nil {
				t.Fatal(err)
			}
			if err := tok.Claims(tc.verify, new(map[string]any)); err != nil {
				t.Errorf("%s: %v", tc.alg, err)
			}
		}
		if token := mint(fakeentra.TokenSpec{Header: map[string]any{"alg": "none"}}); !strings.HasSuffix(token, ".") {
			t.Errorf("alg none is signed: %s", token)
		}
	})
	t.Run("refusals", func(t *testing.T) {
		for _, spec := range []fakeentra.TokenSpec{
			{API: "api://nobody"},
			{API: sample.API.ClientID, Person: "nobody"},
			{API: sample.API.ClientID, ID: true},
			{API: sample.API.ClientID, Header: map[string]any{"alg": "ES256"}},
			{API: sample.API.ClientID, Header: map[string]any{"alg": "RS1"}},
		} {
			if token, err := srv.MintToken(spec); err == nil {
				t.Errorf("%+v: minted %s", spec, token)
			}
		}
	})
}

func TestOnBehalfOfRefusals(t *testing.T) {
	c := newClock()
	srv, sample := start(t, fakeentra.Options{Now: c.Now})
	api := middleTier(t, srv, nil)
	foreign, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	good := fakeentra.TokenSpec{API: api.ClientID, Person: sample.Ada.UPN, Scopes: []string{"Access"}}
	change := func(f func(*fakeentra.TokenSpec)) fakeentra.TokenSpec {
		spec := good
		f(&spec)
		return spec
	}
	for _, tc := range []struct {
		name   string
		spec   fakeentra.TokenSpec
		scope  string
		aadsts int
	}{
		{"foreign key", change(func(s *fakeentra.TokenSpec) { s.Key = foreign }), "", 50013},
		{"expired", change(func(s *fakeentra.TokenSpec) { s.Lifetime = -time.Minute }), "", 500133},
		{"no expiry", change(func(s *fakeentra.TokenSpec) { s.Claims = map[string]any{"exp": nil} }), "", 500133},
		{"app-only", change(func(s *fakeentra.TokenSpec) { s.Person = "" }), "", 7000114},
		{"for another API", change(func(s *fakeentra.TokenSpec) { s.API = sample.API.ClientID }), "", 500131},
		{"two audiences", change(func(s *fakeentra.TokenSpec) { s.Claims = map[string]any{"aud": []string{api.ClientID, "x"}} }), "", 500131},
		{"unknown person", change(func(s *fakeentra.TokenSpec) { s.Claims = map[string]any{"oid": "x"} }), "", 50034},
		{"no downstream consent", good, "https://graph.microsoft.com/Mail.Read", 65001},
	} {
		t.Run(tc.name, func(t *testing.T) {
			token, err := srv.MintToken(tc.spec)
			if err != nil {
				t.Fatal(err)
			}
			if tc.scope == "" {
				tc.scope = "https://graph.microsoft.com/User.Read"
			}
			r := post(t, srv, "token", params("client_id", api.ClientID, "client_secret", api.Secret, "scope", tc.scope, "assertion", token,
				"grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer", "requested_token_use", "on_behalf_of"))
			refused(t, r, 400, "invalid_grant", tc.aadsts)
		})
	}
}

func TestClientInfoNamesTheAccount(t *testing.T) {
	srv, sample := start(t, fakeentra.Options{})
	r := signIn(t, srv, sample.Client.ClientID, sample.Scope()+" openid", sample.Ada.UPN)
	b, err := base64.RawURLEncoding.DecodeString(r.ClientInfo)
	if err != nil || string(b) != fmt.Sprintf(`{"uid":%q,"utid":%q}`, sample.Ada.OID, srv.TenantID()) {
		t.Errorf("client_info %q, %v", b, err)
	}
}
