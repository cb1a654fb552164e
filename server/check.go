package server

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
	"github.com/mcpctl/mcpctl/server/auth"
)

// CheckStatus says how a check ended, in the words of mcpctl doctor.
type CheckStatus string

// The ends of a check.
const (
	CheckOK   CheckStatus = "ok"
	CheckWarn CheckStatus = "warn" // worth knowing, and no reason not to start
	CheckFail CheckStatus = "fail"
	CheckSkip CheckStatus = "skip" // there was nothing to look at
)

// CheckResult is what one look at a configuration's surroundings found. The
// field names are stable, and those of mcpctl doctor.
type CheckResult struct {
	ID     string      `json:"id"`
	Status CheckStatus `json:"status"`
	// Detail is what was found, in one line.
	Detail string `json:"detail"`
	// Fix is what to do; checks that fail have one, and so have warnings.
	Fix string `json:"fix,omitempty"`
	// Because is the id of the check that this one was skipped for.
	Because string `json:"because,omitempty"`
}

// checkTimeout bounds each check that waits for others; probing an upstream may
// take longer, as package runners download on their first start.
const checkTimeout = 15 * time.Second

// CheckOptions configure a Check.
type CheckOptions struct {
	Config Config
	// Credentials makes what the server proves itself with, or says why that
	// can't be; nil: there are none.
	Credentials func() (Credentials, error)
	Logger      *slog.Logger // nil discards
}

// Check looks at what a configuration depends on: files, certificates,
// addresses, the authority, the server's own credential, the upstreams. It starts
// upstream commands for a moment, opens those that are reached over HTTP with the
// credential that the server would use, and serves nobody. Results come in a fixed
// order. Nothing in them is secret.
func Check(ctx context.Context, opts CheckOptions) []CheckResult {
	c := &checker{cfg: opts.Config, log: opts.Logger}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	fillDefaults(&c.cfg, "")
	cfg := c.cfg
	c.listen(ctx, "listen", cfg.Listen)
	if cfg.Telemetry.Listen != "" {
		c.listen(ctx, "telemetry.listen", cfg.Telemetry.Listen)
	}
	c.certificate()
	c.audit()
	issuers := c.authority(ctx)
	defer c.prepare(opts.Credentials, issuers)()
	for _, up := range cfg.Upstreams {
		c.upstream(ctx, up)
	}
	c.groups(ctx)
	c.policy()
	c.metadata(ctx)
	return c.results
}

type checker struct {
	cfg         Config
	log         *slog.Logger
	credentials *credentials
	lame        bool // the server's own credential can't be made
	results     []CheckResult
}

func (c *checker) add(r CheckResult) { c.results = append(c.results, r) }

func (c *checker) ok(id, format string, args ...any) {
	c.add(CheckResult{ID: id, Status: CheckOK, Detail: fmt.Sprintf(format, args...)})
}

func (c *checker) skip(id, format string, args ...any) {
	c.add(CheckResult{ID: id, Status: CheckSkip, Detail: fmt.Sprintf(format, args...)})
}

func (c *checker) warn(id, fix, format string, args ...any) {
	c.add(CheckResult{ID: id, Status: CheckWarn, Detail: fmt.Sprintf(format, args...), Fix: fix})
}

// fail tells of an error; fix is what to do where the error doesn't say.
func (c *checker) fail(id string, err error, fix string) {
	r := CheckResult{ID: id, Status: CheckFail}
	r.Detail, r.Fix = causeAndFix(err, fix)
	r.Detail = strings.ReplaceAll(r.Detail, "\n", "; ") // also of errors that are several
	c.add(r)
}

// listen takes the address for a moment. That it is taken may mean that the
// server runs already.
func (c *checker) listen(ctx context.Context, id, addr string) {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		c.warn(id, "Choose another address, unless it is this server that runs there already", "%s can't be taken now: %v", addr, cause(err))
		return
	}
	_ = ln.Close()
	c.ok(id, "%s is free", addr)
}

func (c *checker) certificate() {
	const id, renew = "tls", "Renew the files that tls.cert_file and tls.key_file name"
	files := c.cfg.TLS
	if files.CertFile == "" {
		if !loopbackAddr(c.cfg.Listen) {
			c.warn(id, "Keep everybody but a reverse proxy that ends TLS away from it", "the server speaks plain HTTP on %s", c.cfg.Listen)
		}
		return
	}
	cert, err := loadCertificate(files, c.log)
	if err != nil {
		c.fail(id, err, renew)
		return
	}
	leaf, now := cert.current.Leaf, time.Now()
	host := hostOf(c.cfg.PublicURL)
	switch {
	case now.After(leaf.NotAfter):
		c.fail(id, fmt.Errorf("the certificate expired on %s", leaf.NotAfter.Format(time.DateOnly)), renew)
	case now.Before(leaf.NotBefore):
		c.fail(id, fmt.Errorf("the certificate is not valid before %s", leaf.NotBefore.Format(time.RFC3339)), "Check the clock of this machine")
	case host != "" && leaf.VerifyHostname(host) != nil:
		c.fail(id, fmt.Errorf("the certificate is not for %s, the host of public_url", host), "Get one for that name, or correct public_url")
	case leaf.NotAfter.Sub(now) < 14*24*time.Hour:
		c.warn(id, renew, "the certificate expires on %s", leaf.NotAfter.Format(time.DateOnly))
	default:
		c.ok(id, "the certificate is valid until %s", leaf.NotAfter.Format(time.DateOnly))
	}
}

// audit opens the log as the server would, and leaves no file that wasn't there.
func (c *checker) audit() {
	const id = "audit"
	path := c.cfg.Audit.File
	if path == "" {
		c.skip(id, "nothing is recorded: audit.file is not set")
		return
	}
	_, err := os.Stat(path)
	fresh := errors.Is(err, os.ErrNotExist)
	f, err := openAuditFile(path)
	if err != nil {
		c.fail(id, err, "")
		return
	}
	_ = f.Close()
	if fresh {
		_ = os.Remove(path)
	}
	c.ok(id, "%s can be written", filepath.Clean(path))
}

// authority fetches signing keys and returns the issuers, as far as it came.
func (c *checker) authority(ctx context.Context) (issuers []string) {
	const id = "authority"
	client, err := authorityClient(c.cfg.Entra.CAFile)
	if err != nil {
		c.fail(id, err, "Check entra.ca_file")
		return nil
	}
	opts := c.cfg.authOptions()
	opts.HTTPClient = client
	v, err := auth.New(opts)
	if err != nil {
		c.fail(id, err, "Check the entra part of the configuration")
		return nil
	}
	defer func() { _ = v.Close() }() // waits; has nothing to report
	if client != nil {
		defer client.CloseIdleConnections()
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	if err := v.FetchKeys(ctx); err != nil {
		c.fail(id, err, "Let this machine reach the authority, through its proxy where there is one (HTTPS_PROXY)")
	} else {
		c.ok(id, "signing keys fetched for %d tenant(s)", max(1, len(c.cfg.tenants())))
	}
	return v.AuthorizationServers()
}

// metadata asks the public URL for its metadata, as a client would. Clients
// refuse a resource that is not, byte for byte, the address they were given
// (RFC 9728 §3.3).
func (c *checker) metadata(ctx context.Context) {
	const id = "public_url"
	public := c.cfg.PublicURL
	if public == "" {
		return
	}
	u, err := metadataURL(public)
	if err != nil {
		c.fail(id, err, "Check public_url")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u, nil)
	if err != nil {
		c.fail(id, err, "Check public_url")
		return
	}
	transport := wire.NewTransport()
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport, CheckRedirect: wire.NoRedirect}).Do(r)
	if err != nil {
		c.skip(id, "%s can't be reached from here: %v. That is as it should be if the server does not run yet", public, rootCause(err))
		return
	}
	defer resp.Body.Close()
	var doc struct {
		Resource string `json:"resource"`
	}
	err = json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&doc)
	switch {
	case resp.StatusCode != http.StatusOK || err != nil:
		c.fail(id, fmt.Errorf("%s answers HTTP %d and no metadata", u, resp.StatusCode), "If this server runs, have the reverse proxy pass on /.well-known/")
	case doc.Resource != public:
		c.fail(id, fmt.Errorf("what runs there says its address is %q, and public_url is %q", cmp.Or(doc.Resource, "none"), public), "Write public_url as people type it, byte for byte, and restart the server")
	default:
		c.ok(id, "its metadata names the same address")
	}
}
