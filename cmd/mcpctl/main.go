// Command mcpctl connects desktop AI clients to MCP servers behind Microsoft
// Entra ID, and protects such servers.
package main

import (
	"context"
	"os"
	"os/signal"

	"github.com/mcpctl/mcpctl/cmd"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), cmd.StopSignals(os.Args[1:])...)
	context.AfterFunc(ctx, stop) // from then on a second signal ends the program at once
	code := cmd.Main(ctx, os.Args[1:], cmd.SystemDeps())
	stop()
	os.Exit(code)
}
