// Package entra is the client's side of Microsoft Entra ID: which authorities
// are trusted, how a person signs in, how a token is obtained and renewed, and
// how a protected MCP server says where its tokens come from.
//
// It wraps MSAL Go and takes its duties where MSAL leaves them to the caller:
//
//   - requests go to the pinned authority host and nowhere else, redirects
//     included;
//   - errors are built from what the authority answered, never from MSAL's
//     text, because that text can hold access and refresh tokens;
//   - a valid cached token costs no lock and no request, an expired one is
//     refreshed once among all processes of a user;
//   - the loopback listener of a browser sign-in survives stray requests.
package entra
