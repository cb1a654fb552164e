package server

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"
)

var indexPattern = regexp.MustCompile(`\[\d+\]`)

// flatValue is the value of a key that has no keys below it, and where it is.
type flatValue struct {
	text  string // for comparing
	index []int  // of the fields, from Config on
}

// flatten returns the values of a configuration by full key. The list of
// upstreams is taken apart; other lists, and maps, are values.
func flatten(c Config) map[string]flatValue {
	flat := map[string]flatValue{}
	walkConfig("", reflect.ValueOf(c), nil, flat)
	return flat
}

func walkConfig(key string, v reflect.Value, index []int, flat map[string]flatValue) {
	switch {
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
			full := name
			if key != "" {
				full = key + "." + name
			}
			walkConfig(full, v.Field(i), append(append([]int{}, index...), i), flat)
		}
	case v.Type() == reflect.TypeFor[[]Upstream]():
		for i := range v.Len() {
			walkConfig(fmt.Sprintf("%s[%d]", key, i), v.Index(i), append(append([]int{}, index...), i), flat)
		}
	default:
		flat[key] = flatValue{fmt.Sprintf("%#v", emptyAsNil(v).Interface()), index}
	}
}

// emptyAsNil makes an empty list the same as none.
func emptyAsNil(v reflect.Value) reflect.Value {
	if (v.Kind() == reflect.Slice || v.Kind() == reflect.Map) && v.Len() == 0 {
		return reflect.Zero(v.Type())
	}
	return v
}

// assign copies the value of one key. It reports whether both have the place:
// lists of the same length do where the same upstream stands there. What is set
// for one must not become another's, whose address would get its header fields.
func assign(to *Config, from Config, key string) bool {
	f, ok := flatten(from)[key]
	if !ok {
		return false
	}
	target, source := reflect.ValueOf(to).Elem(), reflect.ValueOf(from)
	for _, i := range f.index {
		if target.Kind() == reflect.Struct {
			target, source = target.Field(i), source.Field(i)
			continue
		}
		if i >= target.Len() || target.Len() != source.Len() || !sameUpstream(target.Index(i), source.Index(i)) {
			return false
		}
		target, source = target.Index(i), source.Index(i)
	}
	target.Set(source)
	return true
}

// sameUpstream reports whether two entries of upstreams are for the same server.
func sameUpstream(a, b reflect.Value) bool {
	one, ok := a.Interface().(Upstream)
	other, both := b.Interface().(Upstream)
	return ok && both && one.Name == other.Name && one.URL == other.URL
}
