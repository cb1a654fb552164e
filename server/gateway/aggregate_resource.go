package gateway

import (
	"regexp"
	"strings"
)

// resourceMap remembers which upstream has which resources.
type resourceMap struct {
	exact     map[string]*member
	templates map[string]resourceTemplate
}

// resourceTemplate is a URI template (RFC 6570) and whose it is.
type resourceTemplate struct {
	member  *member
	pattern *regexp.Regexp
	literal int // bytes outside of expressions: the more, the closer a match
}

func newResourceMap() resourceMap {
	return resourceMap{exact: map[string]*member{}, templates: map[string]resourceTemplate{}}
}

// add notes that the upstream has a resource, and returns the one that had it
// before: that keeps it.
func (r *resourceMap) add(m *member, uri string) *member {
	if owner := r.exact[uri]; owner != nil {
		return owner
	}
	if uri == "" {
		return m
	}
	if len(r.exact) >= maxResources {
		clear(r.exact) // lists bring back what is in use
	}
	r.exact[uri] = m
	return m
}

func (r *resourceMap) addTemplate(m *member, template string) *member {
	if t, known := r.templates[template]; known {
		return t.member
	}
	if len(r.templates) >= maxResources/10 {
		clear(r.templates)
	}
	pattern, literal := templatePattern(template)
	if pattern != nil {
		r.templates[template] = resourceTemplate{m, pattern, literal}
	}
	return m
}

// ownerOf returns the upstream that has the resource, or a template of that
// name or for it; nil where that is unknown.
func (a *Aggregate) ownerOf(uri string) *member {
	if uri == "" {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if m := a.resources.exact[uri]; m != nil {
		return m
	}
	if t, ok := a.resources.templates[uri]; ok {
		return t.member
	}
	var best resourceTemplate
	tie := false
	for _, t := range a.resources.templates {
		if (best.member == nil || t.literal >= best.literal) && t.pattern.MatchString(uri) {
			tie = best.member != nil && t.literal == best.literal && t.member != best.member
			best = t
		}
	}
	if tie {
		return nil // equally close: they are asked one after another
	}
	return best.member
}

// maxTemplate bounds a template, in bytes.
const maxTemplate = 2 << 10

// templatePattern returns what URIs of a template match, nil for one that can't
// be read.
func templatePattern(template string) (pattern *regexp.Regexp, literal int) {
	if len(template) > maxTemplate {
		return nil, 0
	}
	var out strings.Builder
	out.WriteString(`^(?s:`)
	for rest := template; rest != ""; {
		text, after, found := strings.Cut(rest, "{")
		literal += len(text)
		out.WriteString(regexp.QuoteMeta(text))
		if !found {
			break
		}
		expression, tail, closed := strings.Cut(after, "}")
		if !closed || expression == "" {
			return nil, 0
		}
		if strings.ContainsRune("+#./;?&", rune(expression[0])) {
			out.WriteString(`.*`) // may hold reserved characters (RFC 6570 §3.2)
		} else {
			out.WriteString(`[^/?#]*`)
		}
		rest = tail
	}
	out.WriteString(`)$`)
	re, err := regexp.Compile(out.String())
	if err != nil {
		return nil, 0
	}
	return re, literal
}
