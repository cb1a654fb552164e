package entra

import (
	"net/http"
	"reflect"
	"testing"
)

func TestParseChallenges(t *testing.T) {
	none := map[string]string{}
	tests := []struct {
		name   string
		values []string
		want   []Challenge
		bad    bool
	}{
		{"nothing", nil, nil, false},
		{"a scheme alone", []string{"Negotiate"}, []Challenge{{Scheme: "negotiate", Params: none}}, false},
		{"a token68", []string{"Negotiate YIIabc=="}, []Challenge{{Scheme: "negotiate", Token68: "YIIabc==", Params: none}}, false},
		{"MCP's", []string{`Bearer resource_metadata="https://h/.well-known/x", scope="a b"`},
			[]Challenge{{Scheme: "bearer", Params: map[string]string{"resource_metadata": "https://h/.well-known/x", "scope": "a b"}}}, false},
		{"unquoted values", []string{`Bearer resource_metadata=https://h/x,error=invalid_token`},
			[]Challenge{{Scheme: "bearer", Params: map[string]string{"resource_metadata": "https://h/x", "error": "invalid_token"}}}, false},
		{"RFC 9110's example", []string{`Basic realm="simple", Newauth realm="apps", type=1, title="Login to \"apps\""`},
			[]Challenge{
				{Scheme: "basic", Params: map[string]string{"realm": "simple"}},
				{Scheme: "newauth", Params: map[string]string{"realm": "apps", "type": "1", "title": `Login to "apps"`}},
			}, false},
		{"several lines", []string{"Basic", `Bearer error="x"`},
			[]Challenge{{Scheme: "basic", Params: none}, {Scheme: "bearer", Params: map[string]string{"error": "x"}}}, false},
		{"schemes in one line", []string{"Negotiate, NTLM, Bearer"},
			[]Challenge{{Scheme: "negotiate", Params: none}, {Scheme: "ntlm", Params: none}, {Scheme: "bearer", Params: none}}, false},
		{"empty list elements", []string{`, ,Bearer a=1,, b=2, `},
			[]Challenge{{Scheme: "bearer", Params: map[string]string{"a": "1", "b": "2"}}}, false},
		{"spaces around =", []string{`Bearer a = "1" , b	=2`},
			[]Challenge{{Scheme: "bearer", Params: map[string]string{"a": "1", "b": "2"}}}, false},
		{"names in any case", []string{`BEARER Resource_Metadata="u"`},
			[]Challenge{{Scheme: "bearer", Params: map[string]string{"resource_metadata": "u"}}}, false},
		{"commas and quotes inside", []string{`Bearer error_description="a, b=\"c\" \\"`},
			[]Challenge{{Scheme: "bearer", Params: map[string]string{"error_description": `a, b="c" \`}}}, false},
		{"a token68 and another challenge", []string{`Negotiate abc=, Bearer a=1`},
			[]Challenge{{Scheme: "negotiate", Token68: "abc=", Params: none}, {Scheme: "bearer", Params: map[string]string{"a": "1"}}}, false},
		{"the first of two equal names counts", []string{`Bearer a=1, a=2`},
			[]Challenge{{Scheme: "bearer", Params: map[string]string{"a": "1"}}}, false},
		{"an open quote", []string{`Basic realm="x", Bearer a="open`},
			[]Challenge{{Scheme: "basic", Params: map[string]string{"realm": "x"}}, {Scheme: "bearer", Params: none}}, true},
		{"no comma between parameters", []string{`Bearer a="1" b="2"`},
			[]Challenge{{Scheme: "bearer", Params: map[string]string{"a": "1"}}}, true},
		{"rubbish", []string{`"@@@"`}, nil, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseChallenges(tt.values)
			if (err != nil) != tt.bad {
				t.Errorf("error is %v", err)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

func TestBearerChallengeIsFoundAmongOthers(t *testing.T) {
	h := http.Header{"Www-Authenticate": {"Negotiate", `Basic realm="x", bearer scope="a"`}}
	c, ok := BearerChallenge(h)
	if !ok || c.Params["scope"] != "a" {
		t.Errorf("got %+v, %v", c, ok)
	}
	if _, ok := BearerChallenge(http.Header{}); ok {
		t.Error("found a challenge in nothing")
	}
}

func FuzzParseChallenges(f *testing.F) {
	for _, seed := range []string{"", "Bearer", `Bearer a="b\"c", d=e, Basic realm=x`, "Negotiate YII==", `,,=,"`, `Bearer a="`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		challenges, err := ParseChallenges([]string{value})
		for _, c := range challenges {
			if c.Scheme == "" || c.Params == nil {
				t.Fatalf("%q gave an empty challenge: %+v", value, c)
			}
			if c.Token68 != "" && len(c.Params) > 0 {
				t.Fatalf("%q gave both a token68 and parameters: %+v", value, c)
			}
		}
		if again, err2 := ParseChallenges([]string{value}); !reflect.DeepEqual(challenges, again) || (err == nil) != (err2 == nil) {
			t.Fatalf("%q parses differently twice", value)
		}
	})
}
