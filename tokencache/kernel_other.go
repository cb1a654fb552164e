//go:build !linux

package tokencache

// newKernelKeyStore returns nil: only Linux has a kernel keyring.
func newKernelKeyStore(string) keyStore { return nil }
