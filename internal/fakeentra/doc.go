// Package fakeentra is an authority on loopback TLS that behaves like Microsoft
// Entra ID closely enough that MSAL Go and MSAL Node sign in at it unmodified.
//
// It serves `mcpctl demo`, `mcpctl serve --dev` and the tests of the other
// packages. It knows one tenant with registered applications and people, issues
// v1 and v2 tokens signed with its own keys, shows a sign-in page and a device
// page to a person with a browser, and refuses what Entra refuses, with the
// error bodies and AADSTS codes of Entra.
//
//	srv, err := fakeentra.Start(fakeentra.Options{})
//	if err != nil { … }
//	defer srv.Close()
//	sample, err := srv.AddSample("")
//	…
//	srv.ApproveDevice(userCode, sample.Ada.UPN)
//
// Misfortune is scripted: [Server.Inject] takes a [Fault] from one of the
// Fault… constructors, and [Faults] lists them all.
//
// It asks for no password, so it must never be reachable from another machine:
// [Start] refuses an address that is not loopback.
package fakeentra
