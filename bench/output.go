package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// A report is what the file of raw numbers holds.
type report struct {
	Time    time.Time         `json:"time"`
	Machine map[string]string `json:"machine"`
	Plan    plan              `json:"plan"`
	Results []*result         `json:"results"`
}

func (rep report) save(o options, root string, stderr io.Writer) error {
	out := o.out
	if out == "" {
		if o.quick {
			return nil
		}
		out = filepath.Join(root, "bench", "results", rep.Time.Format("20060102-150405")+".json")
		if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
			return err
		}
	}
	data, err := json.MarshalIndent(rep, "", "\t")
	if err != nil {
		return err
	}
	if err := os.WriteFile(out, data, 0o644); err != nil {
		return fmt.Errorf("keeping the raw numbers: %w", err)
	}
	fmt.Fprintf(stderr, "bench: raw numbers are in %s\n", out)
	return nil
}

func (rep report) print(o options, w io.Writer) error {
	if o.json {
		out := json.NewEncoder(w)
		out.SetIndent("", "  ")
		return out.Encode(rep)
	}
	m := rep.Machine
	fmt.Fprintf(w, "%s, %s cores (load average %s before the run), %s; %s, Node %s; %s. Loopback HTTP, medians; %d starts, %d rounds of %d calls in turns, %d calls at %d outstanding.\n\n",
		m["processor"], m["cores"], cmp.Or(m["load_average"], "unknown"), m["system"], m["go"], m["node"], rep.Time.Format(time.DateOnly),
		rep.Plan.Starts, rep.Plan.Rounds, rep.Plan.Calls, rep.Plan.Load, outstanding)
	writeTable(w, rep.Plan, rep.Results)
	return nil
}

func machine(ctx context.Context) map[string]string {
	node, err := exec.CommandContext(ctx, "node", "--version").Output()
	if err != nil {
		node = []byte("none")
	}
	return map[string]string{
		"processor": processor(), "cores": strconv.Itoa(runtime.NumCPU()), "load_average": loadAverage(), "system": runtime.GOOS + "/" + runtime.GOARCH,
		"go": runtime.Version(), "node": strings.TrimSpace(string(node)),
	}
}
