// Command gateway measures mcpctl's gateway side by side with what else can stand before an MCP server, in one run and in
// turns: requests a second, how long one takes, and the processor time that the process in between takes for it. README.md
// beside it says how to repeat a measurement.
package main

import (
	"context"
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
	defer stop()
	var err error
	if len(os.Args) > 1 && strings.HasPrefix(os.Args[1], rolePrefix) {
		err = play(ctx, os.Args[1], os.Args[2:])
	} else {
		err = measure(ctx, os.Args[1:], os.Stdout, os.Stderr)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench/gateway:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop was called
	}
}

type options struct {
	subjects []string // nil: all
	mcpctl   string
	clients  []int
	rounds   int
	step     time.Duration
	limit    time.Duration
	npm      bool
}

func parseFlags(args []string, stderr io.Writer) (options, error) {
	o := options{clients: []int{1, 16, 128}, npm: true}
	flags := flag.NewFlagSet("bench/gateway", flag.ContinueOnError)
	flags.SetOutput(stderr)
	quick := flags.Bool("quick", false, "without the npm peers")
	subjects := flags.String("subjects", "", "measure only these, parted by commas")
	flags.StringVar(&o.mcpctl, "mcpctl", "", "the mcpctl to measure (default: build this tree's)")
	flags.IntVar(&o.rounds, "rounds", 3, "how many turns each subject has; the table has medians")
	flags.DurationVar(&o.step, "step", 2*time.Second, "how long a turn lasts")
	flags.DurationVar(&o.limit, "limit", 15*time.Minute, "give up after this long")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unknown argument %q; see -h", flags.Arg(0))
	}
	o.npm = !*quick
	o.subjects = strings.FieldsFunc(*subjects, func(r rune) bool { return r == ',' })
	return o, nil
}

// measure runs what the arguments ask for and prints a table.
func measure(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parseFlags(args, stderr)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, o.limit)
	defer cancel()
	dir, err := os.MkdirTemp("", "mcpctl-bench-gateway-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b, err := newBed(ctx, dir, o)
	if err != nil {
		return err
	}
	defer b.close()
	subjects, err := b.subjects(ctx, o)
	if err != nil {
		return err
	}
	defer func() {
		for _, s := range subjects {
			s.stop()
		}
	}()
	for _, clients := range o.clients {
		for round := range o.rounds {
			for i := range subjects {
				s := subjects[(i+round)%len(subjects)]
				if s.err != nil {
					continue
				}
				r, err := s.turn(ctx, clients, o.step)
				if err != nil {
					s.err = fmt.Errorf("%s with %d clients: %w", s.name, clients, err)
					fmt.Fprintln(stderr, "bench/gateway:", s.err)
					continue
				}
				s.results[clients] = append(s.results[clients], r)
			}
			fmt.Fprintf(stderr, "bench/gateway: %d clients, round %d of %d\n", clients, round+1, o.rounds)
		}
	}
	writeTable(stdout, subjects, o.clients)
	for _, s := range subjects {
		if s.err != nil {
			return s.err
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

func (o options) wants(name string) bool {
	return len(o.subjects) == 0 || slices.Contains(o.subjects, name)
}
