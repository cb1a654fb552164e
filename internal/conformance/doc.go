// Package conformance runs the official MCP conformance suite (npm's
// @modelcontextprotocol/conformance) through mcpctl: each server scenario that
// a revision of the protocol requires, as that revision's requirement set names
// it, against the conformance server of go-sdk.
//
// First the suite meets the server directly. Then it meets it through
//
//   - mcpctl bridge, with an adapter of the tests before it that turns the
//     suite's HTTP into stdio, each message as it is;
//   - mcpctl serve, at one address for all revisions, with the server behind it
//     on stdio and over HTTP. The suite sends no headers of its own, so a proxy
//     adds the caller's token;
//   - both, with HTTP+SSE between them.
//
// Scored scenarios must pass. One of them, dns-rebinding-protection, asks something
// of whoever listens on HTTP: before the bridge that is the adapter, so there it
// says nothing about mcpctl.
//
// Beyond that, every check of every scenario, scored or not, must come out as it
// does without mcpctl in between.
package conformance
