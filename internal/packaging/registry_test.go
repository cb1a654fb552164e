package packaging

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// registry is an npm registry on loopback with the tarballs of one release.
type registry struct {
	url string

	mu    sync.Mutex
	asked map[string]bool // names of packages whose tarballs were fetched
}

func (r *registry) fetched(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked[name]
}

// newRegistry serves tarballs as npm's registry does.
func newRegistry(t *testing.T, tarballs []string) *registry {
	t.Helper()
	r := &registry{asked: map[string]bool{}}
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	r.url = server.URL
	packages := map[string]map[string]any{}
	files := map[string]string{}
	for _, path := range tarballs {
		data, err := os.ReadFile(path)
		must(t, err)
		manifest := manifestOf(t, path)
		name, _ := manifest["name"].(string)
		files[filepath.Base(path)] = name
		sum := sha512.Sum512(data)
		manifest["dist"] = map[string]any{
			"tarball":   server.URL + "/-/" + filepath.Base(path),
			"integrity": "sha512-" + base64.StdEncoding.EncodeToString(sum[:]),
		}
		version, _ := manifest["version"].(string)
		packages[name] = map[string]any{
			"name": name, "dist-tags": map[string]any{"latest": version}, "versions": map[string]any{version: manifest},
		}
	}
	mux.HandleFunc("GET /-/{file}", func(w http.ResponseWriter, req *http.Request) {
		file := req.PathValue("file")
		for _, path := range tarballs {
			if filepath.Base(path) == file {
				r.mu.Lock()
				r.asked[files[file]] = true
				r.mu.Unlock()
				http.ServeFile(w, req, path)
				return
			}
		}
		http.NotFound(w, req)
	})
	mux.HandleFunc("GET /", func(w http.ResponseWriter, req *http.Request) {
		name, err := url.PathUnescape(strings.TrimPrefix(req.URL.EscapedPath(), "/"))
		document, ok := packages[name]
		if err != nil || !ok {
			http.NotFound(w, req)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(document)
	})
	return r
}

// manifestOf reads the package.json of a tarball.
func manifestOf(t *testing.T, path string) map[string]any {
	t.Helper()
	f, err := os.Open(path)
	must(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	must(t, err)
	for r := tar.NewReader(z); ; {
		header, err := r.Next()
		if err == io.EOF {
			t.Fatalf("%s has no package.json", path)
		}
		must(t, err)
		if header.Name == "package/package.json" {
			var manifest map[string]any
			must(t, json.NewDecoder(r).Decode(&manifest))
			return manifest
		}
	}
}
