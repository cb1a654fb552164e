// Package era presents one era of MCP as the other.
//
// Up to 2025-11-25 a client opens a session with initialize and the server may
// send it requests: the legacy era. From 2026-07-28 on every request stands for
// itself, with its revision and the client's capabilities in _meta, and a server
// that needs something of the client asks for it in a result: the modern era
// (MCP 2026-07-28, basic/versioning, gives both names).
//
// A [Translator] is a [wire.Remote] before another. It mirrors first: what the
// client sends passes as the bytes it came in, while the remote takes it. Only
// when the remote refuses the client's era does the Translator step in:
//
//   - A legacy client before a modern remote is served in full: initialize out of
//     server/discover, per-request _meta, request headers, one
//     subscriptions/listen for all subscriptions, input_required rounds as
//     requests to the client, results in the old shape.
//   - A modern client before a legacy remote shares one session that is opened
//     with what its first request declares. Requests of the server are parked
//     behind a requestState until the client brings the answers. What that
//     can't carry: a capability that the client declares later reaches the
//     server only when no call is in flight, since the session must be opened
//     anew; log messages and requests outside of a call's stream are taken to
//     belong to the newest call; task designs are not translated.
//
// What is changed is spliced: members that the package has no business with keep
// their bytes.
package era
