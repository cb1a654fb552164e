package server

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/mcpctl/mcpctl/server/builtin"
)

// configReader fills a Config from a YAML tree.
type configReader struct {
	yamlReader
	cfg Config
	dir string // relative paths start here
}

func (r *configReader) root(n ast.Node) {
	c := &r.cfg
	r.mapping("", n, append([]field{
		{"listen", r.string(&c.Listen, checkListen)},
		{"public_url", r.string(&c.PublicURL, checkPublicURL)},
		{"tls", r.section(
			field{"cert_file", r.file(&c.TLS.CertFile)},
			field{"key_file", r.file(&c.TLS.KeyFile)},
		)},
		{"entra", r.entra},
		{"upstreams", r.upstreams},
		{"policy", r.policy},
		{"cache", r.cache},
		{"limits", r.section(
			field{"body", r.size(&c.Limits.Body, minBody, maxBody)},
			field{"sessions_per_user", r.integer(&c.Limits.SessionsPerUser, 1, 10_000)},
			field{"sessions", r.integer(&c.Limits.Sessions, 1, 1_000_000)},
			field{"session_idle", r.duration(&c.Limits.SessionIdle, time.Minute, 7*24*time.Hour)},
			field{"processes", r.integer(&c.Limits.Processes, 1, 100_000)},
			field{"processes_per_user", r.integer(&c.Limits.ProcessesPerUser, 1, 10_000)},
			field{"pending_requests", r.integer(&c.Limits.PendingRequests, 1, 1_000_000)},
			field{"queue", r.integer(&c.Limits.Queue, 16, 1<<16)},
			field{"event_bytes", r.size(&c.Limits.EventBytes, 1<<10, 1<<30)},
			field{"token", r.size(&c.Limits.Token, 4<<10, 256<<10)},
			field{"requests_per_minute", r.integer(&c.Limits.RequestsPerMinute, 1, 1_000_000)},
			field{"burst", r.integer(&c.Limits.Burst, 1, 1_000_000)},
			field{"concurrent_requests", r.integer(&c.Limits.ConcurrentRequests, 1, 1_000_000)},
			field{"tools", r.toolLimits},
		)},
		{"audit", r.section(
			field{"file", r.newFile(&c.Audit.File)},
			field{"on_failure", r.string(&c.Audit.OnFailure, oneOf("stop", "continue"))},
			field{"arguments", r.string(&c.Audit.Arguments, oneOf("hash", "full", "none"))},
		)},
		{"access_log", r.section(
			field{"enabled", r.boolean(&c.AccessLog.Enabled)},
			field{"file", r.newFile(&c.AccessLog.File)},
		)},
		{"telemetry", r.section(
			field{"listen", r.string(&c.Telemetry.Listen, checkListen)},
			field{"otlp_endpoint", r.string(&c.Telemetry.OTLPEndpoint, checkOTLPEndpoint)},
			field{"hashed_user", r.boolean(&c.Telemetry.HashedUser)},
		)},
		{"drain_timeout", r.duration(&c.DrainTimeout, time.Second, time.Hour)},
		{"drain_delay", r.duration(&c.DrainDelay, 0, 10*time.Minute)},
		{"allowed_origins", r.strings(&c.AllowedOrigins, checkOrigin)},
		{"diagnosis", r.string(&c.Diagnosis, oneOf("callers", noDiagnosis))},
		{"trusted_proxies", r.strings(&c.TrustedProxies, checkProxy)},
	}, later("store", "metrics")...))
}

func (r *configReader) entra(key string, n ast.Node) {
	e := &r.cfg.Entra
	r.mapping(key, n, []field{
		{"cloud", r.string(&e.Cloud, oneOf("global", "usgov", "china"))},
		{"tenant_id", r.string(&e.TenantID, checkGUID)},
		{"tenant_ids", r.strings(&e.TenantIDs, checkGUID)},
		{"authority", r.string(&e.Authority, checkAuthority)},
		{"ca_file", r.file(&e.CAFile)},
		{"client_id", r.string(&e.ClientID, checkGUID)},
		{"app_id_uri", r.string(&e.AppIDURI, checkAppIDURI)},
		{"required_scopes", r.strings(&e.RequiredScopes, checkName)},
		{"required_roles", r.strings(&e.RequiredRoles, checkName)},
		{"allowed_clients", r.strings(&e.AllowedClients, checkGUID)},
		{"public_client_id", r.string(&e.PublicClientID, checkGUID)},
		{"credential", r.credential()},
		{"graph_url", r.string(&e.GraphURL, checkGraphURL)},
		{"claims_mapping", r.boolean(&e.ClaimsMapping)},
	})
}

func (r *configReader) upstreams(key string, n ast.Node) {
	r.items(key, n, func(full string, item ast.Node) {
		var up Upstream
		r.mapping(full, item, append([]field{
			{"name", r.string(&up.Name, checkUpstreamName)},
			{"command", r.command(&up.Command)},
			{"dir", r.folder(&up.Dir)},
			{"env", r.texts(&up.Env, envFault)},
			{"process", r.string(&up.Process, oneOf("per-user", "per-session", "shared"))},
			{"idle_stop", r.duration(&up.IdleStop, time.Second, 7*24*time.Hour)},
			{"limits", r.section(
				field{"memory", r.size(&up.Limits.Memory, minMemory, maxMemory)},
				field{"open_files", r.integer(&up.Limits.OpenFiles, 16, 1<<20)},
				field{"processes", r.integer(&up.Limits.Processes, 1, 1<<20)},
				field{"cpu", r.duration(&up.Limits.CPU, time.Second, 365*24*time.Hour)},
			)},
			{"url", r.string(&up.URL, checkUpstreamURL)},
			{"headers", r.texts(&up.Headers, headerFault)},
			{"builtin", r.strings(&up.Builtin, oneOf(builtin.Names()...))},
			{"requests_per_minute", r.integer(&up.RequestsPerMinute, 1, 1_000_000)},
			{"concurrent_requests", r.integer(&up.ConcurrentRequests, 1, 1_000_000)},
		}, r.upstreamCredentials(&up)...))
		if len(up.Command) > 0 && up.Dir == "" {
			up.Dir = r.dir
		}
		r.cfg.Upstreams = append(r.cfg.Upstreams, up)
	})
}

func oneOf(names ...string) check {
	return func(value string) (message, fix string) {
		if slices.Contains(names, value) {
			return "", ""
		}
		fields := make([]field, len(names))
		for i, name := range names {
			fields[i] = field{name: name, read: func(string, ast.Node) {}}
		}
		return fmt.Sprintf("%.40q is not known here", value), suggestion(value, fields)
	}
}

func (r *configReader) section(fields ...field) func(string, ast.Node) {
	return func(key string, n ast.Node) { r.mapping(key, n, fields) }
}

// checked reads a string and reports what ok says is wrong with it.
func (r *configReader) checked(key string, n ast.Node, ok check) (string, bool) {
	value, isText := r.text(key, n)
	if !isText {
		return "", false
	}
	if message, fix := ok(value); message != "" {
		r.fault(placeOf(n), key, message, fix)
		return "", false
	}
	return value, true
}

func (r *configReader) string(to *string, ok check) func(string, ast.Node) {
	return func(key string, n ast.Node) {
		if value, fine := r.checked(key, n, ok); fine {
			*to = value
		}
	}
}

// strings reads a list without repetitions.
func (r *configReader) strings(to *[]string, ok check) func(string, ast.Node) {
	return func(key string, n ast.Node) {
		*to = []string{}
		r.items(key, n, func(full string, item ast.Node) {
			value, fine := r.checked(full, item, ok)
			switch {
			case !fine:
			case slices.Contains(*to, value):
				r.fault(placeOf(item), full, "this is listed twice", "Remove one")
			default:
				*to = append(*to, value)
			}
		})
	}
}

// texts reads names with values. Nothing of the values gets into a fault.
func (r *configReader) texts(to *map[string]string, bad func(name, value string) (message, fix string)) func(string, ast.Node) {
	return func(key string, n ast.Node) {
		*to = map[string]string{}
		r.pairs(key, n, func(name, full string, k, v ast.Node) {
			var value string
			switch v := v.(type) {
			case *ast.StringNode: // may be empty
				value = v.Value
			case *ast.LiteralNode:
				value = strings.TrimSuffix(v.Value.Value, "\n")
			default:
				r.wrongType(full, v, "text")
				return
			}
			if message, fix := bad(name, value); message != "" {
				// A name that is none may be a secret in the wrong place.
				if !headerNamePattern.MatchString(name) {
					full = key
				}
				r.fault(placeOf(k), full, message, fix)
				return
			}
			(*to)[name] = value
		})
	}
}

// command reads a program and its arguments.
func (r *configReader) command(to *[]string) func(string, ast.Node) {
	return func(key string, n ast.Node) {
		if _, line := n.(*ast.StringNode); line {
			r.fault(placeOf(n), key, "this must be a list, as no shell takes it apart", "Write [program, argument, …]")
			return
		}
		args := []string{}
		r.items(key, n, func(full string, item ast.Node) {
			if s, ok := item.(*ast.StringNode); ok && len(args) > 0 {
				args = append(args, s.Value) // an argument may be empty
			} else if value, ok := r.text(full, item); ok {
				args = append(args, value)
			}
		})
		if list, ok := n.(*ast.SequenceNode); ok && len(list.Values) == 0 {
			r.fault(placeOf(n), key, "this list is empty", "Write [program, argument, …]")
		}
		if len(args) > 0 && strings.ContainsAny(args[0], `/\`) {
			args[0] = r.path(args[0])
		}
		*to = args
	}
}

func (r *configReader) path(value string) string {
	if filepath.IsAbs(value) {
		return value
	}
	return filepath.Join(r.dir, filepath.FromSlash(value))
}

// file reads the path of a file that has to be there.
func (r *configReader) file(to *string) func(string, ast.Node) {
	return r.existing(to, "file", func(info os.FileInfo) bool { return !info.IsDir() })
}

func (r *configReader) folder(to *string) func(string, ast.Node) {
	return r.existing(to, "folder", os.FileInfo.IsDir)
}

func (r *configReader) existing(to *string, kind string, right func(os.FileInfo) bool) func(string, ast.Node) {
	return func(key string, n ast.Node) {
		value, ok := r.text(key, n)
		if !ok {
			return
		}
		*to = r.path(value)
		if info, err := os.Stat(*to); err != nil {
			r.fault(placeOf(n), key, fmt.Sprintf("there is no %s %s", kind, *to), "Relative paths start at the configuration's folder")
		} else if !right(info) {
			r.fault(placeOf(n), key, *to+" is not a "+kind, "")
		}
	}
}

// newFile reads the path of a file that may still have to be created, in a
// folder that has to be there.
func (r *configReader) newFile(to *string) func(string, ast.Node) {
	return func(key string, n ast.Node) {
		value, ok := r.text(key, n)
		if !ok {
			return
		}
		*to = r.path(value)
		if info, err := os.Stat(filepath.Dir(*to)); err != nil || !info.IsDir() {
			r.fault(placeOf(n), key, "there is no folder "+filepath.Dir(*to), "Create it, or choose another one. Relative paths start at the configuration's folder")
		} else if info, err := os.Stat(*to); err == nil && info.IsDir() {
			r.fault(placeOf(n), key, *to+" is a folder", "Name a file in it")
		}
	}
}

func (r *configReader) boolean(to *bool) func(string, ast.Node) {
	return func(key string, n ast.Node) {
		value, ok := n.(*ast.BoolNode)
		if !ok {
			r.wrongType(key, n, "true or false")
			return
		}
		*to = value.Value
	}
}

func (r *configReader) integer(to *int, low, high int) func(string, ast.Node) {
	return func(key string, n ast.Node) {
		number, ok := n.(*ast.IntegerNode)
		if !ok {
			r.wrongType(key, n, "a number")
			return
		}
		value := -1
		switch v := number.Value.(type) {
		case uint64:
			value = int(min(v, uint64(high)+1))
		case int64: // only negative ones
		}
		if value < low || value > high {
			r.fault(placeOf(n), key, fmt.Sprintf("this must be from %d to %d", low, high), "")
			return
		}
		*to = value
	}
}

// Bounds of limits.body: an initialize request fits the smallest, and no
// machine that serves several people wants more than the largest.
const (
	minBody Size = 1 << 10
	maxBody Size = 1 << 30
)

// Bounds of an upstream's limits.memory: no runtime starts with less than the
// smallest.
const (
	minMemory Size = 16 << 20
	maxMemory Size = 1 << 40
)

func (r *configReader) size(to *Size, low, high Size) func(string, ast.Node) {
	return func(key string, n ast.Node) {
		var text string
		switch n := n.(type) {
		case *ast.IntegerNode:
			text = n.Token.Value
		case *ast.StringNode:
			text = n.Value
		default:
			r.wrongType(key, n, "a size")
			return
		}
		const form = "Write a number of bytes or of KiB, MiB or GiB, like 8MiB"
		size, err := parseSize(text)
		switch {
		case err != nil:
			r.fault(placeOf(n), key, "this is "+err.Error(), form)
		case size < low || size > high:
			r.fault(placeOf(n), key, fmt.Sprintf("this must be from %s to %s", low, high), form)
		default:
			*to = size
		}
	}
}

// duration reads a span of time as time.ParseDuration does.
func (r *configReader) duration(to *time.Duration, low, high time.Duration) func(string, ast.Node) {
	return func(key string, n ast.Node) {
		const form = "Write a number with its unit, like 90s, 10m or 2h"
		text, ok := n.(*ast.StringNode)
		if !ok {
			if _, number := n.(*ast.IntegerNode); number {
				r.fault(placeOf(n), key, "this has no unit", form)
				return
			}
			r.wrongType(key, n, "a span of time")
			return
		}
		d, err := time.ParseDuration(text.Value)
		switch {
		case err != nil:
			r.fault(placeOf(n), key, "this is not a span of time", form)
		case d < low || d > high:
			r.fault(placeOf(n), key, fmt.Sprintf("this must be from %s to %s", low, high), form)
		default:
			*to = d
		}
	}
}
