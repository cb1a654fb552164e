package desktop

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"runtime"
	"strings"
)

// A System is what the places of configuration files depend on. Tests describe
// systems other than their own.
type System struct {
	// OS is linux, darwin or windows, as GOOS has it.
	OS string
	// Home is the person's home folder.
	Home string
	// Dir is the folder of the workspace, for [Workspace].
	Dir string
	// Getenv reads the environment.
	Getenv func(string) string
	// Exists tells whether there is a file or folder.
	Exists func(string) bool
	// Names lists what is in a folder; nil if it can't be read.
	Names func(dir string) []string
}

// Local is the system that the program runs on.
func Local(getenv func(string) string) (System, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return System{}, err
	}
	dir, err := os.Getwd()
	if err != nil {
		return System{}, err
	}
	return System{OS: runtime.GOOS, Home: home, Dir: dir, Getenv: getenv, Exists: exists, Names: names}, nil
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return !errors.Is(err, fs.ErrNotExist)
}

func names(dir string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	list := make([]string, len(entries))
	for i, e := range entries {
		list[i] = e.Name()
	}
	return list
}

// join joins the parts of a path, which are separated by slashes within
// themselves, as the system does.
func (s System) join(base string, parts ...string) string {
	if s.OS != "windows" {
		return path.Join(append([]string{base}, parts...)...)
	}
	base = strings.TrimRight(base, `\/`)
	for _, part := range parts {
		base += `\` + strings.ReplaceAll(part, "/", `\`)
	}
	return base
}

// env returns the variable, or what stands in for it.
func (s System) env(name, otherwise string) string {
	// The XDG specification has relative paths ignored, and no client takes them.
	if value := s.Getenv(name); value != "" && s.absolute(value) {
		return value
	}
	return otherwise
}

func (s System) absolute(name string) bool {
	if s.OS != "windows" {
		return path.IsAbs(name)
	}
	return strings.HasPrefix(name, `\\`) || len(name) > 2 && name[1] == ':' && (name[2] == '\\' || name[2] == '/')
}

// roaming is %APPDATA%.
func (s System) roaming() string { return s.env("APPDATA", s.join(s.Home, "AppData/Roaming")) }

// xdg is the folder of configuration by the XDG base directory specification.
func (s System) xdg() string { return s.env("XDG_CONFIG_HOME", s.join(s.Home, ".config")) }

// application is where Electron keeps an application's files.
func (s System) application() string {
	switch s.OS {
	case "windows":
		return s.roaming()
	case "darwin":
		return s.join(s.Home, "Library/Application Support")
	default:
		return s.xdg()
	}
}
