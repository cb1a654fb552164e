// Command bench measures mcpctl's bridge side by side with other bridges, in one run and in turns: how fast it starts, what
// it adds to a call, how many calls it carries, what memory it takes and whether everything arrives. README.md beside it
// says how to repeat a measurement.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	var err error
	if len(os.Args) == 2 && os.Args[1] == remoteMode {
		err = serveRemote(os.Stdin, os.Stdout)
	} else {
		err = bridges(ctx, os.Args[1:], os.Stdout, os.Stderr)
	}
	stop()
	switch {
	case err == nil:
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type options struct {
	quick, json bool
	subjects    string
	mcpctl, out string
	add         []string
	limit       time.Duration
}

func parseFlags(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.BoolVar(&o.quick, "quick", false, "only mcpctl and direct HTTP, with fewer calls")
	flags.BoolVar(&o.json, "json", false, "print JSON, not a table")
	flags.StringVar(&o.subjects, "subjects", "mcpctl,mcp-remote,supergateway", "which bridges to measure, parted by commas; may be empty with -add")
	flags.StringVar(&o.mcpctl, "mcpctl", "", "the mcpctl to measure (default: build this tree's)")
	flags.StringVar(&o.out, "out", "", "where the raw numbers go (default: bench/results/TIME.json, or nowhere with -quick)")
	flags.Func("add", `measure another bridge too: name=command args {url}; may be repeated`, func(v string) error {
		o.add = append(o.add, v)
		return nil
	})
	flags.DurationVar(&o.limit, "limit", 15*time.Minute, "give up after this long")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unknown argument %q; see -h", flags.Arg(0))
	}
	return o, nil
}

// bridges measures what the arguments name and prints what came out.
func bridges(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parseFlags(args, stderr)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, o.limit)
	defer cancel()
	dir, err := os.MkdirTemp("", "mcpctl-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	root, err := repositoryRoot(ctx)
	if err != nil {
		return err
	}

	p := plan{Starts: 15, Rounds: 3, Calls: 1000, Block: 100, Load: 6000, Big: 5, Bytes: 10e6, Notes: 1000, Warmup: 300, Rest: time.Second, KeepAll: true}
	names := strings.FieldsFunc(o.subjects, func(r rune) bool { return r == ',' })
	if o.quick {
		p = plan{Starts: 7, Rounds: 3, Calls: 500, Block: 100, Load: 6000, Big: 3, Bytes: 10e6, Notes: 1000, Warmup: 100, Rest: time.Second}
		names = slices.DeleteFunc(names, func(name string) bool { return name != product })
	}
	subjects, err := findSubjects(ctx, names, o, root, dir)
	if err != nil {
		return err
	}
	url, stopRemote, err := startRemote(ctx)
	if err != nil {
		return err
	}
	defer stopRemote()

	b := &bench{plan: p, url: url, progress: stderr}
	for _, s := range subjects {
		b.runs = append(b.runs, &run{result: result{subject: s}})
	}
	rep := report{Time: time.Now().UTC().Truncate(time.Second), Machine: machine(ctx), Plan: p}
	b.measure(ctx)
	for _, r := range b.runs {
		rep.Results = append(rep.Results, &r.result)
	}
	if err := rep.save(o, root, stderr); err != nil {
		return err
	}
	if err := rep.print(o, stdout); err != nil {
		return err
	}
	for _, r := range rep.Results {
		if r.Err != "" {
			return fmt.Errorf("%s wasn't measured to the end", r.Name)
		}
	}
	return ctx.Err()
}

func repositoryRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("looking for the repository: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}
