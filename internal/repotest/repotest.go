// Package repotest holds the rules that the whole repository keeps: who may import whom, what stands where, and what no
// file may contain. CONTRIBUTING.md states them; the test of this package fails, and says why, when a change breaks one.
package repotest

import (
	"fmt"
	"slices"
)

// A Rule is one promise that the tree keeps.
type Rule struct {
	// Name is the rule in a few words.
	Name string
	// Check returns a message for each place that breaks the rule: where, what is wrong, what to do instead.
	Check func(*Tree) []string
}

// Rules returns every rule.
func Rules() []Rule {
	return slices.Concat(importRules(), sourceRules(), layoutRules())
}

// findings collects a rule's messages.
type findings []string

func (f *findings) add(format string, args ...any) {
	*f = append(*f, fmt.Sprintf(format, args...))
}
