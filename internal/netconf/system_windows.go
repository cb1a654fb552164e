package netconf

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/windows/registry"
)

const (
	internetSettings = `Software\Microsoft\Windows\CurrentVersion\Internet Settings`
	internetPolicies = `Software\Policies\Microsoft\Windows\CurrentVersion\Internet Settings`
)

// readSystem reads the proxy settings of the user, or of the machine where a
// policy puts them in their place.
func readSystem(context.Context, func(string) string) (System, error) {
	root := registry.CURRENT_USER
	if perUser, ok := number(registry.LOCAL_MACHINE, internetPolicies, "ProxySettingsPerUser"); ok && perUser == 0 {
		root = registry.LOCAL_MACHINE
	}
	k, err := registry.OpenKey(root, internetSettings, registry.QUERY_VALUE)
	if errors.Is(err, registry.ErrNotExist) {
		return System{}, nil
	}
	if err != nil {
		return System{}, fmt.Errorf("opening the registry: %w", err)
	}
	defer k.Close()
	text := func(name string) string {
		s, _, _ := k.GetStringValue(name) // what isn't there is not set
		return s
	}
	enabled, _, _ := k.GetIntegerValue("ProxyEnable")
	return winINET{enabled == 1, text("ProxyServer"), text("ProxyOverride"), text("AutoConfigURL")}.system()
}

func number(root registry.Key, path, name string) (uint64, bool) {
	k, err := registry.OpenKey(root, path, registry.QUERY_VALUE)
	if err != nil {
		return 0, false
	}
	defer k.Close()
	v, _, err := k.GetIntegerValue(name)
	return v, err == nil
}
