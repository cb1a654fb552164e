package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/parser"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// node is a part of the schema.
type node struct {
	Type        any              `json:"type"`
	Ref         string           `json:"$ref"`
	Description string           `json:"description"`
	Properties  map[string]*node `json:"properties"`
	Items       *node            `json:"items"`
	Enum        []string         `json:"enum"`
	Default     any              `json:"default"`
	Examples    []any            `json:"examples"`
}

func schemaTree(t *testing.T) *node {
	t.Helper()
	var root node
	if err := json.Unmarshal(Schema(), &root); err != nil {
		t.Fatal(err)
	}
	return &root
}

// skeleton is a document with every section that the schema has, so that the
// reader comes by each.
func skeleton(n *node) any {
	switch {
	case n.Properties != nil:
		doc := map[string]any{}
		for name, p := range n.Properties {
			if inner := skeleton(p); inner != nil {
				doc[name] = inner
			}
		}
		return doc
	case n.Items != nil && n.Items.Properties != nil:
		return []any{skeleton(n.Items)}
	}
	return nil
}

// Each key that the reader knows is in the schema and described, and the other
// way round.
func TestSchemaHasTheKeysOfTheReader(t *testing.T) {
	root := schemaTree(t)
	r := &configReader{yamlReader: yamlReader{places: map[string]place{}}}
	want := map[string][]string{}
	r.known = func(key string, names []string) { want[key] = names }
	text, err := yaml.Marshal(skeleton(root))
	if err != nil {
		t.Fatal(err)
	}
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		t.Fatal(err)
	}
	r.root(file.Docs[0].Body)

	var walk func(key string, n *node)
	walk = func(key string, n *node) {
		if n.Items != nil && n.Items.Properties != nil {
			key, n = key+"[0]", n.Items
		}
		if n.Properties == nil {
			return
		}
		for _, name := range want[key] {
			if n.Properties[name] == nil {
				t.Errorf("schema.json lacks %s.%s: describe it there", key, name)
			}
		}
		for name, p := range n.Properties {
			full := strings.TrimPrefix(key+"."+name, ".")
			if !slices.Contains(want[key], name) {
				t.Errorf("schema.json has %s, which the reader does not know", full)
			}
			if p.Description == "" {
				t.Errorf("schema.json does not say what %s is for", full)
			}
			walk(full, p)
		}
	}
	walk("", root)
}

// Values that the schema names are ones that the reader takes.
func TestSchemaValuesAreTaken(t *testing.T) {
	var walk func(path []string, n *node)
	check := func(path []string, value any) {
		doc := value
		for i := len(path) - 1; i >= 0; i-- {
			if path[i] == "[]" {
				doc = []any{doc}
			} else {
				doc = map[string]any{path[i]: doc}
			}
		}
		text, err := json.Marshal(doc) // JSON is YAML
		if err != nil {
			t.Fatal(err)
		}
		key := strings.ReplaceAll(strings.Join(path, "."), ".[]", "[0]")
		_, err = ParseConfig("mcpctl.yaml", text)
		if err == nil {
			return
		}
		for _, f := range err.(*ConfigError).Faults { //nolint:errorlint // that is what it is
			// Files need not be there, nor need what goes with the key.
			if strings.HasPrefix(f.Key, key) && !strings.Contains(f.Message, "there is no f") && !regexp.MustCompile(`missing|does not go with|for upstreams|only|is off|required|needs a credential|is not an address of`).MatchString(f.Message) {
				t.Errorf("%s: %s: %s", key, text, f)
			}
		}
	}
	walk = func(path []string, n *node) {
		for _, v := range n.Enum {
			check(path, v)
		}
		if n.Default != nil {
			check(path, n.Default)
		}
		for _, v := range n.Examples {
			check(path, v)
		}
		if n.Items != nil {
			walk(append(slices.Clone(path), "[]"), n.Items)
		}
		for name, p := range n.Properties {
			walk(append(slices.Clone(path), name), p)
		}
	}
	walk(nil, schemaTree(t))
}

func compileSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func validate(t *testing.T, s *jsonschema.Schema, text []byte) error {
	t.Helper()
	var doc any
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(instance)
}

// The example fits the schema that it names, and typos don't.
func TestExampleFitsTheSchema(t *testing.T) {
	example, err := os.ReadFile("../examples/mcpctl.yaml")
	if err != nil {
		t.Fatal(err)
	}
	id := regexp.MustCompile(`"\$id": "([^"]+)"`).FindSubmatch(Schema())
	if id == nil || !bytes.HasPrefix(example, fmt.Appendf(nil, "# yaml-language-server: $schema=%s\n", id[1])) {
		t.Errorf("the example's first line does not name the schema %s", id)
	}
	s := compileSchema(t)
	if err := validate(t, s, example); err != nil {
		t.Error(err)
	}
	for _, change := range [][2]string{{"listen:", "lisen:"}, {"client_id: 00000000", "client_id: 0000000"}, {"name: files", "name: The Files"}} {
		if err := validate(t, s, bytes.Replace(example, []byte(change[0]), []byte(change[1]), 1)); err == nil {
			t.Errorf("the schema allows %s", change[1])
		}
	}
}
