package catalogue

import (
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Found is what a text mentions. Nothing of the text itself is in it but codes
// and ids, whose form leaves no room for a secret.
type Found struct {
	// Entries are those that the text mentions: each once, AADSTS codes first,
	// then rules, messages, JSON-RPC codes, HTTP statuses and OAuth errors, which
	// say less and less.
	Entries []Entry
	// Unknown are codes of Entra that have no entry.
	Unknown []string
	// CorrelationID and TraceID are what Microsoft's support asks for; "" where
	// the text has none.
	CorrelationID, TraceID string
}

// maxText bounds how much of a text is searched, in bytes.
const maxText = 1 << 20

const guid = `([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})`

var (
	aadstsPattern = regexp.MustCompile(`(?i)\bAADSTS(\d{4,9})\b`)
	// Members of Entra's answers, its help page's address, and sign-in logs.
	numberPattern  = regexp.MustCompile(`(?i)\berror[ _]?codes?["' ]*[:=]?\s*\[?\s*(\d{4,}(?:\s*,\s*\d{4,})*)`)
	helpPattern    = regexp.MustCompile(`(?i)/error\?code=(\d{4,9})\b`)
	digitsPattern  = regexp.MustCompile(`\d+`)
	wordPattern    = regexp.MustCompile(`[a-z]+(?:_[a-z]+)+`)
	rulePattern    = regexp.MustCompile(`(?i)(?:\brule["']?\s*[:=]\s*["']?|\brefusing token \()([a-z0-9]+(?:-[a-z0-9]+)*)`)
	statusPattern  = regexp.MustCompile(`(?i)(?:\bHTTP(?:/\d(?:\.\d)?)?|\bstatus(?: code)?|\bstatusCode)["']?[ :=]+(\d{3})\b`)
	rpcPattern     = regexp.MustCompile(`(?:^|[^\w.-])(-3[12]\d{3})\b`)
	correlationRE  = regexp.MustCompile(`(?i)correlation[ _-]?id["']?\s*[:=]?\s*["']?` + guid)
	traceRE        = regexp.MustCompile(`(?i)(?:trace|request)[ _-]?id["']?\s*[:=]?\s*["']?` + guid)
	escapedPattern = regexp.MustCompile(`\\u([0-9a-fA-F]{4})`)
	percentPattern = regexp.MustCompile(`(?:%[0-9a-fA-F]{2})+`)
)

// Find returns what text mentions: an error that was pasted as it was shown, a
// page's address, a JSON body or a line of a log. Escapes of URLs and JSON are
// undone first.
func Find(text string) Found {
	if len(text) > maxText {
		text = text[:maxText]
	}
	text = decode(strings.ToValidUTF8(text, "?"))
	f := &finder{}
	for _, m := range aadstsPattern.FindAllStringSubmatch(text, -1) {
		f.number(m[1])
	}
	for _, pattern := range []*regexp.Regexp{numberPattern, helpPattern} {
		for _, m := range pattern.FindAllStringSubmatch(text, -1) {
			for _, digits := range digitsPattern.FindAllString(m[1], -1) {
				f.number(digits)
			}
		}
	}
	for _, m := range rulePattern.FindAllStringSubmatch(text, -1) {
		if e, ok := LookupRule(strings.ToLower(m[1])); ok {
			f.add(e)
		}
	}
	// A form's blanks are plus signs.
	f.messages(strings.ToLower(strings.ReplaceAll(text, "+", " ")))
	for _, m := range rpcPattern.FindAllStringSubmatch(text, -1) {
		f.code(m[1], KindRPC)
	}
	for _, m := range statusPattern.FindAllStringSubmatch(text, -1) {
		f.code("HTTP "+m[1], KindStatus)
	}
	for _, word := range wordPattern.FindAllString(text, -1) {
		f.code(word, KindOAuth)
	}
	f.CorrelationID = first(correlationRE, text)
	f.TraceID = first(traceRE, text)
	return f.Found
}

type finder struct{ Found }

func (f *finder) add(e Entry) {
	if !slices.ContainsFunc(f.Entries, func(other Entry) bool { return other.Code == e.Code }) {
		f.Entries = append(f.Entries, e)
	}
}

func (f *finder) code(code string, kind Kind) {
	if e, ok := byCode[strings.ToLower(code)]; ok && e.Kind == kind {
		f.add(e)
	}
}

// number adds the AADSTS code with these digits.
func (f *finder) number(digits string) {
	digits = strings.TrimLeft(digits, "0")
	if len(digits) < 4 || len(digits) > 9 {
		return
	}
	code := "AADSTS" + digits
	if e, ok := byCode[strings.ToLower(code)]; ok {
		f.add(e)
	} else if !slices.Contains(f.Unknown, code) {
		f.Unknown = append(f.Unknown, code)
	}
}

func (f *finder) messages(lower string) {
	for _, e := range messages {
		if slices.ContainsFunc(e.phrases, func(p string) bool { return strings.Contains(lower, p) }) {
			f.add(e)
		}
	}
}

func first(re *regexp.Regexp, text string) string {
	if m := re.FindStringSubmatch(text); m != nil {
		return strings.ToLower(m[1])
	}
	return ""
}

// decode undoes the escapes of URLs, which may be nested, and of JSON.
func decode(text string) string {
	for range 3 {
		before := text
		text = escapedPattern.ReplaceAllStringFunc(text, func(s string) string {
			n, err := strconv.ParseUint(s[2:], 16, 32)
			if err != nil || !utf8.ValidRune(rune(n)) {
				return s
			}
			return string(rune(n))
		})
		text = percentPattern.ReplaceAllStringFunc(text, func(s string) string {
			plain, err := url.PathUnescape(s)
			if err != nil {
				return s
			}
			return strings.ToValidUTF8(plain, "?")
		})
		if text == before {
			break
		}
	}
	return text
}
