package cmd

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// extensions of what servers send; the tables of operating systems differ.
var extensions = map[string]string{
	"image/png": ".png", "image/jpeg": ".jpg", "image/gif": ".gif", "image/webp": ".webp", "image/svg+xml": ".svg",
	"audio/wav": ".wav", "audio/x-wav": ".wav", "audio/mpeg": ".mp3", "audio/ogg": ".ogg", "audio/mp4": ".m4a",
	"application/pdf": ".pdf", "application/json": ".json", "application/zip": ".zip", "application/gzip": ".gz",
	"text/plain": ".txt", "text/html": ".html", "text/csv": ".csv", "text/markdown": ".md",
}

const maxNames = 1000 // tried for a file before giving up

// data saves base64 data under a name like the given one, or says what it is.
func (p *printer) data(name, mimeType, encoded string) {
	content, err := base64.StdEncoding.DecodeString(encoded)
	kind := oneLine(mimeType)
	if kind == "" {
		kind = "data"
	}
	switch {
	case p.err != nil:
	case err != nil:
		p.own(fmt.Sprintf("[%s that is not base64: %v]", kind, err))
	case p.folder == "":
		p.own(fmt.Sprintf("[%s, %s; --save FOLDER keeps it]", kind, byteSize(int64(len(content)))))
	default:
		file, err := p.write(name, mimeType, content)
		if err != nil {
			p.err = fmt.Errorf("saving %s: %w", kind, err)
			return
		}
		p.own(fmt.Sprintf("[%s, %s, saved as %s]", kind, byteSize(int64(len(content))), file))
	}
}

// write puts content into a new file in the folder. No file is overwritten: the
// name may be the server's.
func (p *printer) write(name, mimeType string, content []byte) (string, error) {
	if err := os.MkdirAll(p.folder, 0o750); err != nil {
		return "", err
	}
	ext := path.Ext(name)
	stem := strings.TrimSuffix(name, ext)
	if ext == "" {
		ext = extensions[strings.ToLower(mimeType)]
	}
	if ext == "" {
		ext = ".bin"
	}
	for n := range maxNames {
		file := filepath.Join(p.folder, stem+ext)
		if n > 0 {
			file = filepath.Join(p.folder, fmt.Sprintf("%s-%d%s", stem, n, ext))
		}
		f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		_, err = f.Write(content)
		return file, errors.Join(err, f.Close())
	}
	return "", fmt.Errorf("%s holds too many files called %s", p.folder, stem)
}

// saveOnly saves the data of a result that is printed in another way, and tells
// w where.
func (p *printer) saveOnly(w io.Writer, r callResult) {
	quiet := *p
	quiet.w = w
	for _, m := range r.Messages {
		r.Content = append(r.Content, m.Content)
	}
	for _, block := range r.Content {
		switch wire.LookupString(block, "type") {
		case "image", "audio":
			quiet.content(block)
		case "resource":
			r.Contents = append(r.Contents, wire.Lookup(block, "resource"))
		}
	}
	for _, c := range r.Contents {
		if wire.Lookup(c, "blob") != nil {
			quiet.resource(c)
		}
	}
	if p.err == nil {
		p.err = quiet.err
	}
}

// maxFileName bounds a name that a server chose, in bytes.
const maxFileName = 80

// fileName is the last part of a URI as a name that is one on every system.
func fileName(uri string) string {
	last := uri
	if u, err := url.Parse(uri); err == nil {
		if last = path.Base(u.Path); u.Path == "" {
			last = u.Opaque
		}
	}
	name := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '-', r == '_', r == '.':
			return r
		}
		return '_'
	}, last)
	name = strings.Trim(name, "._")
	if len(name) > maxFileName {
		name = name[len(name)-maxFileName:]
	}
	if name == "" || reservedName(name) {
		return "resource"
	}
	return name
}

// reservedName reports names that are devices on Windows, with any extension.
func reservedName(name string) bool {
	stem, _, _ := strings.Cut(strings.ToUpper(name), ".")
	switch stem {
	case "CON", "PRN", "AUX", "NUL":
		return true
	}
	return len(stem) == 4 && (strings.HasPrefix(stem, "COM") || strings.HasPrefix(stem, "LPT")) && '0' <= stem[3] && stem[3] <= '9'
}
