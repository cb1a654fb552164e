package server

import "strings"

// policy looks for rules about names as clients see them: rules see the names that
// the upstreams gave, so that such a rule would allow, or deny, nothing.
func (c *checker) policy() {
	for _, name := range c.cfg.upstreamNames() {
		for i, rule := range c.cfg.Policy {
			text := rule.Allow + rule.Deny
			if strings.Contains(text, `"`+name+"__") || strings.Contains(text, "'"+name+"__") {
				c.warn("policy", `Write tool.upstream == "`+name+`" && tool.name == "…", with the name that the upstream gave it`,
					"policy[%d] has a name that begins with %s__: rules see tools and prompts without that", i, name)
			}
		}
	}
}
