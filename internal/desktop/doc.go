// Package desktop edits the configuration files of MCP clients: it adds to them,
// and takes from them, the command that starts an MCP server.
//
// A file is edited in place. Comments, order, indentation, line endings, a byte
// order mark and the final line break stay as they are; only the bytes of the
// entry come and go. An edit is proven before it is handed out: the result is
// parsed again and must hold what the original held, with the entry or without.
// Whatever can't be edited that way is refused, with the text to paste by hand.
//
// Adding a server and removing it again gives the original bytes: [Config.Remove]
// takes earlier versions of the document for that, since the text alone does not
// tell whether an empty list was there before.
package desktop
