package entra

import (
	"errors"
	"net/http"
	"strings"
)

// A Challenge is one challenge of a WWW-Authenticate header (RFC 9110 section
// 11.6.1).
type Challenge struct {
	Scheme  string            // in lower case
	Token68 string            // for schemes that carry one token instead of parameters
	Params  map[string]string // names in lower case, values unquoted; never nil
}

// maxChallengeBytes bounds the header text that is looked at, all lines
// together.
const maxChallengeBytes = 64 << 10

var errMalformedChallenge = errors.New("malformed WWW-Authenticate header")

// ParseChallenges reads the values of a WWW-Authenticate header, each of which
// can hold several challenges. After a syntax error it returns the challenges
// before it, together with the error: servers are careless, and the first
// challenge is usually the one that counts.
func ParseChallenges(values []string) ([]Challenge, error) {
	var challenges []Challenge
	total := 0
	for _, value := range values {
		if total += len(value); total > maxChallengeBytes {
			return challenges, errMalformedChallenge
		}
		p := challengeParser{rest: value}
		parsed, err := p.challenges()
		challenges = append(challenges, parsed...)
		if err != nil {
			return challenges, err
		}
	}
	return challenges, nil
}

// BearerChallenge returns the first Bearer challenge in h.
func BearerChallenge(h http.Header) (Challenge, bool) {
	challenges, _ := ParseChallenges(h.Values("WWW-Authenticate"))
	for _, c := range challenges {
		if c.Scheme == "bearer" {
			return c, true
		}
	}
	return Challenge{}, false
}

// A challengeParser walks over one header value. The grammar is ambiguous only
// in appearance: after a comma, "name" starts a new challenge and "name="
// another parameter.
type challengeParser struct{ rest string }

func (p *challengeParser) challenges() ([]Challenge, error) {
	var found []Challenge
	for {
		p.skip(" \t,")
		if p.rest == "" {
			return found, nil
		}
		scheme := p.token()
		if scheme == "" {
			return found, errMalformedChallenge
		}
		c := Challenge{Scheme: strings.ToLower(scheme), Params: map[string]string{}}
		if p.rest != "" && !strings.HasPrefix(p.rest, " ") && !strings.HasPrefix(p.rest, ",") && !strings.HasPrefix(p.rest, "\t") {
			return found, errMalformedChallenge
		}
		p.skip(" \t")
		err := p.credentials(&c)
		found = append(found, c)
		if err != nil {
			return found, err
		}
	}
}

// credentials reads what follows the scheme: nothing, a token68 or parameters.
func (p *challengeParser) credentials(c *Challenge) error {
	if t := p.token68(); t != "" {
		c.Token68 = t
		return nil
	}
	for first := true; ; first = false {
		if !first {
			p.skip(" \t")
			if p.rest == "" {
				return nil
			}
			if p.rest[0] != ',' {
				return errMalformedChallenge
			}
		}
		before := p.rest
		p.skip(" \t,")
		name := p.token()
		p.skip(" \t")
		if name == "" || !strings.HasPrefix(p.rest, "=") {
			p.rest = before // not a parameter: the next challenge, or the end
			return nil
		}
		p.rest = p.rest[1:]
		p.skip(" \t")
		value, err := p.value()
		if err != nil {
			return err
		}
		// A repeated parameter is malformed; the first one counts.
		if name = strings.ToLower(name); !has(c.Params, name) {
			c.Params[name] = value
		}
	}
}

func has(m map[string]string, key string) bool { _, ok := m[key]; return ok }

// value reads a token or a quoted-string.
func (p *challengeParser) value() (string, error) {
	if !strings.HasPrefix(p.rest, `"`) {
		// Some servers leave URLs unquoted: take all up to a separator.
		end := strings.IndexAny(p.rest, " \t,\"")
		if end < 0 {
			end = len(p.rest)
		}
		v := p.rest[:end]
		p.rest = p.rest[end:]
		if v == "" {
			return "", errMalformedChallenge
		}
		return v, nil
	}
	var b strings.Builder
	for i := 1; i < len(p.rest); i++ {
		switch c := p.rest[i]; {
		case c == '"':
			p.rest = p.rest[i+1:]
			return b.String(), nil
		case c == '\\' && i+1 < len(p.rest):
			i++
			b.WriteByte(p.rest[i])
		case c < ' ' && c != '\t' || c == 0x7f:
			return "", errMalformedChallenge
		default:
			b.WriteByte(c)
		}
	}
	return "", errMalformedChallenge
}

// token reads the longest token (RFC 9110 section 5.6.2), which can be empty.
func (p *challengeParser) token() string {
	i := 0
	for i < len(p.rest) && isTokenByte(p.rest[i]) {
		i++
	}
	t := p.rest[:i]
	p.rest = p.rest[i:]
	return t
}

// token68 reads a token68 if all up to the next comma is one. A lone word
// could also be the next scheme, but then a comma would come before it.
func (p *challengeParser) token68() string {
	end := strings.IndexByte(p.rest, ',')
	if end < 0 {
		end = len(p.rest)
	}
	t := strings.TrimRight(p.rest[:end], " \t")
	body := strings.TrimRight(t, "=")
	if body == "" {
		return ""
	}
	for i := range len(body) {
		if c := body[i]; !isAlphanumeric(c) && strings.IndexByte("-._~+/", c) < 0 {
			return ""
		}
	}
	p.rest = p.rest[end:]
	return t
}

func (p *challengeParser) skip(set string) { p.rest = strings.TrimLeft(p.rest, set) }

func isTokenByte(c byte) bool {
	return isAlphanumeric(c) || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
