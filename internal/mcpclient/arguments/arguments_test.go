package arguments

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

const orderSchema = `{
	"type": "object",
	"properties": {
		"symbol": {"type": "string", "description": "Which one\nand more"},
		"side": {"enum": ["buy", "sell"]},
		"quantity": {"type": "integer", "minimum": 1},
		"price": {"type": "number"},
		"dry": {"type": "boolean"},
		"tags": {"type": "array", "items": {"type": "string"}},
		"levels": {"type": "array", "items": {"type": "integer"}},
		"loose": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
		"limit": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
		"version": {"enum": [1, 2, "latest"]},
		"filter": {"$ref": "#/$defs/filter"},
		"any": {},
		"dotted.name": {"type": "integer"},
		"where": {"type": "object", "properties": {"at": {"type": "object", "properties": {"lat": {"type": "number"}}}}}
	},
	"required": ["symbol"],
	"$defs": {"filter": {"type": "object", "properties": {"city": {"type": "string"}, "max": {"type": "integer"}}, "additionalProperties": false}}
}`

func TestBuild(t *testing.T) {
	files := map[string]string{"note.txt": "line 1\nline 2\n", "n.json": " [1, 2] \n", "bin": "\xff\xfe", "-": "from stdin"}
	read := func(name string) ([]byte, error) {
		if text, ok := files[name]; ok {
			return []byte(text), nil
		}
		return nil, fmt.Errorf("open %s: no such file", name)
	}
	for _, tt := range []struct {
		name  string
		base  string
		words []string
		want  string // or, after "!", what the error says
	}{
		{"nothing", "", nil, `{}`},
		{"strings stay what was typed", "", []string{"symbol= 007 "}, `{"symbol":" 007 "}`},
		{"a string that looks like a number", "", []string{"symbol=12"}, `{"symbol":"12"}`},
		{"an empty string", "", []string{"symbol="}, `{"symbol":""}`},
		{"equals signs in the value", "", []string{"symbol=a=b:=c"}, `{"symbol":"a=b:=c"}`},
		{"markup is not escaped", "", []string{"symbol=<a&b>"}, `{"symbol":"<a&b>"}`},
		{"integers of any size", "", []string{"quantity=-9007199254740993"}, `{"quantity":-9007199254740993}`},
		{"not an integer", "", []string{"quantity=1.5"}, `!quantity: "1.5" is not an integer`},
		{"all that can't be used", "", []string{"quantity=1.5", "symbol=ADVW", "price=NaN", "word"}, "!quantity: \"1.5\" is not an integer\nprice: \"NaN\" is not a number\n\"word\" is not an argument"},
		{"an octal is none", "", []string{"quantity=010"}, `!not an integer`},
		{"a number as it was typed", "", []string{"price=1.50e+3"}, `{"price":1.50e+3}`},
		{"not a number", "", []string{"price=NaN"}, `!price: "NaN" is not a number`},
		{"booleans", "", []string{"dry=true"}, `{"dry":true}`},
		{"not a boolean", "", []string{"dry=yes"}, `!dry: "yes" is not true or false`},
		{"enum", "", []string{"side=buy"}, `{"side":"buy"}`},
		{"an enum of several types", "", []string{"version=2"}, `{"version":2}`},
		{"an enum's string", "", []string{"version=latest"}, `{"version":"latest"}`},
		{"an optional value", "", []string{"limit=3"}, `{"limit":3}`},
		{"an optional value left out", "", []string{"limit=null"}, `{"limit":null}`},
		{"neither", "", []string{"limit=x"}, `!limit: "x" is not an integer or null`},
		{"one item makes a list", "", []string{"tags=a,b"}, `{"tags":["a,b"]}`},
		{"a key again adds to the list", "", []string{"tags=a", "symbol=s", "tags=b"}, `{"tags":["a","b"],"symbol":"s"}`},
		{"items are typed", "", []string{"levels=1", "levels=2"}, `{"levels":[1,2]}`},
		{"an item of the wrong type", "", []string{"levels=x"}, `!levels: "x" is not an integer`},
		{"a whole list", "", []string{"levels=[1, 2]"}, `{"levels":[1, 2]}`},
		{"a whole list and one more", "", []string{"levels=[1]", "levels=2"}, `!given twice: once as a whole list`},
		{"string or list, once", "", []string{"loose=a"}, `{"loose":"a"}`},
		{"string or list, twice", "", []string{"loose=a", "loose=b"}, `{"loose":["a","b"]}`},
		{"twice, but no list", "", []string{"symbol=a", "symbol=b"}, `!symbol: given twice, but it is a string and not a list`},
		{"members", "", []string{"filter.city=Rome", "filter.max=5"}, `{"filter":{"city":"Rome","max":5}}`},
		{"members of members", "", []string{"where.at.lat=1.5"}, `{"where":{"at":{"lat":1.5}}}`},
		{"a name with a dot", "", []string{"dotted.name=5"}, `{"dotted.name":5}`},
		{"members of what has none", "", []string{"symbol.x=1"}, `!symbol is a string and has no members`},
		{"members and a value", "", []string{"filter.city=a", "filter={}"}, `!given twice`},
		{"a value and members", "", []string{"any=1", "any.b=2"}, `!any already has another value`},
		{"an object", "", []string{`filter={"city": "Rome"}`}, `{"filter":{"city": "Rome"}}`},
		{"not an object", "", []string{`filter=[1]`}, `!is not an object`},
		{"JSON overrides the schema", "", []string{`symbol:=12`, `any:={"a": [null]}`}, `{"symbol":12,"any":{"a": [null]}}`},
		{"not JSON", "", []string{`any:=hello`}, `!any: "hello" is not JSON`},
		{"anything is a string", "", []string{"any=5"}, `{"any":"5"}`},
		{"unknown is a string", "", []string{"new=5", "new=6"}, `{"new":["5","6"]}`},
		{"unknown with members", "", []string{"new.a=5"}, `{"new":{"a":"5"}}`},
		{"a file", "", []string{"symbol=@note.txt"}, `{"symbol":"line 1\nline 2\n"}`},
		{"JSON from a file", "", []string{"any:=@n.json", "levels=@n.json"}, `{"any":[1, 2],"levels":[1, 2]}`},
		{"standard input", "", []string{"symbol=@-"}, `{"symbol":"from stdin"}`},
		{"a file that is not there", "", []string{"symbol=@gone"}, `!reading symbol: open gone: no such file`},
		{"a file that is no text", "", []string{"symbol=@bin"}, `!not UTF-8 text`},
		{"no file", "", []string{"symbol=@"}, `!names no file`},
		{"a real @", "", []string{"symbol=@@me"}, `{"symbol":"@me"}`},
		{"not a word", "", []string{"hello"}, `!"hello" is not an argument: write key=value`},
		{"no key", "", []string{"=5"}, `!names no argument`},
		{"not text", "", []string{"a=\xff"}, `!not UTF-8`},
		{"odd dots are names", "", []string{".a=1", "b.=2"}, `{".a":"1","b.":"2"}`},
		{"a base as it is", `{"z": 1e400, "z": 2}`, nil, `{"z": 1e400, "z": 2}`},
		{"words on a base", `{"symbol": "a", "quantity": 1}`, []string{"symbol=b", "dry=true"}, `{"symbol":"b","quantity":1,"dry":true}`},
		{"words inside a base", `{"filter": {"city": "Rome", "max": 1}}`, []string{"filter.max=2"}, `{"filter":{"city":"Rome","max":2}}`},
		{"a base's list is replaced", `{"tags": ["x"]}`, []string{"tags=a", "tags=b"}, `{"tags":["a","b"]}`},
		{"a base that is no object", `[1]`, nil, `!must be a JSON object`},
		{"a base that is no JSON", `{`, nil, `!must be a JSON object`},
		{"too many dots", "", []string{"any" + strings.Repeat(".a", 200) + "=1"}, `!too many dots`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var base json.RawMessage
			if tt.base != "" {
				base = json.RawMessage(tt.base)
			}
			got, err := Build(json.RawMessage(orderSchema), base, tt.words, read)
			if message, fails := strings.CutPrefix(tt.want, "!"); fails {
				if err == nil || !strings.Contains(err.Error(), message) {
					t.Errorf("got %s, %v; want the error %q", got, err, message)
				}
				return
			}
			if err != nil || string(got) != tt.want {
				t.Errorf("got %s, %v; want %s", got, err, tt.want)
			}
		})
	}
}

func TestBuildWithoutAUsableSchema(t *testing.T) {
	for _, s := range []string{"", "true", "[]", `{"type":5,"properties":[1]}`, `{"$ref":"#"}`, `{"$ref":"https://a.example/s"}`, `{"properties":{"a":{"$ref":"#/nowhere"}}}`, `{"properties":{"a":{"type":"date"}}}`} {
		got, err := Build(json.RawMessage(s), nil, []string{"a=1", "b:=2"}, nil)
		if err != nil || string(got) != `{"a":"1","b":2}` {
			t.Errorf("with the schema %q: %s, %v", s, got, err)
		}
	}
}

func TestCheck(t *testing.T) {
	closed := `{"type":"object","properties":{"symbol":{"type":"string"},"side":{"enum":["buy","sell"]}},"additionalProperties":false}`
	for _, tt := range []struct {
		name, schema, arguments string
		problems                string // joined with " | "
		doubts                  string
	}{
		{"fine", orderSchema, `{"symbol":"a","quantity":1,"limit":null,"filter":{"city":"x"}}`, "", ""},
		{"missing", orderSchema, `{}`, "missing argument symbol (string): Which one", ""},
		{"mistyped and missing", orderSchema, `{"symbl":"a"}`, "missing argument symbol (string): Which one", "unknown argument symbl; did you mean symbol?"},
		{"unknown where that is forbidden", closed, `{"symbl":1}`, "unknown argument symbl; did you mean symbol?", ""},
		{"unknown and unlike any", closed, `{"zzzzz":1}`, "unknown argument zzzzz; choose from symbol, side", ""},
		{"unknown inside", orderSchema, `{"symbol":"a","filter":{"citty":"x"}}`, "unknown argument filter.citty; did you mean filter.city?", ""},
		{"unknown with nothing known", `{"type":"object","additionalProperties":false}`, `{"a":1}`, "unknown argument a; it takes none", ""},
		{"wrong type", orderSchema, `{"symbol":1}`, "symbol: must be a string, not number", ""},
		{"wrong type of an item", orderSchema, `{"symbol":"a","levels":[1,"x"]}`, "levels.1: must be an integer, not string", ""},
		{"neither of two types", orderSchema, `{"symbol":"a","limit":"x"}`, "limit: must be an integer or null, not string", ""},
		{"not in the enum", closed, `{"side":"by"}`, "side: must be one of buy, sell, not by; did you mean buy?", ""},
		{"below the minimum", orderSchema, `{"symbol":"a","quantity":0}`, "quantity: minimum: got 0, want 1", ""},
		{"everything at once", orderSchema, `{"quantity":0,"dry":1}`, "dry: must be true or false, not number | missing argument symbol (string): Which one | quantity: minimum: got 0, want 1", ""},
		{"no doubts where members are expected", `{"properties":{"a":{}},"additionalProperties":{"type":"integer"}}`, `{"b":1}`, "", ""},
		{"a pattern that Go does not know", `{"properties":{"a":{"pattern":"^(?=x)"}}}`, `{"a":"y"}`, "", ""},
		{"draft 7", `{"$schema":"http://json-schema.org/draft-07/schema#","properties":{"a":{"items":[{"type":"integer"}]}}}`, `{"a":["x"]}`, "a.0: must be an integer, not string", ""},
		{"which way", `{"oneOf":[{"required":["a"]},{"required":["b"]}]}`, `{}`, "missing argument a; or missing argument b", ""},
		{"too many ways", `{"oneOf":[{"required":["a"]},{"required":["b"]}]}`, `{"a":1,"b":1}`, "'oneOf' failed, subschemas 0, 1 matched", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Check(json.RawMessage(tt.schema), json.RawMessage(tt.arguments))
			if err != nil {
				t.Fatal(err)
			}
			if s := strings.Join(got.Problems, " | "); s != tt.problems {
				t.Errorf("problems %q, want %q", s, tt.problems)
			}
			if s := strings.Join(got.Doubts, " | "); s != tt.doubts {
				t.Errorf("doubts %q, want %q", s, tt.doubts)
			}
		})
	}
}

func TestSchemasThatCanNotBeUsed(t *testing.T) {
	for _, s := range []string{"", "{", `{"type":"nonsense"}`, `{"$ref":"file:///etc/passwd"}`, `{"$ref":"https://a.example/s.json"}`, `{"$schema":"https://a.example/draft"}`} {
		if _, err := Check(json.RawMessage(s), json.RawMessage(`{}`)); !errors.Is(err, ErrSchema) {
			t.Errorf("with the schema %q: %v", s, err)
		}
	}
}

func TestDescribe(t *testing.T) {
	var got []string
	for _, a := range Describe(json.RawMessage(orderSchema)) {
		mark := ""
		if a.Required {
			mark = "*"
		}
		got = append(got, a.Name+mark+" "+a.Kind)
	}
	want := "symbol* string, side buy|sell, quantity integer, price number, dry boolean, tags string[], levels integer[], loose string|string[], limit integer, version 1|2|latest, filter object, any , dotted.name integer, where object"
	if s := strings.Join(got, ", "); s != want {
		t.Errorf("got  %s\nwant %s", s, want)
	}
	if list := Describe(json.RawMessage(`{"properties":{"z":{},"a":{}},"required":["a"]}`)); list[0].Name != "a" {
		t.Errorf("the required argument does not come first: %v", list)
	}
}

func TestNearest(t *testing.T) {
	candidates := []string{"get_quote", "list_symbols", "place_order", "a"}
	for name, want := range map[string]string{
		"get_quot": "get_quote", "getQuote": "get_quote", "list-symbols": "list_symbols", "listsymbol": "list_symbols",
		"order": "place_order", "b": "a", "get_qoute": "get_quote", "zzzzzz": "", "": "", strings.Repeat("x", 1000): "",
	} {
		if got := Nearest(name, candidates); got != want {
			t.Errorf("Nearest(%.20q) = %q, want %q", name, got, want)
		}
	}
}

// TestSmallSchemasStaySmall: alternatives that refer to everything would be
// followed more often than there are atoms.
func TestSmallSchemasStaySmall(t *testing.T) {
	bomb := `{"anyOf":[` + strings.Repeat(`{"$ref":"#"},`, 500) + `{}],"properties":{"b":{}}}`
	if _, err := Build(json.RawMessage(bomb), nil, []string{"a=1"}, nil); err != nil {
		t.Error(err)
	}
	Describe(json.RawMessage(bomb))
	if _, err := Check(json.RawMessage(bomb), json.RawMessage(`{"a":"1"}`)); err != nil {
		t.Error(err)
	}
}

func FuzzBuild(f *testing.F) {
	f.Add(orderSchema, "", "symbol=a", "filter.city=x")
	f.Add(`{"properties":{"a":{"anyOf":[{"$ref":"#"}]}}}`, `{"a":[1]}`, "a=1", "a=2")
	f.Add("", `{"a":{"b":1}}`, "a.b.c=1", "a:=[]")
	f.Fuzz(func(t *testing.T, schema, base, one, two string) {
		var raw json.RawMessage
		if base != "" {
			raw = json.RawMessage(base)
		}
		got, err := Build(json.RawMessage(schema), raw, []string{one, two}, func(string) ([]byte, error) { return []byte(two), nil })
		if err != nil {
			return
		}
		var members map[string]json.RawMessage
		if err := json.Unmarshal(got, &members); err != nil || members == nil {
			t.Fatalf("%q makes %q, which is no object: %v", []string{one, two}, got, err)
		}
		_, _ = Check(json.RawMessage(schema), got)
		Describe(json.RawMessage(schema))
	})
}
