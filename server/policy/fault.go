package policy

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common"
	"cel.dev/cel-go/common/operators"
)

// maxExpressionFaults are told of one expression.
const maxExpressionFaults = 3

const syntaxError = "Syntax error: "

// expressionFault says in plain words what the compiler has against an expression.
func expressionFault(source string, issues *cel.Issues) error {
	var texts []string
	for _, e := range issues.Errors() {
		texts = append(texts, place(source, e.Location)+plainly(e.Message))
		// After a slip the compiler complains about much that is right.
		if strings.HasPrefix(e.Message, syntaxError) || len(texts) == maxExpressionFaults {
			break
		}
	}
	return errors.New(strings.Join(texts, "; "))
}

// place is where in the expression, counted from 1.
func place(source string, at common.Location) string {
	switch {
	case at == nil || at.Line() < 1:
		return ""
	case !strings.Contains(strings.TrimSpace(source), "\n"):
		return fmt.Sprintf("at column %d of the expression: ", at.Column()+1)
	}
	return fmt.Sprintf("at line %d, column %d of the expression: ", at.Line(), at.Column()+1)
}

var (
	quotedWord = regexp.MustCompile(`'[^' ]+'`)
	expecting  = regexp.MustCompile(` expecting (\{.*\}|'.*'|<EOF>|[A-Z_]+)$`)
	noOverload = regexp.MustCompile(`^found no matching overload for '(.+)' applied to '(.+)'$`)
)

// plainWords are what messages begin with, in the compiler's words and in ours.
var plainWords = [][2]string{
	{"mismatched input '<EOF>'", "it ends too early"},
	{"no viable alternative at input '<EOF>'", "it ends too early"},
	{"mismatched input ", "unexpected "},
	{"extraneous input ", "unexpected "},
	{"no viable alternative at input ", "unexpected "},
	{"token recognition error at: ", "unexpected "},
	{"undeclared reference to ", "there is nothing called "},
	{"undefined field ", "there is no field "},
	{"expected type 'bool' but found ", "this must be true or false, and is of type "},
}

// plainly puts a message of the compiler into the words of whoever writes rules.
func plainly(message string) string {
	text := strings.TrimPrefix(strings.Join(strings.Fields(message), " "), syntaxError)
	text = expecting.ReplaceAllString(text, "")
	text = strings.ReplaceAll(text, " (in container '')", "")
	text = quotedWord.ReplaceAllStringFunc(text, func(word string) string {
		if symbol, ok := operators.FindReverse(strings.Trim(word, "'")); ok && symbol != "" {
			return "'" + symbol + "'"
		}
		return word
	})
	text = noOverload.ReplaceAllString(text, "'$1' does not go with $2")
	for _, words := range plainWords {
		if rest, found := strings.CutPrefix(text, words[0]); found {
			text = words[1] + rest
			break
		}
	}
	if strings.HasPrefix(text, "there is nothing called ") && !strings.Contains(text, "did you mean") {
		text += " (variables are user, client, tool and args)"
	}
	return text
}
