// Package wire carries JSON-RPC 2.0 messages as the bytes they arrived in.
//
// A [Frame] is one message: its raw bytes plus the three envelope facts a relay
// needs (kind, id token, method). Nothing below the envelope is decoded, so
// unknown members, key order and numbers of any size survive a relay.
//
// A [Conn] reads and writes whole frames with size limits, back-pressure and
// cancellation. There is one for each way MCP is spoken: newline-delimited
// streams (own stdio, a child process), and both ends of Streamable HTTP
// (MCP 2025-03-26 and later, basic/transports) and HTTP+SSE (MCP 2024-11-05).
// From MCP 2026-07-28 on there are no sessions: at the server's end each request
// is a [Call] then.
//
// The package knows MCP's transports and nothing of who may use them: callers
// bring authentication in their http.Client or in front of the handler.
package wire
