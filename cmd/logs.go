package cmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/mcpctl/mcpctl/internal/logfile"
	"github.com/mcpctl/mcpctl/internal/profile"
	"github.com/mcpctl/mcpctl/internal/redact"
)

// followPoll is how often a followed log is looked at for news.
const followPoll = 200 * time.Millisecond

// logsOptions are the flags of mcpctl logs.
type logsOptions struct {
	deps   Deps
	url    string // "" is the log written last
	follow bool
	lines  int
	all    bool
	list   bool
	out    outputFlag
}

func newLogs(deps Deps, run func(context.Context, logsOptions) error) *cobra.Command {
	o := logsOptions{deps: deps}
	c := &cobra.Command{
		Use:     "logs [URL]",
		Short:   "Show what the last bridge to a server logged",
		GroupID: "client",
		Long: `Show the log of the last bridge to the server at URL; without a URL, of the
bridge that wrote last. MCP clients start bridges and hide what they say, so each
bridge keeps the log of its run as well, of level info and above, or whatever its
--log-level asks for. Credentials are left out.

Bridges to one server share a log of at most 2 MiB. Clients start several at a
time; --all shows all of them. "mcpctl logout" removes a server's log.

With -o json each record is a line of JSON.`,
		Example: `  mcpctl logs
  mcpctl logs https://mcp.contoso.com/mcp -n 20 -f
  mcpctl logs --list`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 1 {
				return oneURL(c, args)
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case o.list && (len(args) > 0 || o.follow || o.all || o.lines != 0):
				return usagef(c, "--list takes no URL, and none of --follow, --all and --lines")
			case o.lines < 0:
				return usagef(c, "--lines must be a positive number, not %d", o.lines)
			}
			if len(args) > 0 {
				o.url = args[0]
				if _, err := profile.Canonical(o.url); err != nil {
					return usageError(c, err)
				}
			}
			return run(c.Context(), o)
		},
	}
	f := c.Flags()
	f.BoolVarP(&o.follow, "follow", "f", false, "go on showing what bridges to the server log, until interrupted")
	f.IntVarP(&o.lines, "lines", "n", 0, "show the last `number` of records only")
	f.BoolVar(&o.all, "all", false, "show all runs that are still in the log")
	f.BoolVar(&o.list, "list", false, "list the servers that there are logs of")
	o.out.add(c)
	return c
}

func runLogs(ctx context.Context, o logsOptions) error {
	dir, err := filesDir()
	if err != nil {
		return err
	}
	if o.list {
		return listLogs(o, profile.LogDir(dir))
	}
	path, err := o.path(dir)
	if err != nil {
		return err
	}
	records, others, err := readRun(path, o.all)
	if err != nil {
		return fmt.Errorf("reading the log: %w", err)
	}
	if o.lines > 0 && len(records) > o.lines {
		records = records[len(records)-o.lines:]
	}
	for _, r := range records {
		if err := o.print(r); err != nil {
			return err
		}
	}
	if others > 0 && !o.out.json() {
		_, _ = fmt.Fprintf(o.deps.Stderr, "(The log holds %d earlier or other runs: --all shows them.)\n", others)
	}
	if !o.follow {
		return nil
	}
	return logfile.Follow(ctx, path, followPoll, func(line []byte) error {
		if r, ok := parseRecord(line); ok {
			return o.print(r)
		}
		return nil
	})
}

func (o logsOptions) print(r logRecord) error {
	line := r.raw
	if !o.out.json() {
		line = r.text(o.all || o.follow)
	}
	_, err := fmt.Fprintln(o.deps.Stdout, line)
	return err
}

// path returns the log to show.
func (o logsOptions) path(dir string) (string, error) {
	if o.url == "" {
		logs, err := findLogs(profile.LogDir(dir))
		if err != nil {
			return "", err
		}
		if len(logs) == 0 {
			return "", fmt.Errorf("no bridge has kept a log yet (looked in %s). The MCP client that should start one may not have been restarted since it was configured", profile.LogDir(dir))
		}
		return logs[0].File, nil
	}
	path, err := profile.LogPath(dir, o.url)
	if err != nil {
		return "", err
	}
	if len(logfile.Files(path)) == 0 && !o.follow {
		return "", fmt.Errorf("no bridge to %s has kept a log (looked for %s). Run: mcpctl logs --list", redact.URL(o.url), path)
	}
	return path, nil
}

// logStatus is one log as -o json lists it. The field names are stable.
type logStatus struct {
	Server  string    `json:"server"`
	File    string    `json:"file"`
	Size    int64     `json:"size"`
	Updated time.Time `json:"updated"`
}

// findLogs returns the logs in a folder, the one written last first.
func findLogs(dir string) ([]logStatus, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("listing the logs: %w", err)
	}
	var logs []logStatus
	for _, entry := range entries {
		if filepath.Ext(entry.Name()) != ".log" {
			continue
		}
		s := logStatus{File: filepath.Join(dir, entry.Name())}
		for _, file := range logfile.Files(s.File) {
			if info, err := os.Stat(file); err == nil {
				s.Size += info.Size()
				if info.ModTime().After(s.Updated) {
					s.Updated = info.ModTime()
				}
			}
		}
		server, err := serverOf(s.File)
		if err != nil {
			return nil, fmt.Errorf("reading the log: %w", err)
		}
		s.Server = redact.URL(server) // in logs of earlier versions it is whole
		logs = append(logs, s)
	}
	slices.SortStableFunc(logs, func(a, b logStatus) int { return b.Updated.Compare(a.Updated) })
	return logs, nil
}

func listLogs(o logsOptions, dir string) error {
	logs, err := findLogs(dir)
	if err != nil {
		return err
	}
	if o.out.json() {
		return writeJSON(o.deps.Stdout, map[string]any{"logs": append([]logStatus{}, logs...)})
	}
	if len(logs) == 0 {
		_, err := fmt.Fprintf(o.deps.Stderr, "No bridge has kept a log yet (looked in %s).\n", dir)
		return err
	}
	var rows [][]string
	for _, l := range logs {
		rows = append(rows, []string{oneLine(l.Server), l.Updated.Local().Format(time.DateTime), fmt.Sprintf("%d kB", (l.Size+999)/1000), l.File})
	}
	return newScreen(o.deps.Stdout, o.deps.Getenv).table([]string{"SERVER", "LAST WRITTEN", "SIZE", "FILE"}, rows)
}
