package cmd

import (
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mcpctl/mcpctl/internal/catalogue"
)

type explainOptions struct {
	deps Deps
	args []string
	list bool
	out  outputFlag
}

func newExplain(deps Deps, run func(explainOptions) error) *cobra.Command {
	o := explainOptions{deps: deps}
	c := &cobra.Command{
		Use:     "explain CODE | TEXT... | -",
		Short:   "Explain an AADSTS code or any other error of a sign-in",
		GroupID: "client",
		Long: `Explain what an error means, who can fix it, and how: AADSTS codes of Microsoft
Entra, OAuth errors, the rules by which mcpctl serve refuses tokens, and mcpctl's
own errors. Name a code, or paste the whole error: a sentence, an address, a JSON
body or lines of a log. "-" reads it from standard input.

Nothing is asked of the network, and nothing of the pasted text is shown again
but codes and correlation ids. A code that is not known is exit code 1.`,
		Example: `  mcpctl explain AADSTS50011
  mcpctl explain 50011 invalid_grant
  mcpctl explain "AADSTS65001: The user or administrator has not consented ..."
  mcpctl explain - <error.log
  mcpctl explain --list`,
		Args: func(c *cobra.Command, args []string) error {
			if o.list != (len(args) == 0) {
				return fmt.Errorf("name a code or paste the error in quotes; --list alone lists all codes")
			}
			return nil
		},
		ValidArgsFunction: completeCodes,
		RunE: func(_ *cobra.Command, args []string) error {
			o.args = args
			return run(o)
		},
	}
	// The usual words would repeat what was pasted.
	c.SetFlagErrorFunc(func(c *cobra.Command, _ error) error {
		return usagef(c, "this flag is not known, or has no such value. Put -- before a text that begins with a dash")
	})
	c.Flags().BoolVar(&o.list, "list", false, "list all codes with their titles")
	o.out.add(c)
	return c
}

func completeCodes(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	var codes []string
	for _, e := range catalogue.All() {
		if !strings.Contains(e.Code, " ") {
			codes = append(codes, e.Code+"\t"+e.Title)
		}
	}
	return codes, cobra.ShellCompDirectiveNoFileComp
}

// maxErrorText bounds what is read from standard input, in bytes.
const maxErrorText = 1 << 20

func runExplain(o explainOptions) error {
	if o.list {
		if o.out.json() {
			return writeJSON(o.deps.Stdout, map[string]any{"entries": explanations(catalogue.All())})
		}
		return listCodes(newScreen(o.deps.Stdout, o.deps.Getenv))
	}
	found, exact := lookupAll(o.args)
	if !exact {
		text := strings.Join(o.args, " ")
		if text == "-" {
			data, err := io.ReadAll(io.LimitReader(o.deps.Stdin, maxErrorText))
			if err != nil {
				return fmt.Errorf("reading the error: %w", err)
			}
			text = string(data)
		}
		found = catalogue.Find(text)
	}
	var err error
	if o.out.json() {
		err = writeJSON(o.deps.Stdout, foundJSON(found))
	} else {
		err = printFound(newScreen(o.deps.Stdout, o.deps.Getenv), found, exact)
	}
	if err == nil && len(found.Entries) == 0 {
		err = unexplained(found)
	}
	return err
}

var entraCode = regexp.MustCompile(`(?i)^(?:AADSTS)?(\d{4,9})$`)

// lookupAll is for arguments that are all codes; exact is false where they are not.
func lookupAll(args []string) (found catalogue.Found, exact bool) {
	for _, arg := range args {
		if e, ok := catalogue.Lookup(arg); ok {
			found.Entries = append(found.Entries, e)
		} else if m := entraCode.FindStringSubmatch(arg); m != nil {
			found.Unknown = append(found.Unknown, "AADSTS"+m[1])
		} else {
			return catalogue.Found{}, false
		}
	}
	return found, true
}

// unexplained says what to do about an error that has no entry. It repeats
// nothing of the text, which may hold a token.
func unexplained(found catalogue.Found) error {
	if len(found.Unknown) == 0 {
		return fmt.Errorf("there is no code in this that mcpctl knows: AADSTS and a number, an OAuth error such as invalid_grant, or the rule that mcpctl serve names.\n" +
			"Look in the whole answer or in the log for one: mcpctl logs. All that are known: mcpctl explain --list")
	}
	return fmt.Errorf("%s is not known to mcpctl.\n"+
		"Microsoft describes it at https://login.microsoftonline.com/error?code=%s\n"+
		"An administrator finds the failed sign-in, with its reason and the policies that applied, by its correlation id:\n"+
		"Entra admin center > Monitoring & health > Sign-in logs", strings.Join(found.Unknown, ", "), strings.TrimPrefix(found.Unknown[0], "AADSTS"))
}
