package cmd

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mcpctl/mcpctl/internal/fakeentra"
)

var (
	update    = flag.Bool("update", false, "write golden files instead of comparing")
	keepGoing = flag.Bool("keep-going", false, "go on with a script after its first failure")
)

// scriptPatience bounds every wait of a script for a program.
const scriptPatience = 60 * time.Second

// scriptVariables are all variables that programs of a script may see, with
// their first values; "" is as good as unset to mcpctl. PATH and what Windows
// needs come from testscript.
func scriptVariables(work string) map[string]string {
	home := filepath.Join(work, "home")
	return map[string]string{
		"HOME": home, "USERPROFILE": home, "APPDATA": filepath.Join(home, "appdata"),
		"XDG_CONFIG_HOME": "", "XDG_RUNTIME_DIR": "", "MCPCTL_CONFIG_DIR": filepath.Join(work, "config"),
		// A bus that isn't there: no test may find the keyring of a person.
		"DBUS_SESSION_BUS_ADDRESS": "unix:path=" + filepath.Join(work, "no-bus"),
		"BROWSER":                  "", "DISPLAY": "", "WAYLAND_DISPLAY": "", "SSH_CONNECTION": "", "SSH_TTY": "", "CODESPACES": "",
		// Programs built with -race would sleep a second before they exit.
		"GORACE": "atexit_sleep_ms=0",
		"TERM":   "xterm", "NO_COLOR": "", "LANG": "", "LC_ALL": "",
		// What fakebrowser does.
		"PERSON": "", "VISITED": filepath.Join(work, "visited"),
		// Where the servers are: set by the commands that start them.
		"MCP_URL": "", "SSE_URL": "", "AUTHORITY": "", "TENANT": "", "CLIENT": "", "SCOPE": "", "CA": "",
	}
}

// TestScripts runs testdata/script: mcpctl as people and programs use it. Run
// one with -run 'TestScripts/^login$', see all of it with -v.
func TestScripts(t *testing.T) {
	shared, err := startTestStack(fakeentra.Lifetimes{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(shared.close) // after the scripts, which run in parallel
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		UpdateScripts:       *update,
		ContinueOnError:     *keepGoing,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Deadline:            time.Now().Add(4 * time.Minute),
		Setup:               func(env *testscript.Env) error { return setUpScript(env, shared) },
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":      cmdExits,
			"interrupt":  cmdInterrupt,
			"signin":     cmdSignIn,
			"ttysignin":  cmdTTYSignIn,
			"tty":        cmdTTY,
			"serve":      cmdServe,
			"stop":       cmdStop,
			"hangup":     cmdHangup,
			"rpc":        cmdRPC,
			"json":       cmdJSON,
			"answer":     cmdAnswer,
			"empty":      cmdEmpty,
			"expand":     cmdExpand,
			"which":      cmdWhich,
			"fault":      cmdFault,
			"remote":     cmdRemote,
			"takeport":   cmdTakePort,
			"bus":        cmdBus,
			"keyring":    cmdKeyring,
			"secretfree": cmdSecretFree,
		},
	})
}

// scriptState is what the commands of one script share.
type scriptState struct {
	vars   []string   // names of the variables that programs see
	own    *testStack // the script's own servers, once fault has started them
	remote *remoteServer
	served map[string]*process
}

type stateKey struct{}

func stateOf(ts *testscript.TestScript) *scriptState { return ts.Value(stateKey{}).(*scriptState) }

func setUpScript(env *testscript.Env, shared *testStack) error {
	state := &scriptState{served: map[string]*process{}}
	for name, value := range scriptVariables(env.WorkDir) {
		env.Setenv(name, value)
	}
	for _, v := range env.Vars {
		name, _, _ := strings.Cut(v, "=")
		state.vars = append(state.vars, name)
	}
	env.Values[stateKey{}] = state
	shared.announce(env.Setenv)
	env.Defer(func() {
		if state.own != nil {
			state.own.close()
		}
		if state.remote != nil {
			state.remote.close()
		}
	})
	return os.MkdirAll(env.Getenv("HOME"), 0o700)
}
