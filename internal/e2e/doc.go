// Package e2e tests mcpctl as its users meet it: the real program, started as a
// process, between MCP clients and servers that others wrote.
//
// Its tests build mcpctl once. What stands around it comes from npm, installed
// by .ci/setup: the official TypeScript clients before the bridge and
// server-everything behind the server; and from Go: the clients of mcp-go and
// go-sdk, and a scripted server for what no other can be made to do.
package e2e
