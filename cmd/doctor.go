package cmd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"slices"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/mcpctl/mcpctl/internal/desktop"
	"github.com/mcpctl/mcpctl/internal/doctor"
	"github.com/mcpctl/mcpctl/internal/profile"
	"github.com/mcpctl/mcpctl/internal/redact"
)

// doctorOptions are the flags of mcpctl doctor.
type doctorOptions struct {
	deps    Deps
	url     string // "" is every server that somebody signed in to
	devCA   string
	network networkFlags
	out     outputFlag
}

func newDoctor(deps Deps, run func(context.Context, doctorOptions) error) *cobra.Command {
	o := doctorOptions{deps: deps}
	c := &cobra.Command{
		Use:     "doctor [URL]",
		Short:   "Find out why a server can't be reached or used",
		GroupID: "client",
		Long: `Look at everything between an MCP client and the server at URL, one check a line:
the network, what the server says about signing in, the authority, the sign-in
and its token, a session with the server, and the configuration of the MCP
clients on this machine. Without URL look at every server that somebody signed
in to.

A check that fails says why and what to do. One that can't be made, or that fails
because of another, points to that one. A warning (!) is about what works for
mcpctl and not for every other client. It takes half a minute at most, changes
nothing but a token that has to be renewed, and never shows one.

The exit code is 0 when all is well, 4 when a sign-in is all that is missing, and
1 otherwise.`,
		Example: "  mcpctl doctor https://mcp.contoso.com/mcp\n  mcpctl doctor -o json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				o.url = args[0]
			}
			return run(c.Context(), o)
		},
	}
	c.Flags().StringVar(&o.devCA, "dev-ca", "", "CA `file` of an authority for development, before the first sign-in")
	o.network.add(c)
	o.out.add(c)
	return c
}

// doctorReport is what -o json prints. The field names are stable.
type doctorReport struct {
	OK      bool           `json:"ok"`
	Servers []doctorServer `json:"servers"`
	Machine []doctor.Check `json:"machine"`
}

type doctorServer struct {
	URL    string         `json:"url"`
	OK     bool           `json:"ok"`
	Checks []doctor.Check `json:"checks"`
}

// atATime bounds how many servers are looked at together.
const atATime = 8

func runDoctor(ctx context.Context, o doctorOptions) error {
	var err error
	if o.deps.Network, err = o.network.settings(o.deps.Now); err != nil {
		return err
	}
	profiles, err := openProfiles(o.deps)
	if err != nil {
		return err
	}
	report, urls := doctorReport{Servers: []doctorServer{}}, []string{o.url}
	if o.url == "" {
		urls, report.Machine = pinnedURLs(profiles)
	}
	report.Servers = make([]doctorServer, len(urls))
	bounded, cancel := context.WithTimeout(ctx, doctor.Limit)
	defer cancel()
	var group errgroup.Group
	group.SetLimit(atATime)
	for i, url := range urls {
		group.Go(func() error {
			checks := serverToExamine(o, profiles, url).Examine(bounded)
			report.Servers[i] = doctorServer{URL: redact.URL(url), OK: len(doctor.Failed(checks)) == 0, Checks: checks}
			return nil
		})
	}
	_ = group.Wait() // none of them fails
	if err := ctx.Err(); err != nil {
		return err
	}
	clients := clientsToExamine(o, profiles)
	if i := slices.IndexFunc(clients, func(c doctor.Check) bool { return c.SignIn }); i >= 0 && len(urls) == 0 {
		// That is why there are none.
		p := &report.Machine[0]
		p.Status, p.Detail, p.Fix, p.SignIn, p.Because = doctor.Skip, "comes of "+clients[i].Name+": "+p.Detail, "", false, clients[i].ID
	}
	report.Machine = append(report.Machine, clients...)
	return o.tell(report)
}

// pinnedURLs returns the servers of all profiles, and what is wrong with those
// that can't be read.
func pinnedURLs(profiles *profile.Store) ([]string, []doctor.Check) {
	c := doctor.Check{ID: "profiles", Name: "profiles", Status: doctor.OK}
	list, err := profiles.List()
	urls := make([]string, len(list))
	for i, p := range list {
		urls[i] = p.URL
	}
	switch {
	case err != nil:
		c.Status, c.Detail, c.Fix = doctor.Fail, oneLine(err.Error()), "Delete the file and sign in again: mcpctl login URL"
	case len(list) == 0:
		c.Status, c.Detail, c.Fix, c.SignIn = doctor.Fail, "nobody has signed in to any server", "mcpctl login URL", true
	default:
		c.Detail = fmt.Sprintf("%d", len(list))
	}
	return urls, []doctor.Check{c}
}

func clientsToExamine(o doctorOptions, profiles *profile.Store) []doctor.Check {
	system, err := desktop.Local(o.deps.Getenv)
	if err != nil {
		return []doctor.Check{{ID: "clients", Name: "MCP clients", Status: doctor.Skip, Detail: "not checked: " + oneLine(err.Error())}}
	}
	d := doctor.Desktop{System: system, URL: o.url, Find: exec.LookPath}
	if o.url == "" {
		d.SignedIn = func(url string) bool {
			_, err := profiles.Load(url)
			return !errors.Is(err, profile.ErrNotFound)
		}
	}
	return d.Examine()
}

// tell prints the report and returns the error with the exit code.
func (o doctorOptions) tell(r doctorReport) error {
	failed := doctor.Failed(r.Machine)
	for _, s := range r.Servers {
		failed = append(failed, doctor.Failed(s.Checks)...)
	}
	r.OK = len(failed) == 0
	var err error
	if o.out.json() {
		err = writeJSON(o.deps.Stdout, r)
	} else {
		err = printDoctor(o.deps.Stdout, o.deps.Getenv, r)
	}
	if err != nil || r.OK {
		return err
	}
	err = failedChecks(failed)
	if !slices.ContainsFunc(failed, func(c doctor.Check) bool { return !c.SignIn }) {
		return &exitError{exitSignIn, err}
	}
	return err
}

// failedChecks is the error of a command whose checks have been printed.
func failedChecks(failed []doctor.Check) error {
	if len(failed) == 1 {
		return errors.New("1 check failed, for the reason above")
	}
	return fmt.Errorf("%d checks failed, for the reasons above", len(failed))
}

// discarded is the log of what doctor looks at: the checks say what is wrong.
func discarded() *slog.Logger { return slog.New(slog.DiscardHandler) }
