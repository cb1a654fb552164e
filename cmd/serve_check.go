package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/mcpctl/mcpctl/server"
)

// checkReport is what serve --check -o json prints. The field names are stable.
type checkReport struct {
	OK     bool                 `json:"ok"`
	Faults []checkFault         `json:"faults,omitempty"` // of the file; then nothing else was checked
	Checks []server.CheckResult `json:"checks,omitempty"`
}

type checkFault struct {
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Key     string `json:"key,omitempty"`
	Message string `json:"message"`
	Fix     string `json:"fix,omitempty"`
}

// errCheck: what is wrong has been printed.
var errCheck = errors.New("the configuration does not work as it is")

// checkServe ends with exit code 2 for faults in the file and 1 for what its
// surroundings lack.
func checkServe(ctx context.Context, o serveOptions, log *slog.Logger) error {
	cfg, err := o.configuration()
	var faults *server.ConfigError
	if errors.As(err, &faults) && o.output.json() {
		report := checkReport{}
		for _, f := range faults.Faults {
			report.Faults = append(report.Faults, checkFault{f.Line, f.Column, f.Key, f.Message, f.Fix})
		}
		return errors.Join(writeJSON(o.deps.Stdout, report), err)
	}
	if err != nil {
		return err
	}
	results := server.Check(ctx, server.CheckOptions{
		Config: cfg, Logger: log,
		Credentials: func() (server.Credentials, error) { return serverCredentials(cfg, log) },
	})
	if err := ctx.Err(); err != nil {
		return err
	}
	report := checkReport{OK: true, Checks: results}
	for _, r := range results {
		report.OK = report.OK && r.Status != server.CheckFail
	}
	if o.output.json() {
		err = writeJSON(o.deps.Stdout, report)
	} else {
		err = printChecks(o.deps.Stdout, results)
	}
	if err != nil {
		return err
	}
	if !report.OK {
		return errCheck
	}
	return nil
}

func printChecks(w io.Writer, results []server.CheckResult) error {
	for _, r := range results {
		if _, err := fmt.Fprintf(w, "%-5s %s: %s\n", r.Status, r.Name, r.Detail); err != nil {
			return err
		}
	}
	return nil
}
