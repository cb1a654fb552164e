package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os/exec"
	"runtime"
	"sync"
	"time"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/mcpctl/mcpctl/bridge"
	"github.com/mcpctl/mcpctl/internal/doctor"
	"github.com/mcpctl/mcpctl/internal/entra"
	"github.com/mcpctl/mcpctl/internal/mcpclient"
	"github.com/mcpctl/mcpctl/internal/netconf"
	"github.com/mcpctl/mcpctl/internal/profile"
	"github.com/mcpctl/mcpctl/tokencache"
)

// serverToExamine wires the checks of a server to what commands use.
func serverToExamine(o doctorOptions, profiles *profile.Store, address string) doctor.Server {
	deps := o.deps
	// What is said about the network counts even where the rest is missing.
	stored, _ := profiles.Load(address)
	if stored.DevCA == "" {
		stored.DevCA = o.devCA
	}
	network := sync.OnceValues(func() (*netconf.Network, error) { return openNetwork(deps, stored.Network, discarded()) })
	return doctor.Server{
		URL:     address,
		Address: func(raw string) error { _, err := checkEndpoint(raw); return err },
		Profile: func() (profile.Profile, error) { return profiles.Load(address) },
		DevCA:   o.devCA,
		Network: func() error { _, err := network(); return err },
		Proxy: func(ctx context.Context, u *url.URL) (*url.URL, string, error) {
			n, err := network()
			if err != nil {
				return nil, "", err
			}
			return n.ProxyFor(ctx, u)
		},
		Script: func() string {
			n, err := network()
			if err != nil {
				return ""
			}
			return n.Script()
		},
		LookupHost: net.DefaultResolver.LookupHost,
		Resource: func(ctx context.Context) (doctor.Client, error) {
			p := stored
			p.URL = address
			return resourceClient(ctx, deps, p, discarded())
		},
		SignIn: func(a entra.Authority) (doctor.Client, error) {
			return entra.NewHTTPClient(a, authorityTransport(deps, stored, a, discarded())), nil
		},
		Store: func(ctx context.Context, p profile.Profile) (doctor.Store, error) {
			s, err := inspectStore(ctx, p.DevCA != "")
			return examinedStore(s), err
		},
		BareStore: func(ctx context.Context, p profile.Profile) (doctor.Store, error) { return bareStore(ctx, deps, p) },
		Token: func(ctx context.Context, p profile.Profile) (entra.AccessToken, error) {
			client, err := openSignIn(deps, p, discarded())
			if err != nil {
				return entra.AccessToken{}, err
			}
			defer client.CloseIdleConnections()
			return client.Token(ctx)
		},
		Connect: func(ctx context.Context) (doctor.Session, error) { return tryConnect(ctx, deps, address) },
		Now:     deps.Now,
	}
}

func examinedStore(s storeStatus) doctor.Store {
	return doctor.Store{Path: s.Path, State: s.State, Backend: storeName(s.Backend), Err: s.Error}
}

// passedOn are the variables that MCP clients give to the servers they start,
// by the SDKs' rule (modelcontextprotocol/typescript-sdk, DEFAULT_INHERITED_ENV_VARS).
func passedOn() []string {
	if runtime.GOOS == "windows" {
		return []string{
			"APPDATA", "HOMEDRIVE", "HOMEPATH", "LOCALAPPDATA", "PATH", "PROCESSOR_ARCHITECTURE",
			"SYSTEMDRIVE", "SYSTEMROOT", "TEMP", "USERNAME", "USERPROFILE", "PROGRAMFILES",
		}
	}
	return []string{"HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER"}
}

// bareStore has this program look at the token store with the environment of a
// bridge that a client starts. The folder of our files is passed on too: whoever
// has moved it says so in the client's configuration.
func bareStore(ctx context.Context, deps Deps, p profile.Profile) (doctor.Store, error) {
	program, err := deps.Executable()
	if err != nil {
		return doctor.Store{}, fmt.Errorf("finding this program: %w", err)
	}
	at, err := storeOptions(p.DevCA != "", nil)
	if err != nil {
		return doctor.Store{}, err
	}
	here, err := tokencache.Inspect(ctx, at)
	if err != nil {
		return doctor.Store{}, err
	}
	cmd := exec.CommandContext(ctx, program, "status", "-o", "json")
	cmd.WaitDelay = time.Second
	cmd.Env = []string{}
	for _, name := range append(passedOn(), profile.DirVariable) {
		if value := deps.Getenv(name); value != "" {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	out, err := cmd.Output()
	var said struct {
		Stores []storeStatus `json:"token_stores"`
	}
	if json.Unmarshal(out, &said) != nil {
		if err == nil {
			err = errors.New("it printed no status")
		}
		return doctor.Store{}, fmt.Errorf("running %s status: %w", program, err)
	}
	for _, s := range said.Stores {
		if s.Path == here.Path {
			return examinedStore(s), nil
		}
	}
	return doctor.Store{Path: here.Path, State: doctor.StoreEmpty}, nil
}

// doctorDiscover is how long an answer to server/discover is waited for: the
// handshake of the other era has to fit in too.
const doctorDiscover = 2500 * time.Millisecond

// tryConnect establishes a session and ends it.
func tryConnect(ctx context.Context, deps Deps, address string) (doctor.Session, error) {
	log := discarded()
	remote := remoteFlags{transport: bridge.TransportAuto}
	conn, transport, closeIdle, err := remote.dial(deps, target{url: address}, headers{}, log)
	if err != nil {
		return doctor.Session{}, err
	}
	defer closeIdle()
	s, err := mcpclient.Connect(ctx, mcpclient.Options{
		Conn: conn, DiscoverTimeout: doctorDiscover, Logger: log,
		Client: mcp.Implementation{Name: "mcpctl", Title: "mcpctl", Version: buildVersion().Version},
		Final:  func(code int) bool { return code == bridge.CodeSignInNeeded || code == bridge.CodeUnreachable },
	})
	if err != nil {
		return doctor.Session{}, explainCall(ctx, err)
	}
	defer func() { _ = s.Close() }()
	spoken := "Streamable HTTP"
	if transport() == bridge.TransportSSE {
		spoken = "HTTP+SSE"
	}
	return doctor.Session{Protocol: s.Server().ProtocolVersion, Transport: spoken, Name: s.Server().ServerInfo.Name}, nil
}
