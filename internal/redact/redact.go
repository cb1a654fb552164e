// Package redact keeps credentials out of logs and messages.
//
// Types that hold a credential print as [redacted] by themselves; this package
// is the line behind them: it recognises credentials by the name of what they
// are in and by their form. It is not to be relied upon alone.
package redact

import (
	"regexp"
	"strings"
)

// Mask is what stands in place of a credential.
const Mask = "[redacted]"

// A pattern's first group stays, what follows it is masked; last is what must
// be in a text for the pattern to be tried at all, in lower case.
var patterns = []struct {
	re   *regexp.Regexp
	last []string
}{
	// A JSON web token: a base64url object, then at least a payload.
	{regexp.MustCompile(`()\beyJ[\w-]{6,}\.[\w-]*(?:\.[\w-]*)*`), []string{"eyj"}},
	// The value of a header, up to what can't be in it or what encloses it.
	{regexp.MustCompile(`(?i)(\b(?:proxy-)?authorization["']?\s*[:=]\s*["'\[]*)(?:[a-z][\w-]*\s+)?[^\s"'\],;]+`), []string{"authorization"}},
	{regexp.MustCompile(`(?i)(\b(?:set-)?cookie["']?\s*[:=]\s*["'\[]*)[^\r\n"']+`), []string{"cookie"}},
	{regexp.MustCompile(`(?i)(\b(?:bearer|basic)\s+)[\w.~+/-]{8,}=*`), []string{"bearer", "basic"}},
	// A parameter of a URL or a form, or a member of a JSON object.
	{regexp.MustCompile(`(?i)(\b(?:client_secret|client_assertion|access_token|refresh_token|id_token|device_code|code_verifier|password|passwd|api[_-]?key|subject_token|assertion)["']?\s*[:=]\s*["']?)[^\s&"',;}]+`),
		[]string{"secret", "assertion", "token", "code", "passw", "key"}},
	// What is too common a name to be masked outside a URL's query.
	{regexp.MustCompile(`(?i)([?&#](?:code|token|key|sig|signature|secret|state|auth|pwd|session|sessionid|session_id)=)[^\s&#"']+`), []string{"="}},
	// The user and password of a URL.
	{regexp.MustCompile(`(\b[A-Za-z][A-Za-z0-9+.-]*://)[^\s/?#"'@]+@`), []string{"@"}},
}

// String returns s with what looks like a credential masked.
func String(s string) string {
	lower := ""
	for _, p := range patterns {
		if lower == "" {
			lower = strings.ToLower(s)
		}
		if !containsAny(lower, p.last) {
			continue
		}
		mask := "${1}" + Mask
		if p.last[0] == "@" {
			mask += "@"
		}
		s = p.re.ReplaceAllString(s, mask)
	}
	return s
}

func containsAny(s string, parts []string) bool {
	for _, p := range parts {
		if strings.Contains(s, p) {
			return true
		}
	}
	return false
}

// SensitiveName reports whether what goes by this name, as a header or an
// attribute of a log, is a credential.
func SensitiveName(name string) bool {
	name = strings.NewReplacer("-", "", "_", "", " ", "").Replace(strings.ToLower(name))
	switch name {
	case "authorization", "proxyauthorization", "cookie", "setcookie", "password", "passwd", "assertion", "credential", "credentials":
		return true
	case "tokenstore", "tokens", "idtokenclaims":
		return false
	}
	for _, suffix := range []string{"token", "secret", "apikey", "accesskey", "privatekey", "subscriptionkey", "password", "signature", "devicecode", "verifier"} {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return strings.HasPrefix(name, "xapi") || strings.HasSuffix(name, "authkey")
}
