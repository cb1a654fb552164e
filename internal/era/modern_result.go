package era

import (
	"bytes"
	"strconv"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// modernAnswer gives an answer of a legacy remote the client's id and the shape
// of the modern era.
func modernAnswer(f, answer wire.Frame) wire.Frame {
	s := newSplice(answer.Raw)
	s.set("id", bytes.Clone(f.ID))
	if answer.Failed {
		if errorCode(answer) == codeResourceNotFound {
			if failure := s.in("error"); failure != nil {
				failure.set("code", strconv.AppendInt(nil, wire.CodeInvalidParams, 10))
			}
		}
	} else if result := s.in("result"); result != nil {
		modernResult(result, f.Method)
	}
	return s.frame(answer)
}

// modernResult adds what every result has, and what those have that may be
// cached: nothing is known of how long a legacy result holds, or for whom.
func modernResult(result *splice, method string) {
	add := func(name, value string) {
		if result.get(name) == nil {
			result.set(name, []byte(value))
		}
	}
	add("resultType", `"complete"`)
	if cacheable(method) {
		add("ttlMs", "0")
		add("cacheScope", `"private"`)
	}
}

// discoverResult makes the answer to server/discover out of that to initialize.
func discoverResult(initialized []byte) []byte {
	s := newSplice(initialized)
	info := s.get("serverInfo")
	s.drop("protocolVersion")
	s.drop("serverInfo")
	if c := s.in("capabilities"); c != nil {
		c.drop("tasks")
		dropTasksExtension(c)
	} else {
		s.set("capabilities", []byte("{}"))
	}
	s.set("supportedVersions", []byte(`["`+modernVersion+`"]`))
	modernResult(s, "server/discover")
	if isObject(info) {
		if meta := s.in("_meta"); meta != nil {
			meta.set(metaServerInfo, info)
		} else {
			s.set("_meta", append(append([]byte(`{"`+metaServerInfo+`":`), info...), '}'))
		}
	}
	return s.bytes()
}
