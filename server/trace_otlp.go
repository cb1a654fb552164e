package server

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
)

// otlpClient sends spans by OTLP over HTTP in protobuf (OTLP 1.x, "OTLP/HTTP").
// OpenTelemetry's own client for that brings gRPC into the program, 10 MB of it.
// It implements otlptrace.Client.
type otlpClient struct {
	url     string
	header  http.Header
	timeout time.Duration
	gzip    bool
	http    *http.Client
}

// otlpClientFor returns nil where no endpoint is named or traces are turned off.
func otlpClientFor(endpoint string, getenv func(string) string, log *slog.Logger) (*otlpClient, error) {
	// Of each variable the one for traces goes first.
	setting := func(name string) string {
		if v := getenv("OTEL_EXPORTER_OTLP_TRACES_" + name); v != "" {
			return v
		}
		return getenv("OTEL_EXPORTER_OTLP_" + name)
	}
	if endpoint == "" {
		if endpoint = getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"); endpoint == "" {
			endpoint = getenv("OTEL_EXPORTER_OTLP_ENDPOINT")
			if endpoint == "" {
				return nil, nil
			}
			endpoint = strings.TrimSuffix(endpoint, "/") + "/v1/traces"
		}
	} else if u, err := url.Parse(endpoint); err == nil && strings.Trim(u.Path, "/") == "" {
		endpoint = strings.TrimSuffix(endpoint, "/") + "/v1/traces"
	}
	if strings.EqualFold(getenv("OTEL_SDK_DISABLED"), "true") || getenv("OTEL_TRACES_EXPORTER") == "none" {
		return nil, nil
	}
	if message, _ := checkOTLPEndpoint(endpoint); message != "" {
		return nil, fmt.Errorf("preparing traces: OTEL_EXPORTER_OTLP_ENDPOINT: %s", message)
	}
	if p := setting("PROTOCOL"); p != "" && p != "http/protobuf" {
		log.Warn("traces are sent as http/protobuf only; check that the collector's endpoint takes that", "protocol", p)
	}
	c := &otlpClient{url: endpoint, header: http.Header{}, timeout: 10 * time.Second, gzip: setting("COMPRESSION") == "gzip"}
	for pair := range strings.SplitSeq(setting("HEADERS"), ",") {
		name, value, ok := strings.Cut(pair, "=")
		if plain, err := url.PathUnescape(strings.TrimSpace(value)); ok && err == nil {
			c.header.Set(strings.TrimSpace(name), plain)
		}
	}
	if ms, err := strconv.Atoi(setting("TIMEOUT")); err == nil && ms > 0 {
		c.timeout = time.Duration(ms) * time.Millisecond
	}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: 10 * time.Second, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true,
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12},
	}
	if file := setting("CERTIFICATE"); file != "" {
		pem, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("preparing traces: reading the collector's CA: %w", err)
		}
		transport.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !transport.TLSClientConfig.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("preparing traces: %s holds no PEM certificate", file)
		}
	}
	c.http = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse // the header may hold a key
	}}
	return c, nil
}

// Start implements otlptrace.Client.
func (c *otlpClient) Start(context.Context) error { return nil }

// Stop implements otlptrace.Client.
func (c *otlpClient) Stop(context.Context) error {
	c.http.CloseIdleConnections()
	return nil
}

// Attempts to send one batch, and the pause before the next that a collector
// may ask for.
const (
	otlpAttempts = 4
	otlpMaxPause = 10 * time.Second
)

// UploadTraces implements otlptrace.Client. It tries again where the
// specification says so, within the timeout.
func (c *otlpClient) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	// An ExportTraceServiceRequest has the same one field as TracesData, whose
	// package does not need gRPC.
	body, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: spans})
	if err != nil {
		return fmt.Errorf("encoding traces: %w", err)
	}
	if c.gzip {
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		if _, err := w.Write(body); err != nil {
			return fmt.Errorf("packing traces: %w", err)
		}
		if err := w.Close(); err != nil {
			return fmt.Errorf("packing traces: %w", err)
		}
		body = packed.Bytes()
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	pause := 500 * time.Millisecond
	for attempt := 1; ; attempt++ {
		after, err := c.send(ctx, body)
		if err == nil || after < 0 || attempt == otlpAttempts {
			return err
		}
		timer := time.NewTimer(min(max(after, pause), otlpMaxPause))
		select {
		case <-ctx.Done():
			timer.Stop()
			return err
		case <-timer.C:
		}
		pause *= 2
	}
}

// send posts one batch. Where trying again is pointless after is negative.
func (c *otlpClient) send(ctx context.Context, body []byte) (after time.Duration, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return -1, fmt.Errorf("sending traces: %w", err)
	}
	for name, values := range c.header {
		r.Header[name] = values
	}
	r.Header.Set("Content-Type", "application/x-protobuf")
	if c.gzip {
		r.Header.Set("Content-Encoding", "gzip")
	}
	resp, err := c.http.Do(r)
	if err != nil {
		var op *url.Error
		if errors.As(err, &op) { // its text has the address
			err = op.Err
		}
		return 0, fmt.Errorf("sending traces: %w", err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // the connection is used again
	switch resp.StatusCode {
	case http.StatusOK, http.StatusAccepted, http.StatusNoContent:
		return 0, nil
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds > 0 {
			after = time.Duration(min(seconds, 60)) * time.Second
		}
	default:
		after = -1
	}
	return after, fmt.Errorf("sending traces: the collector answered HTTP %d", resp.StatusCode)
}
