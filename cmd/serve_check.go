package cmd

import (
	"context"
	"errors"
	"log/slog"

	"github.com/mcpctl/mcpctl/internal/doctor"
	"github.com/mcpctl/mcpctl/internal/redact"
	"github.com/mcpctl/mcpctl/server"
)

// checkReport is what serve --check -o json prints. The field names are stable.
type checkReport struct {
	OK     bool           `json:"ok"`
	Faults []checkFault   `json:"faults,omitempty"` // of the file; then nothing else was checked
	Checks []doctor.Check `json:"checks,omitempty"`
}

type checkFault struct {
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Key     string `json:"key,omitempty"`
	Message string `json:"message"`
	Fix     string `json:"fix,omitempty"`
}

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
	report := checkReport{Checks: checksOf(results)}
	failed := doctor.Failed(report.Checks)
	report.OK = len(failed) == 0
	if o.output.json() {
		err = writeJSON(o.deps.Stdout, report)
	} else {
		err = printChecked(newScreen(o.deps.Stdout, o.deps.Getenv), marksFor(o.deps.Getenv), o.config, report.Checks)
	}
	if err != nil || report.OK {
		return err
	}
	return failedChecks(failed)
}

// checksOf makes the server's checks look like those of mcpctl doctor.
func checksOf(results []server.CheckResult) []doctor.Check {
	checks := make([]doctor.Check, len(results))
	for i, r := range results {
		checks[i] = doctor.Check{
			ID: r.ID, Name: r.ID, Status: doctor.Status(r.Status), Because: r.Because,
			Detail: redact.String(oneLine(r.Detail)), Fix: redact.String(oneLine(r.Fix)),
		}
	}
	return checks
}
