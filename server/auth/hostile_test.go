package auth

import (
	"bytes"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"
)

// hostileToken is a token that must be refused, and by which rule. Unless the
// case is about the signature, the token is properly signed, so that nothing but
// the rule under test stands in its way.
type hostileToken struct {
	name    string
	raw     string
	rule    Rule
	reason  string // part of the description
	options func(*Options)
}

type m = map[string]any

// hostileTokens is the table. Cases with rules of status 403 are in it too.
func hostileTokens() []hostileToken {
	good := v2Token().sign()
	parts := strings.Split(good, ".")
	header, payload, signature := parts[0], parts[1], parts[2]
	goodHeader, goodClaims := mustJSON(v2Token().header), mustJSON(v2Token().claims)
	other := v2Token()
	other.key = otherKey()
	v2 := func(c m) string { return v2Token().with(c).sign() }
	v1 := func(c m) string { return v1Token().with(c).sign() }
	app := func(c m) string { return appToken().with(c).sign() }
	head := func(h m) string { return v2Token().withHeader(h).sign() }
	rawHead := func(h string) string { return signRaw(testKey(), h, goodClaims) }
	rawBody := func(p string) string { return signRaw(testKey(), goodHeader, p) }
	rewrite := func(old, replacement string) string { return v2Token().rewrite(old, replacement) }
	at := func(d time.Duration) int64 { return start.Add(d).Unix() }
	publicDER, _ := x509.MarshalPKIXPublicKey(&testKey().PublicKey)

	hmacSigned := func(alg string, key []byte) string {
		input := b64([]byte(`{"typ":"JWT","alg":"`+alg+`","kid":"kid-1"}`)) + "." + payload
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(input))
		return input + "." + b64(mac.Sum(nil))
	}

	return []hostileToken{
		// Outer form.
		{"empty", "", RuleTokenForm, "is empty", nil},
		{"opaque", "EwBgA8l6BAAUkjAqbVn3QWVvG8W0", RuleTokenForm, "opaque", nil},
		{"two parts", header + "." + payload, RuleTokenForm, "three parts", nil},
		{"four parts", good + ".AAAA", RuleTokenForm, "three parts", nil},
		{"six parts", good + ".a.b.c", RuleTokenForm, "three parts", nil},
		{"a thousand dots", strings.Repeat(".", 1000), RuleTokenForm, "three parts", nil},
		{"encrypted", header + ".AAAA.AAAA.AAAA.AAAA", RuleEncrypted, "JWE", nil},
		{"JSON serialization", `{"payload":"` + payload + `","signatures":[{"protected":"` + header + `","signature":"` + signature + `"}]}`, RuleTokenForm, "JSON Serialization", nil},
		{"leading space", " " + good, RuleTokenSpace, "white space", nil},
		{"trailing newline", good + "\n", RuleTokenSpace, "white space", nil},
		{"line break inside the signature", good[:len(good)-8] + "\r\n" + good[len(good)-8:], RuleTokenSpace, "white space", nil},
		{"tab inside the payload", header + "." + payload[:5] + "\t" + payload[5:] + "." + signature, RuleTokenSpace, "white space", nil},
		{"form feed", good + "\f", RuleTokenSpace, "white space", nil},
		{"with its scheme", "Bearer " + good, RuleTokenSpace, "white space", nil},
		{"two tokens", good + " " + good, RuleTokenSpace, "white space", nil},
		{"in quotation marks", `"` + good + `"`, RuleEncoding, "header is not base64url", nil},
		{"padded header", signParts(testKey(), header+"=", payload), RuleEncoding, "header is not base64url", nil},
		{"padded signature", good + "==", RuleEncoding, "signature is not base64url", nil},
		{"standard alphabet", header + "." + strings.Repeat("+/", 8) + "." + signature, RuleEncoding, "payload is not base64url", nil},
		{"non-canonical signature", good[:len(good)-1] + nextBase64(good[len(good)-1]), RuleEncoding, "signature is not base64url", nil},
		{"non-ASCII", header + ".päyload." + signature, RuleEncoding, "payload is not base64url", nil},
		{"NUL byte", header + "." + payload + "\x00." + signature, RuleEncoding, "payload is not base64url", nil},
		{"percent-encoded", strings.Replace(good, ".", "%2e", 1), RuleTokenForm, "three parts", nil},
		{"no header", "." + payload + "." + signature, RuleTokenForm, "header is empty", nil},
		{"no payload", header + ".." + signature, RuleTokenForm, "payload is empty", nil},
		{"no signature", header + "." + payload + ".", RuleTokenForm, "signature is empty", nil},
		{"too large", v2(m{"filler": strings.Repeat("x", DefaultMaxTokenBytes)}), RuleTokenTooLarge, "this server takes 32768", nil},

		// Header.
		{"header not JSON", rawHead("header"), RuleHeaderJSON, "not valid JSON", nil},
		{"header an array", rawHead(`["RS256"]`), RuleHeaderJSON, "not a JSON object", nil},
		{"header null", rawHead(`null`), RuleHeaderJSON, "not a JSON object", nil},
		{"header cut short", rawHead(goodHeader[:len(goodHeader)-1]), RuleHeaderJSON, "ends early", nil},
		{"data after the header", rawHead(goodHeader + `{}`), RuleHeaderJSON, "after the JSON object", nil},
		{"header with a BOM", rawHead("\ufeff" + goodHeader), RuleHeaderJSON, "not valid JSON", nil},
		{"header not UTF-8", rawHead("{\"alg\":\"RS256\",\"kid\":\"\xff\"}"), RuleHeaderJSON, "UTF-8", nil},
		{"header with two algorithms", rawHead(`{"alg":"none","typ":"JWT","kid":"kid-1","alg":"RS256"}`), RuleDuplicateName, "'alg' occurs twice", nil},
		{"header with two key ids", rawHead(`{"alg":"RS256","kid":"kid-2","kid":"kid-1"}`), RuleDuplicateName, "'kid' occurs twice", nil},
		{"header with Alg and alg", rawHead(`{"Alg":"none","alg":"RS256","kid":"kid-1"}`), RuleNameCase, "different case", nil},
		{"header with ALG only", rawHead(`{"ALG":"RS256","kid":"kid-1"}`), RuleAlgorithm, "no algorithm", nil},
		{"no algorithm", head(m{"alg": nil}), RuleAlgorithm, "no algorithm", nil},
		{"algorithm a number", head(m{"alg": 256}), RuleAlgorithm, "no algorithm", nil},
		{"algorithm a list", head(m{"alg": []string{"RS256"}}), RuleAlgorithm, "no algorithm", nil},
		{"alg none", b64([]byte(`{"alg":"none","typ":"JWT","kid":"kid-1"}`)) + "." + payload + ".AA", RuleAlgorithm, "'none'", nil},
		{"alg None", head(m{"alg": "None"}), RuleAlgorithm, "'None'", nil},
		{"alg rs256", head(m{"alg": "rs256"}), RuleAlgorithm, "'rs256'", nil},
		{"alg HS256 with the public key's DER", hmacSigned("HS256", publicDER), RuleAlgorithm, "'HS256'", nil},
		{"alg HS256 with an empty key", hmacSigned("HS256", nil), RuleAlgorithm, "'HS256'", nil},
		{"alg RS384", head(m{"alg": "RS384"}), RuleAlgorithm, "'RS384'", nil},
		{"alg RS512", head(m{"alg": "RS512"}), RuleAlgorithm, "'RS512'", nil},
		{"alg PS256", head(m{"alg": "PS256"}), RuleAlgorithm, "'PS256'", nil},
		{"alg ES256", head(m{"alg": "ES256"}), RuleAlgorithm, "'ES256'", nil},
		{"alg EdDSA", head(m{"alg": "EdDSA"}), RuleAlgorithm, "'EdDSA'", nil},
		{"HS256 named RS256", hmacSigned("RS256", publicDER), RuleSignature, "signature does not match", nil},
		{"crit unknown", head(m{"crit": []string{"exp"}}), RuleCritical, "crit", nil},
		{"crit empty", head(m{"crit": []string{}}), RuleCritical, "crit", nil},
		{"crit b64", head(m{"crit": []string{"b64"}, "b64": false}), RuleCritical, "crit", nil},
		{"crit null", rawHead(`{"alg":"RS256","kid":"kid-1","crit":null}`), RuleCritical, "crit", nil},
		{"jwk of the attacker", signedWith(otherKey(), m{"jwk": publicJWK("kid-1", &otherKey().PublicKey)}), RuleEmbeddedKey, "(jwk)", nil},
		{"jku", head(m{"jku": "https://evil.example/keys"}), RuleEmbeddedKey, "(jku)", nil},
		{"x5u", head(m{"x5u": "https://evil.example/cert"}), RuleEmbeddedKey, "(x5u)", nil},
		{"x5c", head(m{"x5c": []string{"MIIB"}}), RuleEmbeddedKey, "(x5c)", nil},
		{"jwk null", rawHead(`{"alg":"RS256","kid":"kid-1","jwk":null}`), RuleEmbeddedKey, "(jwk)", nil},
		{"b64 false without crit", head(m{"b64": false}), RuleHeaderParam, "b64", nil},
		{"compressed", head(m{"zip": "DEF"}), RuleHeaderParam, "zip", nil},
		{"nested", head(m{"cty": "JWT"}), RuleHeaderParam, "cty", nil},
		{"enc in a signed token", head(m{"enc": "A256GCM"}), RuleHeaderParam, "enc", nil},
		{"DPoP proof", head(m{"typ": "dpop+jwt"}), RuleType, "typ", nil},
		{"logout token", head(m{"typ": "logout+jwt"}), RuleType, "typ", nil},
		{"typ a number", head(m{"typ": 1}), RuleType, "typ", nil},
		{"no key id", head(m{"kid": nil}), RuleKeyID, "kid", nil},
		{"key id empty", head(m{"kid": ""}), RuleKeyID, "kid", nil},
		{"key id a number", head(m{"kid": 1}), RuleKeyID, "kid", nil},
		{"key id endless", head(m{"kid": strings.Repeat("k", 5000)}), RuleKeyID, "kid", nil},
		{"key id a path", head(m{"kid": "../../../../dev/null"}), RuleUnknownKey, "'../../../../dev/null'", nil},
		{"key id with SQL", head(m{"kid": `x" OR "1"="1`}), RuleUnknownKey, "'x' OR '1'='1'", nil},

		// Payload.
		{"payload not JSON", rawBody("payload"), RulePayloadJSON, "not valid JSON", nil},
		{"payload a string", rawBody(`"payload"`), RulePayloadJSON, "not a JSON object", nil},
		{"payload cut short", rawBody(goodClaims[:len(goodClaims)-1]), RulePayloadJSON, "ends early", nil},
		{"two payloads", rawBody(goodClaims + goodClaims), RulePayloadJSON, "after the JSON object", nil},
		{"garbage after the payload", rawBody(goodClaims + "x"), RulePayloadJSON, "after the JSON object", nil},
		{"trailing comma", rewrite(`"ver":"2.0"}`, `"ver":"2.0",}`), RulePayloadJSON, "not valid JSON", nil},
		{"comment", rewrite(`"ver":`, `/**/"ver":`), RulePayloadJSON, "not valid JSON", nil},
		{"single quotes", rewrite(`"ver":"2.0"`, `'ver':'2.0'`), RulePayloadJSON, "not valid JSON", nil},
		{"payload not UTF-8", rewrite("Ada", "\xc3\x28"), RulePayloadJSON, "UTF-8", nil},
		{"deep nesting", rewrite(`"ver":`, `"deep":`+strings.Repeat("[", 50)+strings.Repeat("]", 50)+`,"ver":`), RulePayloadJSON, "nested deeper", nil},
		{"two audiences", rewrite(`"aud":`, `"aud":"other","aud":`), RuleDuplicateName, "'aud' occurs twice", nil},
		{"two equal expiries", rewrite(`"exp":`, `"exp":1,"exp":`), RuleDuplicateName, "'exp' occurs twice", nil},
		{"duplicate by escape", rewrite(`"oid":`, `"\u006fid":"x","oid":`), RuleDuplicateName, "'oid' occurs twice", nil},
		{"duplicate inside a claim", rewrite(`"ver":`, `"x":{"a":1,"a":2},"ver":`), RuleDuplicateName, "'a' occurs twice", nil},
		{"oid and OID", rewrite(`"oid":`, `"OID":"x","oid":`), RuleNameCase, "different case", nil},
		{"scp and Scp after it", rewrite(`"ver":`, `"Scp":"Admin","ver":`), RuleNameCase, "'Scp'", nil},
		{"Roles and ROLES", rewrite(`"ver":`, `"Roles":[],"ROLES":[],"ver":`), RuleNameCase, "different case", nil},
		{"scp with a long s", rewrite(`"ver":`, `"ſcp":"Admin","ver":`), RuleNameCase, "different case", nil},
		{"AUD only", rewrite(`"aud":`, `"AUD":`), RuleAudience, "does not say for whom", nil},

		// Claim types.
		{"expiry a string", v2(m{"exp": "1795000000"}), RuleClaimType, "claim exp", nil},
		{"expiry a fraction", rewrite(`"exp":`, `"exp":1.5e10,"was":`), RuleClaimType, "claim exp", nil},
		{"expiry negative", v2(m{"exp": -1}), RuleClaimType, "claim exp", nil},
		{"expiry beyond all time", rewrite(`"exp":`, `"exp":99999999999999999999,"was":`), RuleClaimType, "claim exp", nil},
		{"expiry in milliseconds", v2(m{"exp": start.Add(time.Hour).UnixMilli()}), RuleClaimType, "claim exp", nil},
		{"expiry null", rewrite(`"exp":`, `"exp":null,"was":`), RuleClaimType, "claim exp", nil},
		{"not-before a boolean", v2(m{"nbf": true}), RuleClaimType, "claim nbf", nil},
		{"audience a list", v2(m{"aud": []string{testAPI, "other"}}), RuleClaimType, "claim aud", nil},
		{"issuer an object", v2(m{"iss": m{}}), RuleClaimType, "claim iss", nil},
		{"scopes a list", v2(m{"scp": []string{testScope}}), RuleClaimType, "claim scp", nil},
		{"roles a string", v2(m{"roles": testRole}), RuleClaimType, "claim roles", nil},
		{"roles of mixed types", v2(m{"roles": []any{testRole, 1}}), RuleClaimType, "claim roles", nil},
		{"version a number", v2(m{"ver": 2.0}), RuleClaimType, "claim ver", nil},
		{"claim names a list", v2(m{"_claim_names": []string{"groups"}}), RuleClaimType, "claim _claim_names", nil},

		// Kind.
		{"Graph by header nonce", head(m{"nonce": "AQABAAAAAAD"}), RuleGraphToken, "header has a nonce", nil},
		{"Graph by client id", v2(m{"aud": "00000003-0000-0000-c000-000000000000"}), RuleGraphToken, "Microsoft Graph", nil},
		{"Graph by address", v1(m{"aud": "https://graph.microsoft.com"}), RuleGraphToken, "Microsoft Graph", nil},
		{"Graph with slash and case", v1(m{"aud": "https://Graph.Microsoft.com/"}), RuleGraphToken, "Microsoft Graph", nil},
		{"Graph of US Gov", v1(m{"aud": "https://graph.microsoft.us"}), RuleGraphToken, "Microsoft Graph", nil},
		{"Graph of China", v1(m{"aud": "https://microsoftgraph.chinacloudapi.cn"}), RuleGraphToken, "Microsoft Graph", nil},
		{"ID token by nonce", v2(m{"nonce": "n"}), RuleIDToken, "ID token", nil},
		{"ID token by at_hash", v2(m{"at_hash": "h"}), RuleIDToken, "ID token", nil},
		{"ID token by c_hash", v2(m{"c_hash": "h"}), RuleIDToken, "ID token", nil},
		{"ID token without marks", v2(m{"azp": nil, "scp": nil, "idtyp": nil}), RuleIDToken, "looks like an ID token", nil},
		{"bound to a key", v2(m{"cnf": m{"kid": "x", "xms_ksl": "sw"}}), RuleBoundToken, "bound to a key", nil},

		// Version, issuer, tenant.
		{"no version", v2(m{"ver": nil}), RuleVersion, "version (ver) is ''", nil},
		{"version 3.0", v2(m{"ver": "3.0"}), RuleVersion, "'3.0'", nil},
		{"no issuer", v2(m{"iss": nil}), RuleIssuer, "who issued it", nil},
		{"v2 token with a v1 issuer", v2(m{"iss": "https://sts.windows.net/" + testTenant + "/"}), RuleIssuer, "version 2.0", nil},
		{"v1 token with a v2 issuer", v1(m{"iss": "https://login.microsoftonline.com/" + testTenant + "/v2.0"}), RuleIssuer, "version 1.0", nil},
		{"v1 issuer without slash", v1(m{"iss": "https://sts.windows.net/" + testTenant}), RuleIssuer, "is not the one", nil},
		{"v2 issuer with slash", v2(m{"iss": "https://login.microsoftonline.com/" + testTenant + "/v2.0/"}), RuleIssuer, "is not the one", nil},
		{"issuer with http", v2(m{"iss": "http://login.microsoftonline.com/" + testTenant + "/v2.0"}), RuleIssuer, "is not the one", nil},
		{"issuer in upper case", v2(m{"iss": "https://LOGIN.microsoftonline.com/" + testTenant + "/v2.0"}), RuleIssuer, "is not the one", nil},
		{"issuer with user info", v2(m{"iss": "https://login.microsoftonline.com@evil.example/" + testTenant + "/v2.0"}), RuleIssuer, "evil.example", nil},
		{"issuer with a longer host", v2(m{"iss": "https://login.microsoftonline.com.evil.example/" + testTenant + "/v2.0"}), RuleIssuer, "evil.example", nil},
		{"issuer not a URL", v2(m{"iss": "%zz"}), RuleIssuer, "'%zz'", nil},
		{"templated issuer", v2(m{"iss": "https://login.microsoftonline.com/{tenantid}/v2.0"}), RuleIssuer, "{tenantid}", nil},
		{"common issuer", v2(m{"iss": "https://login.microsoftonline.com/common/v2.0"}), RuleIssuer, "common", nil},
		{"foreign tenant", v2(m{"tid": otherTenant, "iss": "https://login.microsoftonline.com/" + otherTenant + "/v2.0"}), RuleForeignTenant, otherTenant, nil},
		{"foreign tenant, v1", v1(m{"tid": otherTenant, "iss": "https://sts.windows.net/" + otherTenant + "/"}), RuleForeignTenant, otherTenant, nil},
		{"own tenant claim, foreign issuer", v2(m{"iss": "https://login.microsoftonline.com/" + otherTenant + "/v2.0"}), RuleIssuerTenant, "contradicts itself", nil},
		{"foreign tenant claim, own issuer", v2(m{"tid": otherTenant}), RuleForeignTenant, otherTenant, nil},
		{"no tenant", v2(m{"tid": nil}), RuleTenantClaim, "tenant (tid) is ''", nil},
		{"tenant a domain", v2(m{"tid": "contoso.com"}), RuleTenantClaim, "'contoso.com'", nil},
		{"tenant in upper case", v2(m{"tid": strings.ToUpper(testTenant)}), RuleTenantClaim, "no tenant id", nil},
		{"personal account", v2(m{"tid": personalTenant, "iss": "https://login.microsoftonline.com/" + personalTenant + "/v2.0"}), RulePersonal, "personal Microsoft account", nil},
		{"B2C", v2(m{"iss": "https://contoso.b2clogin.com/" + testTenant + "/v2.0/"}), RuleB2C, "B2C", nil},
		{"B2C, tfp form", v2(m{"iss": "https://login.microsoftonline.com/tfp/" + testTenant + "/b2c_1/v2.0/"}), RuleB2C, "B2C", nil},
		{"External ID", v2(m{"iss": "https://" + testTenant + ".ciamlogin.com/" + testTenant + "/v2.0"}), RuleExternalID, "External ID", nil},
		{"US Gov cloud", v2(m{"iss": "https://login.microsoftonline.us/" + testTenant + "/v2.0"}), RuleForeignCloud, "US Government", nil},
		{"China cloud", v1(m{"iss": "https://sts.chinacloudapi.cn/" + testTenant + "/"}), RuleForeignCloud, "China", nil},

		// Audience.
		{"no audience", v2(m{"aud": nil}), RuleAudience, "does not say for whom", nil},
		{"other API", v2(m{"aud": otherTenant}), RuleAudience, otherTenant, nil},
		{"v2 token by App ID URI", v2(m{"aud": testURI}), RuleAudience, "names its audience by client id", nil},
		{"App ID URI with slash", v1(m{"aud": testURI + "/"}), RuleAudience, "another service", nil},
		{"App ID URI in another case", v1(m{"aud": "https://MCP.contoso.com/mcp"}), RuleAudience, "another service", nil},
		{"App ID URI's parent", v1(m{"aud": "https://mcp.contoso.com"}), RuleAudience, "another service", nil},
		{"client id in upper case", v2(m{"aud": strings.ToUpper(testAPI)}), RuleAudience, "another service", nil},
		{"client's own id", v2(m{"aud": testClient}), RuleAudience, testClient, nil},
		{"Azure Resource Manager", v1(m{"aud": "https://management.azure.com/"}), RuleAudience, "management.azure.com", nil},
		{"audience that breaks a header", v1(m{"aud": "x\", scope=\"evil\r\nSet-Cookie: a=b \\ é"}), RuleAudience, "'x', scope='evil??Set-Cookie: a=b / ?'", nil},
		{"audience without end", v1(m{"aud": "https://" + strings.Repeat("a", 9000)}), RuleAudience, "aaa...'", nil},

		// Time.
		{"no expiry", v2(m{"exp": nil}), RuleExpiryClaim, "when it expires", nil},
		{"no not-before", v2(m{"nbf": nil}), RuleNotBeforeClaim, "from when", nil},
		{"expired", v2(m{"iat": at(-2 * time.Hour), "nbf": at(-2 * time.Hour), "exp": at(-time.Hour)}), RuleExpired, "expired at 2026-11-23T11:00:00Z", nil},
		{"expired just beyond the skew", v2(m{"iat": at(-time.Hour), "nbf": at(-time.Hour), "exp": at(-5 * time.Minute)}), RuleExpired, "expired at", nil},
		{"not yet valid", v2(m{"nbf": at(5*time.Minute + time.Second)}), RuleNotYetValid, "valid only from", nil},
		{"issued in the future", v2(m{"iat": at(30 * time.Minute)}), RuleIssuedInFuture, "was issued at", nil},
		{"issued after it expires", v2(m{"iat": at(3 * time.Hour)}), RuleTimeOrder, "before it becomes valid", nil},
		{"expires before it is valid", v2(m{"nbf": at(2 * time.Minute), "exp": at(time.Minute)}), RuleTimeOrder, "before it becomes valid", nil},
		{"expiry zero", v2(m{"exp": 0, "nbf": 0, "iat": 0}), RuleTimeOrder, "before it becomes valid", nil},

		// Identity.
		{"no object id", v2(m{"oid": nil}), RuleObjectID, "oid", nil},
		{"object id an address", v2(m{"oid": "ada@contoso.com"}), RuleObjectID, "oid", nil},
		{"object id with a slash", v2(m{"oid": otherTenant[:30] + "/" + otherTenant[31:]}), RuleObjectID, "oid", nil},
		{"no client", v2(m{"azp": nil}), RuleClientID, "azp or appid", nil},
		{"v2 token with appid only", v2(m{"azp": nil, "appid": testClient}), RuleClientID, "azp or appid", nil},
		{"v1 token with azp only", v1(m{"appid": nil, "azp": testClient}), RuleClientID, "azp or appid", nil},

		// Signature.
		{"signed by somebody else", other.sign(), RuleSignature, "signature does not match", nil},
		{"payload changed", header + "." + b64([]byte(strings.Replace(goodClaims, "Ada", "Eve", 1))) + "." + signature, RuleSignature, "signature does not match", nil},
		{"header changed", b64([]byte(`{"alg":"RS256","kid":"kid-1"}`)) + "." + payload + "." + signature, RuleSignature, "signature does not match", nil},
		{"signature of another token", header + "." + payload + "." + strings.Split(v1(nil), ".")[2], RuleSignature, "signature does not match", nil},
		{"signature cut short", header + "." + payload + "." + b64(make([]byte, 100)), RuleSignature, "signature does not match", nil},
		{"signature of zeros", header + "." + payload + "." + b64(make([]byte, 256)), RuleSignature, "signature does not match", nil},
		{"unknown key id", signedWith(otherKey(), m{"kid": "kid-evil"}), RuleUnknownKey, "'kid-evil'", nil},

		// Permission: on whose behalf.
		{"neither scope nor role", v2(m{"scp": nil}), RuleNoPermission, "neither scopes (scp) nor roles", nil},
		{"empty scope", v2(m{"scp": ""}), RuleNoPermission, "neither scopes (scp) nor roles", nil},
		{"blank scope", v2(m{"scp": "  "}), RuleNoPermission, "neither scopes (scp) nor roles", nil},
		{"roles without idtyp", app(m{"idtyp": nil}), RuleTokenSubject, "does not say that it is an application's own", nil},
		{"user with roles but no scope", app(m{"idtyp": "user"}), RuleTokenSubject, "roles but no scope", nil},
		{"app with scopes", app(m{"scp": testScope}), RuleTokenSubject, "contradicts itself", nil},
		{"device", v2(m{"idtyp": "device"}), RuleTokenSubject, "'device'", nil},
		{"idtyp in another case", app(m{"idtyp": "App"}), RuleTokenSubject, "'App'", nil},

		// Permission: 403.
		{"wrong scope", v2(m{"scp": "User.Read"}), RuleScope, "lacks the scope", nil},
		{"scope in another case", v2(m{"scp": "mcp.access"}), RuleScope, "lacks the scope", nil},
		{"scope with more behind", v2(m{"scp": testScope + ".All"}), RuleScope, "lacks the scope", nil},
		{"scope by full name", v2(m{"scp": testURI + "/" + testScope}), RuleScope, "lacks the scope", nil},
		{"scopes by comma", v2(m{"scp": testScope + ",Mcp.Admin"}), RuleScope, "lacks the scope", nil},
		{"role instead of scope", v2(m{"scp": "User.Read", "roles": []string{testScope, testRole}}), RuleScope, "lacks the scope", nil},
		{"app without the role", app(m{"roles": []string{"Other"}}), RuleRole, "lacks the app role", nil},
		{"app without any role", app(m{"roles": nil}), RuleRole, "lacks the app role", nil},
		{"app with the scope as role", app(m{"roles": []string{testScope}}), RuleRole, "lacks the app role", nil},
		{"app where only users may", app(nil), RuleAppOnly, "admits users only", func(o *Options) { o.RequiredRoles = nil }},
		{"user where only apps may", v2(nil), RuleDelegated, "admits applications only", func(o *Options) { o.RequiredScopes = nil }},
		{"client not allowed", v2(nil), RuleClientNotAllowed, testClient, func(o *Options) { o.AllowedClients = []string{otherTenant} }},
		{"v1 client not allowed", v1(nil), RuleClientNotAllowed, testClient, func(o *Options) { o.AllowedClients = []string{otherTenant} }},
		{"app not allowed", app(nil), RuleClientNotAllowed, testClient, func(o *Options) { o.AllowedClients = []string{otherTenant} }},
		{"group overage", v2(m{"_claim_names": m{"groups": "src1"}, "_claim_sources": m{"src1": m{"endpoint": "https://evil.example"}}}), RuleGroupsOverage, "more groups", func(o *Options) { o.NeedGroups = true }},
		{"group overage by hasgroups", v2(m{"hasgroups": true}), RuleGroupsOverage, "more groups", func(o *Options) { o.NeedGroups = true }},
		{"group overage, hasgroups a string", v2(m{"hasgroups": "true"}), RuleGroupsOverage, "more groups", func(o *Options) { o.NeedGroups = true }},
	}
}

// forbiddenRules are answered with 403: the token is proven but allows too little.
var forbiddenRules = map[Rule]bool{
	RuleScope: true, RuleRole: true, RuleAppOnly: true, RuleDelegated: true,
	RuleClientNotAllowed: true, RuleGroupsOverage: true,
}

func TestHostileTokens(t *testing.T) {
	tests := hostileTokens()
	if len(tests) < 100 {
		t.Errorf("the table has %d tokens", len(tests))
	}
	seen := map[string]bool{}
	for _, tt := range tests {
		if seen[tt.name] {
			t.Errorf("two cases are called %q", tt.name)
		}
		seen[tt.name] = true
		t.Run(tt.name, func(t *testing.T) {
			var log bytes.Buffer
			_, err := verify(t, tt.raw, func(o *Options) {
				o.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
				if tt.options != nil {
					tt.options(o)
				}
			})
			refusal := wantRule(t, err, tt.rule)
			if !strings.Contains(refusal.Description, tt.reason) {
				t.Errorf("description %q lacks %q", refusal.Description, tt.reason)
			}
			status, code := http.StatusUnauthorized, errInvalidToken
			if forbiddenRules[tt.rule] {
				status, code = http.StatusForbidden, errInsufficientScope
			}
			if tt.rule == RuleTokenTooLarge {
				status = http.StatusRequestHeaderFieldsTooLarge
			}
			if refusal.Status != status || refusal.OAuthError != code {
				t.Errorf("answered with %d %s, want %d %s", refusal.Status, refusal.OAuthError, status, code)
			}
			if (refusal.Principal != nil) != (status == http.StatusForbidden) {
				t.Error("the principal must be known exactly where the token is proven")
			}
			if refusal.Description != printable(refusal.Description) {
				t.Errorf("not fit for a header: %q", refusal.Description)
			}
			wantNoToken(t, tt.raw, refusal.Description+refusal.Fix+err.Error()+log.String())
		})
	}
}

// wantNoToken fails if the text contains any longer piece of the token.
func wantNoToken(t *testing.T, raw, text string) {
	t.Helper()
	for _, part := range strings.FieldsFunc(raw, func(r rune) bool { return strings.ContainsRune(". \"{}:,[]", r) }) {
		if len(part) > 30 && strings.Contains(text, part[:30]) {
			t.Errorf("a part of the token shows in %q", text)
		}
	}
}

// nextBase64 changes the unused low bits of a last base64 character.
func nextBase64(c byte) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return string(alphabet[strings.IndexByte(alphabet, c)|1])
}

// signedWith is a token of the given key, with header parameters laid over.
func signedWith(key *rsa.PrivateKey, header m) string {
	t := v2Token().withHeader(header)
	t.key = key
	return t.sign()
}
