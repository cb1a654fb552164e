package cmd

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mcpctl/mcpctl/internal/mcpclient"
)

// completionPatience bounds what a shell waits for.
const completionPatience = 2 * time.Second

// completeTool completes URLs from the profiles, and the names of the tools
// of a server that somebody has signed in to. It asks no other: pressing a key
// must not send anything anywhere new.
func completeTool(deps Deps) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(c.Context(), completionPatience)
		defer cancel()
		if len(args) == 0 {
			return profileURLs(deps), cobra.ShellCompDirectiveNoFileComp
		}
		if len(args) > 1 {
			return nil, cobra.ShellCompDirectiveDefault
		}
		return toolNames(ctx, deps, args[0], typed), cobra.ShellCompDirectiveNoFileComp
	}
}

func profileURLs(deps Deps) []string {
	profiles, err := openProfiles(deps)
	if err != nil {
		return nil
	}
	list, _ := profiles.List() // what could be read counts
	var urls []string
	for _, p := range list {
		urls = append(urls, p.URL)
	}
	return urls
}

func toolNames(ctx context.Context, deps Deps, url, typed string) []string {
	profiles, err := openProfiles(deps)
	if err != nil {
		return nil
	}
	if _, err := profiles.Load(url); err != nil {
		return nil
	}
	remote := remoteFlags{transport: "auto", log: logFlags{level: "error"}}
	server, done, err := remote.connect(ctx, deps, target{url: url}, dialOptions{})
	if err != nil {
		return nil
	}
	defer done()
	var names []string
	for item, err := range server.All(ctx, mcpclient.Tools) {
		if err != nil {
			break
		}
		d := readDescribed(item)
		if name := oneLine(d.Name); strings.HasPrefix(name, typed) {
			names = append(names, name+"\t"+cut(oneLine(d.Description), 60))
		}
	}
	return names
}
