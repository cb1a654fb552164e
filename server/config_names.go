package server

import (
	"fmt"
	"slices"
	"strings"
)

// checkToolNames finds limits and cache rules that could never apply: several
// upstreams are served as one, and what clients see begins with an upstream's name.
func (r *configReader) checkToolNames() {
	if len(r.cfg.Upstreams) < 2 || r.faulty("upstreams") {
		return
	}
	for i, t := range r.cfg.Limits.Tools {
		r.checkToolName(fmt.Sprintf("limits.tools[%d].tool", i), t.Tool)
	}
	for i, c := range r.cfg.Cache {
		r.checkToolName(fmt.Sprintf("cache[%d].tool", i), c.Tool)
	}
}

func (r *configReader) checkToolName(key, name string) {
	names := r.cfg.upstreamNames()
	upstream, inner, prefixed := strings.Cut(name, "__")
	if !r.has(key) || r.faulty(key) || prefixed && inner != "" && slices.Contains(names, upstream) {
		return
	}
	if prefixed && inner != "" {
		name = inner
	}
	r.fault(r.at(key), key, "no client sees a tool of this name: with several upstreams their names are UPSTREAM__NAME",
		"Write one of "+strings.Join(names, ", ")+" before the tool's own name, like "+names[0]+"__"+name)
}
