package server

import (
	"fmt"
	"strings"
)

// ConfigError lists every fault of one configuration file, in the file's order.
type ConfigError struct {
	File   string
	Faults []Fault
}

// Fault is one thing to change in a configuration file. Its texts never repeat
// the values of env, headers and command, which may be secrets.
type Fault struct {
	Line, Column int    // 1 is the first; 0 where the whole file is meant
	Key          string // such as upstreams[0].url; "" where the whole file is meant
	Message      string // what is wrong
	Fix          string // what to write instead; may be empty
}

// Error is one line a fault, like "mcpctl.yaml:12: entra.tenant_id: …", below a
// heading where there are several.
func (e *ConfigError) Error() string {
	var b strings.Builder
	if len(e.Faults) > 1 {
		fmt.Fprintf(&b, "%d faults in the configuration:\n", len(e.Faults))
	}
	for i, f := range e.Faults {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(e.File)
		if f.Line > 0 {
			fmt.Fprintf(&b, ":%d", f.Line)
		}
		b.WriteString(": ")
		b.WriteString(f.String())
	}
	return b.String()
}

// String is the fault without its place.
func (f Fault) String() string {
	text := f.Message
	if f.Key != "" {
		text = f.Key + ": " + text
	}
	if f.Fix != "" {
		text += ". " + f.Fix
	}
	return text
}
