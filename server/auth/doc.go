// Package auth is the resource-server half of sign-in with Microsoft Entra ID:
// it decides whether the bearer token of a request is good, says why when it
// is not, and tells clients where to get a better one.
//
// [Verifier] checks a token against a fixed list of rules. A token that breaks
// one is answered by a [Refusal] which names the rule and the way out; when the
// authority's signing keys cannot be had the answer is an [UnavailableError],
// because then nothing has been proven either way. [Guard] is the HTTP
// middleware around it, [Metadata] serves RFC 9728 protected resource metadata.
//
// Nothing in this package logs a token, and nothing keeps one beyond its
// request (see [Assertion]): the cache of verified tokens is keyed by SHA-256, and descriptions carry only claim values that are
// no secret (audience, tenant, client), cut and cleaned for use in a header.
//
// The rules follow Microsoft's "Access tokens", "Access token claims reference",
// "Validate claims" and "Signing key rollover" pages, RFC 7515, 7519, 6750 and
// 9728, and the authorization chapter of MCP 2025-11-25 and 2026-07-28.
package auth
