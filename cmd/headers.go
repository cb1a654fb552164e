package cmd

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"runtime"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/net/http/httpguts"

	"github.com/mcpctl/mcpctl/internal/redact"
)

// headerFlags are the flags for headers of one's own, for servers with
// credentials other than Entra's.
type headerFlags struct {
	values []string
	files  []string
}

func (h *headerFlags) add(c *cobra.Command) {
	c.Flags().StringArrayVar(&h.values, "header", nil, "send this `'Name: value'` with every request, ${VARIABLE} replaced by that of the environment (repeatable)")
	c.Flags().StringArrayVar(&h.files, "header-file", nil, "send the headers in this `file`, one a line, as with --header (repeatable)")
}

// headers is what header flags come to.
type headers struct {
	http.Header
	secrets  []string // values that no log may show
	warnings []string
}

// authorizes reports whether the headers hold a credential in the place of the
// person's token.
func (h headers) authorizes() bool { return h.Get("Authorization") != "" }

// maxHeaderFile bounds a file of headers, in bytes: servers refuse as much.
const maxHeaderFile = 64 << 10

// read reads flags and files. Its errors never repeat a value: that may be a
// secret.
func (h headerFlags) read(getenv func(string) string) (headers, error) {
	out := headers{Header: http.Header{}}
	for _, value := range h.values {
		if err := out.parse(value, getenv); err != nil {
			return out, fmt.Errorf("--header %w", err)
		}
	}
	for _, path := range h.files {
		data, err := readHeaderFile(path)
		if err != nil {
			return out, err
		}
		if info, err := os.Stat(path); err == nil && runtime.GOOS != "windows" && info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
			out.warnings = append(out.warnings, fmt.Sprintf("other users of this machine can read %s. Run: chmod 600 %s", path, shellCommand(path)))
		}
		number := 0
		for line := range bytes.Lines(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))) {
			number++
			text := strings.TrimSpace(string(line))
			if text == "" || strings.HasPrefix(text, "#") {
				continue
			}
			if err := out.parse(text, getenv); err != nil {
				return out, fmt.Errorf("--header-file %s, line %d, %w", path, number, err)
			}
		}
	}
	return out, nil
}

func readHeaderFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	var data []byte
	if err == nil {
		defer f.Close()
		data, err = io.ReadAll(io.LimitReader(f, maxHeaderFile+1))
	}
	var failed *fs.PathError
	if errors.As(err, &failed) {
		err = failed.Err
	}
	if err == nil && len(data) > maxHeaderFile {
		err = fmt.Errorf("it is larger than %d bytes", maxHeaderFile)
	}
	if err != nil {
		return nil, fmt.Errorf("--header-file %s: %w. Name a file with one 'Name: value' a line", path, err)
	}
	return data, nil
}

// parse adds one 'Name: value'.
func (h *headers) parse(text string, getenv func(string) string) error {
	name, value, ok := strings.Cut(text, ":")
	name = strings.TrimSpace(name)
	if !ok || !httpguts.ValidHeaderFieldName(name) {
		return errors.New("wants 'Name: value', with a header's name before the colon")
	}
	name = http.CanonicalHeaderKey(name)
	if why := refusedHeader(name); why != "" {
		return fmt.Errorf("can't set %s: %s", name, why)
	}
	expanded, fromVariable, err := expand(strings.TrimSpace(value), getenv)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	expanded = strings.TrimSpace(expanded) // files and shells leave a line end
	if !httpguts.ValidHeaderFieldValue(expanded) {
		return fmt.Errorf("%s: its value holds a character that no header can hold", name)
	}
	h.Add(name, expanded)
	if fromVariable || redact.SensitiveName(name) {
		h.secrets = append(h.secrets, expanded)
	}
	return nil
}

// refusedHeader says why a header is not the person's to set; "" if it is.
func refusedHeader(name string) string {
	switch name {
	case "Host", "Content-Length", "Transfer-Encoding", "Connection", "Keep-Alive", "Proxy-Connection", "Upgrade", "Te", "Trailer", "Expect", "Http2-Settings":
		return "it belongs to the connection"
	case "Proxy-Authorization":
		return "it would go to the server. Put the proxy's password into HTTPS_PROXY"
	case "Accept", "Accept-Encoding", "Content-Type", "Content-Encoding", "Last-Event-Id":
		return "MCP says what it has to be"
	}
	if strings.HasPrefix(name, "Mcp-") {
		return "it belongs to the MCP session"
	}
	return ""
}

// expand replaces each ${NAME} by the variable of that name; $${ stands for
// itself. used tells whether there was one.
func expand(text string, getenv func(string) string) (expanded string, used bool, err error) {
	var b strings.Builder
	for {
		i := strings.Index(text, "${")
		if i < 0 {
			b.WriteString(text)
			return b.String(), used, nil
		}
		if i > 0 && text[i-1] == '$' {
			b.WriteString(text[:i-1] + "${")
			text = text[i+2:]
			continue
		}
		name, rest, ok := strings.Cut(text[i+2:], "}")
		if !ok {
			return "", used, errors.New("a ${ has no }. Write $${ for the characters themselves")
		}
		if !variableName(name) {
			return "", used, errors.New("what is in ${…} is not the name of a variable. Write $${ for the characters themselves")
		}
		value := getenv(name)
		if value == "" {
			return "", used, fmt.Errorf("the environment variable %s is not set. MCP clients pass on few variables: set it in the client's configuration, beside the command", name)
		}
		b.WriteString(text[:i] + value)
		text, used = rest, true
	}
}

func variableName(s string) bool {
	for i, r := range s {
		switch {
		case r == '_', r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', i > 0 && r >= '0' && r <= '9':
		default:
			return false
		}
	}
	return s != ""
}
