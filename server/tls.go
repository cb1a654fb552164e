package server

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// certificate is the server's certificate, read anew when its files change.
// Certificates live for weeks or days, and whatever renews them can't be asked
// to tell us. It is safe for concurrent use.
type certificate struct {
	files TLS
	log   *slog.Logger
	now   func() time.Time

	mu      sync.Mutex
	current *tls.Certificate
	stamp   [2]fileStamp
	checked time.Time
}

// fileStamp tells versions of a file apart.
type fileStamp struct {
	modified time.Time
	size     int64
}

// certificateCheck is how often the files are looked at, by a handshake.
const certificateCheck = 10 * time.Second

func loadCertificate(files TLS, log *slog.Logger) (*certificate, error) {
	c := &certificate{files: files, log: log, now: time.Now}
	if err := c.reload(); err != nil {
		return nil, err
	}
	return c, nil
}

// config is for a listener. HTTP/2 is offered: browsers and some clients keep
// many event streams open, and over HTTP/1.1 each is a connection.
func (c *certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.get(), nil },
	}
}

// get returns the certificate in force. Files that can't be used, such as of a
// pair only half of which is renewed yet, change nothing.
func (c *certificate) get() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.now(); now.Sub(c.checked) >= certificateCheck {
		c.checked = now
		if stamp := c.stamps(); stamp != c.stamp {
			if err := c.loadLocked(); err != nil {
				c.log.Error("the renewed TLS certificate can't be used; the old one stays in force", "reason", err)
			}
		}
	}
	return c.current
}

// reload reads the files now.
func (c *certificate) reload() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.checked = c.now()
	return c.loadLocked()
}

func (c *certificate) loadLocked() error {
	c.stamp = c.stamps() // before reading: a change under way is seen the next time
	pair, err := tls.LoadX509KeyPair(c.files.CertFile, c.files.KeyFile)
	if err != nil {
		return withFix(fmt.Errorf("reading the TLS certificate: %w", err), "Check tls.cert_file and tls.key_file")
	}
	if c.current != nil {
		c.log.Info("the TLS certificate was read anew", "not_after", pair.Leaf.NotAfter)
	}
	c.current = &pair
	if now := c.now(); now.After(pair.Leaf.NotAfter) || now.Before(pair.Leaf.NotBefore) {
		c.log.Warn("the TLS certificate is not valid now", "not_before", pair.Leaf.NotBefore, "not_after", pair.Leaf.NotAfter)
	}
	return nil
}

func (c *certificate) stamps() (stamps [2]fileStamp) {
	for i, file := range []string{c.files.CertFile, c.files.KeyFile} {
		if info, err := os.Stat(file); err == nil {
			stamps[i] = fileStamp{info.ModTime(), info.Size()}
		}
	}
	return stamps
}
