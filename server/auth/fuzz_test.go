package auth

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"
)

// FuzzParseObject holds the strict parser against encoding/json: what it takes
// is valid JSON and means the same; what it leaves has one of the faults that
// encoding/json forgives, or is no object.
func FuzzParseObject(f *testing.F) {
	for _, seed := range []string{
		`{}`, ` {"a":1} `, `{"a":{"b":[1,-0.5e+3,"x",true,false,null,{}]}}`, `{"a":1,"a":2}`, `{"a":1,"A":2}`,
		`{"\u0061":1}`, `{"a":"\ud800"}`, `{"a":"\\"}`, `{"a":"\"}`, `{"a":01}`, `{"a":1.}`, `{"a":-}`, `{"a":1e}`,
		`{"a":1,}`, `{,}`, `{"a"}`, `{"a":}`, `[`, `[[[[[[[[[[]]]]]]]]]]`, `nul`, "{\"a\":\"\x01\"}", "{\"\xff\":1}", "{}\x00", `{"a":1}{}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := parseObject(data)
		var want map[string]any
		dec := json.NewDecoder(strings.NewReader(string(data)))
		dec.UseNumber()
		stdErr := dec.Decode(&want)
		if err == nil {
			if !json.Valid(data) || stdErr != nil {
				t.Fatalf("accepted %q, which is not valid", data)
			}
			if !reflect.DeepEqual(plain(got), any(want)) {
				t.Fatalf("%q means %v, not %v", data, want, got)
			}
			return
		}
		if (errors.Is(err, errSyntax) || errors.Is(err, errShort)) && json.Valid(data) {
			t.Fatalf("refused %q as invalid: %v", data, err)
		}
	})
}

// plain turns objects into the maps of encoding/json.
func plain(v any) any {
	switch v := v.(type) {
	case object:
		out := make(map[string]any, len(v))
		for name, value := range v {
			out[name] = plain(value)
		}
		return out
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	}
	return v
}

// FuzzVerify feeds whole tokens to the verifier. None but the seeds that are
// properly signed may be accepted, and nothing of a refused one may show.
func FuzzVerify(f *testing.F) {
	good := map[string]bool{v2Token().sign(): true, v1Token().sign(): true, appToken().sign(): true}
	for raw := range good {
		f.Add(raw)
	}
	for _, tt := range hostileTokens() {
		f.Add(tt.raw)
	}
	v := newVerifier(f, testOptions(newFakeAuthority(), newClock()))
	f.Fuzz(func(t *testing.T, raw string) {
		p, err := v.Verify(context.Background(), raw)
		if (p == nil) == (err == nil) {
			t.Fatalf("got %v and %v", p, err)
		}
		if err == nil {
			if p.Key() != testTenant+"/"+testPerson || p.ClientID != testClient {
				t.Fatalf("accepted %q as %v", raw, p)
			}
			return
		}
		var refusal *Refusal
		if !errors.As(err, &refusal) {
			t.Fatalf("got %v, want a refusal", err)
		}
		if refusal.Description != printable(refusal.Description) {
			t.Errorf("description %q is not fit for a header", refusal.Description)
		}
	})
}

// FuzzClaims lets any payload past the signature, so that the rules behind it
// see foreign bytes too.
func FuzzClaims(f *testing.F) {
	for _, token := range []*testToken{v2Token(), v1Token(), appToken()} {
		f.Add(mustJSON(token.claims))
	}
	f.Add(`{"ver":"2.0","_claim_names":{"groups":1}}`)
	v := newVerifier(f, testOptions(newFakeAuthority(), newClock()))
	f.Fuzz(func(t *testing.T, payload string) {
		obj, err := parseObject([]byte(payload))
		if err != nil {
			return
		}
		c, refusal := readClaims(obj)
		if refusal != nil {
			return
		}
		version, refusal := v.checkClaims(&c, start)
		if refusal != nil {
			return
		}
		p, refusal := v.permit(&c, version)
		if refusal != nil {
			return
		}
		if p.Key() != testTenant+"/"+obj["oid"].(string) || obj["tid"] != testTenant ||
			obj["aud"] != testAPI && obj["aud"] != testURI {
			t.Fatalf("accepted %q as %s", payload, p.Key())
		}
	})
}

// FuzzBearerToken: what is accepted is exactly the scheme, one space and the token.
func FuzzBearerToken(f *testing.F) {
	for _, seed := range []string{"Bearer abc", "bearer abc==", "Bearer  abc", "Bearer", "Bearer ", "Basic abc", "Bearer a b", "Bearer\tabc", "Bearer a,b", " Bearer abc", "Bearer é"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		r, err := http.NewRequest(http.MethodGet, "/mcp", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header["Authorization"] = []string{header}
		token, refusal := bearerToken(r, 1000)
		if refusal != nil {
			if token != "" || refusal.Description != printable(refusal.Description) {
				t.Fatalf("got %q and %v", token, refusal)
			}
			return
		}
		if token == "" || len(token) > 1000 || strings.ContainsAny(token, " \t\r\n,;\"\x00") ||
			len(header) != len("Bearer ")+len(token) || !strings.EqualFold(header[:7], "Bearer ") || header[7:] != token {
			t.Fatalf("took %q from %q", token, header)
		}
	})
}
