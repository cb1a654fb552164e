package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mcpctl/mcpctl/cmd"
	"github.com/mcpctl/mcpctl/server"
)

// handwritten is a page that people read.
type handwritten struct {
	path string // relative to the repository, with slashes
	text string
}

func pages(t *testing.T) []handwritten {
	t.Helper()
	repo := filepath.Join("..", "..")
	var list []handwritten
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/commands/*.md", "examples/*.md", "npm/*.md", "bench/*.md", "bench/*/*.md"} {
		found, err := filepath.Glob(filepath.Join(repo, filepath.FromSlash(pattern)))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range found {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			name, err := filepath.Rel(repo, path)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, handwritten{filepath.ToSlash(name), strings.ReplaceAll(string(data), "\r\n", "\n")})
		}
	}
	if len(list) < 30 {
		t.Fatalf("only %d pages were found", len(list))
	}
	return list
}

var fence = regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```$")

// fenced returns the blocks of a language.
func (p handwritten) fenced(language string) []string {
	var list []string
	for _, m := range fence.FindAllStringSubmatch(p.text, -1) {
		if m[1] == language {
			list = append(list, m[2])
		}
	}
	return list
}

// anchors are those that GitHub makes of the headings.
func anchors(text string) []string {
	var list []string
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		plain := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(m[1]), "")
		list = append(list, strings.ReplaceAll(plain, " ", "-"))
	}
	return list
}

func TestLinksLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	for _, p := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(fence.ReplaceAllString(p.text, ""), -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			file, anchor, _ := strings.Cut(m[1], "#")
			target := p.text
			if file != "" {
				path := filepath.Join("..", "..", filepath.FromSlash(p.path), "..", filepath.FromSlash(file))
				info, err := os.Stat(path)
				if err != nil {
					t.Errorf("%s: the link %s leads nowhere", p.path, m[1])
					continue
				}
				if anchor == "" || info.IsDir() {
					continue
				}
				data, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				target = string(data)
			}
			if !slices.Contains(anchors(target), anchor) {
				t.Errorf("%s: there is no heading for the link %s", p.path, m[1])
			}
		}
	}
}

// TestCommandsInPagesExist has each mcpctl command line in the documents
// understood, as far as its command and flags go.
func TestCommandsInPagesExist(t *testing.T) {
	checked := 0
	for _, p := range pages(t) {
		for _, block := range p.fenced("sh") {
			block = strings.ReplaceAll(block, "\\\n", " ")
			for line := range strings.Lines(block) {
				line, _, _ = strings.Cut(line, " #")
				line = strings.TrimPrefix(strings.TrimSpace(line), "sudo ")
				rest, ok := strings.CutPrefix(strings.TrimPrefix(line, "npx -y "), "mcpctl ")
				if !ok {
					continue
				}
				rest, _, _ = strings.Cut(rest, " > ")
				rest, _, _ = strings.Cut(rest, " | ")
				args, _, _ := strings.Cut(rest, " -- ")
				root := cmd.Tree()
				c, flags, err := root.Find(strings.Fields(args))
				if err == nil && c == root && !strings.HasPrefix(args, "-") {
					t.Errorf("%s: there is no command %q", p.path, line)
					continue
				}
				if err == nil {
					c.InitDefaultHelpFlag()
					err = c.ParseFlags(flags)
				}
				if err != nil {
					t.Errorf("%s: %s: %v", p.path, line, err)
				}
				checked++
			}
		}
	}
	if checked < 20 {
		t.Errorf("only %d commands were found", checked)
	}
}

func TestJSONInPagesIsValid(t *testing.T) {
	for _, p := range pages(t) {
		for _, block := range p.fenced("json") {
			if !json.Valid([]byte(block)) {
				t.Errorf("%s: a client can't read\n%s", p.path, block)
			}
		}
	}
}

// TestConfigurationInPagesIsUnderstood reads each part of a server's
// configuration in the documents, put into a small one.
func TestConfigurationInPagesIsUnderstood(t *testing.T) {
	const least = "entra: {tenant_id: 00000000-0000-0000-0000-000000000001, client_id: 00000000-0000-0000-0000-000000000002, required_scopes: [Mcp.Access]}\n" +
		"public_url: https://mcp.contoso.com/mcp\n"
	const upstream = "upstreams: [{name: crm, builtin: [whoami]}]\n"
	checked := 0
	for _, p := range pages(t) {
		for _, block := range p.fenced("yaml") {
			text := least + block
			if strings.Contains(block, "entra:") {
				text = block
			}
			if !strings.Contains(block, "upstreams:") {
				text += upstream
			}
			path := filepath.Join(t.TempDir(), "mcpctl.yaml")
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := server.ReadConfig(path); err != nil {
				t.Errorf("%s: %v\n%s", p.path, err, bytes.TrimSpace([]byte(block)))
			}
			checked++
		}
	}
	if checked < 2 {
		t.Errorf("only %d configurations were found", checked)
	}
}
