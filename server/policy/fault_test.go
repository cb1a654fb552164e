package policy

import "testing"

// Faults are told in words that whoever writes rules understands, with the place
// in the expression.
func TestExpressionFaults(t *testing.T) {
	for expression, want := range map[string]string{
		`tool.annotation.readOnlyHint`: "at column 5 of the expression: there is no field 'annotation'",
		`usr.name == "x"`:              "at column 1 of the expression: there is nothing called 'usr' (did you mean 'user'?)",
		`nobody == "x"`:                "at column 1 of the expression: there is nothing called 'nobody' (variables are user, client, tool and args)",
		`((`:                           "at column 3 of the expression: it ends too early",
		`tool.name == 1`:               "at column 11 of the expression: '==' does not go with (string, int)",
		`tool.name in 5`:               "at column 11 of the expression: 'in' does not go with (string, int)",
		`tool.kind == "x" and true`:    "at column 18 of the expression: unexpected 'and'",
		`tool.name && true`:            "at column 5 of the expression: this must be true or false, and is of type 'string'",
		"args.x ==\n  usr.y":           "at line 2, column 3 of the expression: there is nothing called 'usr' (did you mean 'user'?)",
		`usr == "x" || usr == "y"`:     "at column 1 of the expression: there is nothing called 'usr' (did you mean 'user'?); at column 15 of the expression: there is nothing called 'usr' (did you mean 'user'?)",
		`1 + 1`:                        "the expression is of type int, and must be true or false",
	} {
		if err := Check(Rule{Allow: expression}); err == nil || err.Error() != want {
			t.Errorf("%s:\ngot  %v\nwant %s", expression, err, want)
		}
	}
	if err := Check(Rule{Name: "mine", Allow: "true", Scopes: []string{"x"}}); err != nil {
		t.Error(err)
	}
}
