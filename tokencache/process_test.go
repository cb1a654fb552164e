package tokencache

import (
	"bufio"
	"bytes"
	"context"
	crand "crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/cache"
	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/public"

	"github.com/mcpctl/mcpctl/internal/fakeentra"
)

const swarm = 20

// stores are the key stores that other processes can share in a test.
func stores() map[string]Mode {
	s := map[string]Mode{"file": ModeFile}
	if runtime.GOOS == "linux" {
		s["keyring"] = ModeKeyring // private to the tests, see startKeyring
	}
	return s
}

// authority starts a fake authority whose refresh tokens work once, with as
// many APIs as there are processes.
func authority(t *testing.T) (srv *fakeentra.Server, sample fakeentra.Sample, scopes []string) {
	t.Helper()
	srv, err := fakeentra.Start(fakeentra.Options{OneTimeRefreshTokens: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = srv.Close() })
	if sample, err = srv.AddSample(""); err != nil {
		t.Fatal(err)
	}
	for i := range swarm {
		app, err := srv.RegisterApp(fakeentra.App{
			Name:          fmt.Sprintf("API %d", i),
			Scopes:        []fakeentra.Scope{{Name: "Use"}},
			PreAuthorized: []string{fakeentra.SamplePublicClientID},
			TokenVersion:  2,
		})
		if err != nil {
			t.Fatal(err)
		}
		scopes = append(scopes, app.IDURIs[0]+"/Use")
	}
	return srv, sample, scopes
}

// deviceLogin signs Ada in through MSAL with a token that MSAL counts as
// expired; tokens after that one live long.
func deviceLogin(t *testing.T, srv *fakeentra.Server, sample fakeentra.Sample, opts Options, mode Mode) {
	t.Helper()
	l, err := OpenForLogin(t.Context(), opts, mode)
	if err != nil {
		t.Fatal(err)
	}
	client, err := public.New(fakeentra.SamplePublicClientID, public.WithAuthority(srv.Authority()), public.WithCache(lockingLogin{l, new(func())}),
		public.WithHTTPClient(srv.HTTPClient()), public.WithInstanceDiscovery(false))
	if err != nil {
		t.Fatal(err)
	}
	srv.SetLifetimes(fakeentra.Lifetimes{AccessToken: 2 * time.Minute})
	code, err := client.AcquireTokenByDeviceCode(t.Context(), []string{sample.Scope()})
	if err != nil {
		t.Fatal(err)
	}
	// The person types now: a bridge must be able to refresh meanwhile.
	if unlock, ok, err := open(t, opts).TryLock(); err != nil || !ok {
		t.Fatalf("the login holds the lock while the person types: %v, %v", ok, err)
	} else {
		unlock()
	}
	if err := srv.ApproveDevice(code.Result.UserCode, sample.Ada.UPN); err != nil {
		t.Fatal(err)
	}
	if _, err := code.AuthenticationResult(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.Err(); err != nil {
		t.Fatal(err)
	}
	srv.SetLifetimes(fakeentra.Lifetimes{})
}

// lockingLogin takes the lock when MSAL begins to store a sign-in.
type lockingLogin struct {
	*Login
	unlock *func()
}

func (l lockingLogin) Replace(ctx context.Context, u cache.Unmarshaler, hints cache.ReplaceHints) error {
	unlock, err := l.Lock(ctx)
	if err != nil {
		return err
	}
	*l.unlock = unlock
	return l.Login.Replace(ctx, u, hints)
}

func (l lockingLogin) Export(ctx context.Context, m cache.Marshaler, hints cache.ExportHints) error {
	defer (*l.unlock)()
	return l.Login.Export(ctx, m, hints)
}

// acquirers starts one process per scope at the same time and returns the
// tokens they print.
func acquirers(t *testing.T, srv *fakeentra.Server, opts Options, scopes []string) []string {
	t.Helper()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, srv.CAPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	tokens := make([]string, len(scopes))
	var wg sync.WaitGroup
	for i, scope := range scopes {
		cmd := child(t, "acquire", "STORE="+opts.Dir, "SERVICE="+opts.Service, "SCOPE="+scope, "AUTHORITY="+srv.Authority(), "CA="+ca)
		wg.Go(func() {
			out, err := cmd.Output()
			if err != nil {
				t.Errorf("process %d: %v\n%s", i, err, cmd.Stderr)
			}
			tokens[i] = string(out)
		})
	}
	wg.Wait()
	return tokens
}

func TestOneRefreshAmongProcesses(t *testing.T) {
	for name, mode := range stores() {
		t.Run(name, func(t *testing.T) {
			srv, sample, _ := authority(t)
			opts := storeOptions(t, mode)
			deviceLogin(t, srv, sample, opts, mode)
			tokens := acquirers(t, srv, opts, slices.Repeat([]string{sample.Scope()}, swarm))
			if n := srv.CountRequests(fakeentra.EndpointToken, fakeentra.GrantRefreshToken); n != 1 {
				t.Errorf("%d refreshes among %d processes, want 1", n, swarm)
			}
			if tokens[0] == "" || len(slices.Compact(tokens)) != 1 {
				t.Errorf("the processes got %d different tokens", len(slices.Compact(tokens)))
			}
		})
	}
}

func TestNoResourceLostAmongProcesses(t *testing.T) {
	for name, mode := range stores() {
		t.Run(name, func(t *testing.T) {
			srv, sample, scopes := authority(t)
			opts := storeOptions(t, mode)
			deviceLogin(t, srv, sample, opts, mode)
			first := acquirers(t, srv, opts, scopes)
			// Whoever asks again finds its token: no refresh more.
			second := acquirers(t, srv, opts, scopes)
			if !slices.Equal(first, second) {
				t.Error("some process found another token than the one it had stored")
			}
			if n := srv.CountRequests(fakeentra.EndpointToken, fakeentra.GrantRefreshToken); n != swarm {
				t.Errorf("%d refreshes for %d resources", n, swarm)
			}
		})
	}
}

// storeOptions uses what the mode stands for, shared with other processes.
func storeOptions(t testing.TB, mode Mode) Options {
	t.Helper()
	opts, _ := options(t)
	if mode != ModeFile {
		opts.Keyring = nil
		opts.Service = "mcpctl-test-" + crand.Text()
	}
	return opts
}

// errNoPermit is how MSAL is kept from refreshing outside the lock.
var errNoPermit = errors.New("no permit")

type permitKey struct{}

// permitClient fails unless the request's context carries a permit.
type permitClient struct{ *http.Client }

func (c permitClient) Do(req *http.Request) (*http.Response, error) {
	if req.Context().Value(permitKey{}) == nil {
		return nil, errNoPermit
	}
	return c.Client.Do(req)
}

// childAcquire is a bridge that needs a token: it prints the token.
func childAcquire() error {
	pem, err := os.ReadFile(os.Getenv("CA"))
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	c, err := Open(Options{Dir: os.Getenv("STORE"), Service: os.Getenv("SERVICE"), KeyringTimeout: 20 * time.Second})
	if err != nil {
		return err
	}
	client, err := public.New(fakeentra.SamplePublicClientID, public.WithAuthority(os.Getenv("AUTHORITY")), public.WithCache(c),
		public.WithHTTPClient(permitClient{&http.Client{Transport: transport, Timeout: 10 * time.Second}}), public.WithInstanceDiscovery(false))
	if err != nil {
		return err
	}
	ctx := context.Background()
	accounts, err := client.Accounts(ctx)
	if err != nil || len(accounts) == 0 {
		return fmt.Errorf("%d accounts, %w", len(accounts), err)
	}
	acquire := func(ctx context.Context) (public.AuthResult, error) {
		return client.AcquireTokenSilent(ctx, []string{os.Getenv("SCOPE")}, public.WithSilentAccount(accounts[0]))
	}
	result, err := acquire(ctx)
	if errors.Is(err, errNoPermit) {
		unlock, err := c.Lock(ctx)
		if err != nil {
			return err
		}
		defer unlock()
		if result, err = acquire(context.WithValue(ctx, permitKey{}, true)); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	_, err = io.WriteString(os.Stdout, result.AccessToken)
	return err
}

// childHold takes the lock, says so, and hangs.
func childHold() error {
	c, err := Open(Options{Dir: os.Getenv("STORE")})
	if err != nil {
		return err
	}
	if _, err := c.Lock(context.Background()); err != nil {
		return err
	}
	fmt.Println("locked")
	time.Sleep(time.Minute)
	return nil
}

func TestLockOfAKilledProcessIsFree(t *testing.T) {
	opts, _ := options(t)
	opts.LockTimeout = 50 * time.Millisecond
	holder := startHolder(t, opts)
	c := open(t, opts)
	_, err := c.Lock(t.Context())
	distinct(t, err, ErrLockTimeout)
	if unlock, ok, err := c.TryLock(); ok || err != nil {
		t.Errorf("TryLock of a lock that is taken: %v, %v", ok, err)
	} else {
		unlock()
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Lock(cancelled); !errors.Is(err, context.Canceled) {
		t.Errorf("with a cancelled context: %v", err)
	}
	kill(t, holder)
	unlock, ok, err := c.TryLock()
	if !ok || err != nil {
		t.Fatalf("after the holder was killed: %v, %v", ok, err)
	}
	unlock()
	unlock() // harmless
	if _, err := os.Stat(filepath.Join(opts.Dir, lockName)); err != nil {
		t.Errorf("the lock file is gone: %v", err)
	}
}

func startHolder(t *testing.T, opts Options) *exec.Cmd {
	t.Helper()
	cmd := child(t, "hold", "STORE="+opts.Dir)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "locked\n" {
		t.Fatalf("holder says %q, %v", line, err)
	}
	t.Cleanup(func() { kill(t, cmd) })
	return cmd
}

func kill(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if cmd.ProcessState != nil {
		return
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

// filler makes a store the size of a real one.
var filler = strings.Repeat("x", 41_000)

// childWrite rewrites the store again and again and prints each number when
// that number is stored.
func childWrite() error {
	c, err := Open(Options{Dir: os.Getenv("STORE")})
	if err != nil {
		return err
	}
	for {
		unlock, err := c.Lock(context.Background())
		if err != nil {
			return err
		}
		var m msal
		if err := c.Replace(context.Background(), &m, cache.ReplaceHints{}); err != nil {
			return err
		}
		n, err := number(string(m.data))
		if err != nil {
			return err
		}
		m.data = fmt.Appendf(nil, "%d %s", n+1, filler)
		if err := c.Export(context.Background(), &m, cache.ExportHints{}); err != nil {
			return err
		}
		fmt.Println(n + 1)
		unlock()
	}
}

func number(content string) (int, error) {
	first, rest, _ := strings.Cut(content, " ")
	if rest != filler {
		return 0, errors.New("the content is not whole")
	}
	return strconv.Atoi(first)
}

func TestKilledWriterLosesNothing(t *testing.T) {
	opts, _ := options(t)
	signIn(t, opts, ModeFile, "0 "+filler)
	c := open(t, opts)
	written := 0
	for range 60 {
		cmd := child(t, "write", "STORE="+opts.Dir)
		var stdout bytes.Buffer
		cmd.Stdout = &stdout
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10*time.Millisecond + rand.N(40*time.Millisecond))
		kill(t, cmd)
		if got := cmd.Stderr.(*bytes.Buffer).String(); got != "" {
			t.Fatalf("writer: %s", got)
		}
		unlock, ok, err := c.TryLock()
		if err != nil || !ok {
			t.Fatalf("a killed writer's lock is not free: %v", err)
		}
		unlock()
		content, err := read(t, c)
		if err != nil {
			t.Fatal(err)
		}
		n, err := number(content)
		if err != nil {
			t.Fatal(err)
		}
		acknowledged := written
		if lines := strings.Fields(stdout.String()); len(lines) > 0 {
			// The last line may be cut, but then it is no number seen before.
			if acknowledged, err = strconv.Atoi(lines[len(lines)-1]); err != nil {
				t.Fatal(err)
			}
		}
		if n < acknowledged {
			t.Fatalf("%d was stored, %d is there", acknowledged, n)
		}
		written = n
	}
	if written == 0 {
		t.Error("no writer has written anything")
	}
	signIn(t, opts, ModeFile, "done")
	if rest, _ := filepath.Glob(filepath.Join(opts.Dir, tempGlob)); len(rest) > 0 {
		t.Errorf("remains of killed writers: %v", rest)
	}
}
