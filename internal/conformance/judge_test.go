package conformance_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// timed is the scenario that listens to streams for fixed parts of a second: a
// busy machine fails it. It may try twice.
const timed = "server-stateless"

// trial is a way to the conformance server.
type trial struct {
	url string
	// own are scenarios that judge what stands before mcpctl instead of it, by
	// name with the reason. None of them is scored.
	own map[string]string
}

// judge runs all scenarios on the way to the server, each as a subtest. direct is
// what they report without mcpctl, nil if this is that run. It returns what they
// report.
func (r requirements) judge(t *testing.T, way trial, direct results) results {
	t.Helper()
	got := r.run(t, way.url)
	passed := 0
	for _, scenario := range slices.Concat(r.scored, r.others) {
		scored := slices.Contains(r.scored, scenario)
		if reason := way.own[scenario]; reason != "" {
			if scored {
				t.Errorf("%s is scored, so it can't be left out", scenario)
			}
			continue
		}
		ok := t.Run(scenario, func(t *testing.T) {
			faults := judgeScenario(got[scenario], direct, scenario, scored)
			if scenario == timed && len(faults) > 0 {
				t.Logf("trying again alone, since it was perhaps too slow:\n%s", strings.Join(faults, "\n"))
				faults = judgeScenario(r.runAlone(t, way.url, scenario), direct, scenario, scored)
			}
			for _, fault := range faults {
				t.Error(fault)
			}
		})
		if ok && scored {
			passed++
		}
	}
	t.Logf("%d of %d required scenarios pass", passed, len(r.scored))
	return got
}

// judgeScenario returns what is wrong with a scenario's report.
func judgeScenario(checks []check, direct results, scenario string, scored bool) []string {
	if len(checks) == 0 && scored {
		return []string{"the scenario reported nothing"}
	}
	var faults []string
	for _, c := range checks {
		if c.Status == "FAILURE" && scored {
			faults = append(faults, c.String())
		}
	}
	if direct == nil || len(faults) > 0 {
		return faults
	}
	got, want := statuses(checks), statuses(direct[scenario])
	for _, id := range slices.Sorted(maps.Keys(merged(got, want))) {
		if alike(got[id], want[id]) {
			continue
		}
		faults = append(faults, fmt.Sprintf("%s reports %v instead of %v as without mcpctl", id, got[id], want[id]))
		for _, c := range checks {
			if c.ID == id && c.Status != "SUCCESS" {
				faults = append(faults, c.String())
			}
		}
	}
	return faults
}

// statuses are the verdicts of each check, in order.
func statuses(checks []check) map[string][]string {
	found := map[string][]string{}
	for _, c := range checks {
		found[c.ID] = append(found[c.ID], c.Status)
	}
	return found
}

// alike compares the verdicts of one check: each must be as good as without
// mcpctl. INFO is a remark and no verdict, save where it says that something was
// done in another way that is right, too.
func alike(got, want []string) bool {
	remark := func(status string) bool { return status == "INFO" }
	bad := func(status string) bool { return status != "SUCCESS" }
	gotVerdicts, wantVerdicts := slices.DeleteFunc(slices.Clone(got), remark), slices.DeleteFunc(slices.Clone(want), remark)
	if len(got) > 0 && len(gotVerdicts) == 0 {
		return !slices.ContainsFunc(wantVerdicts, bad)
	}
	return slices.EqualFunc(gotVerdicts, wantVerdicts, func(got, want string) bool { return got == want || !bad(got) })
}

func merged(a, b map[string][]string) map[string][]string {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

// maxDetails is how much of a check's details is shown, in bytes.
const maxDetails = 4000

func (c check) String() string {
	var details bytes.Buffer
	if json.Indent(&details, c.Details, "", "  ") != nil {
		details.Reset()
	}
	if details.Len() > maxDetails {
		details.Truncate(maxDetails)
		details.WriteString("…")
	}
	return fmt.Sprintf("%s %s: %s\n%s\n%s", c.Status, c.ID, c.Description, c.ErrorMessage, &details)
}
