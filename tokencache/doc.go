// Package tokencache keeps mcpctl's MSAL token cache on disk, sealed.
//
// One directory holds one store, shared by every mcpctl process of a person:
//
//	tokens.bin     the MSAL cache, AES-256-GCM, 0600 in a 0700 directory
//	store.json     which keys exist and where each is kept; no secret in it
//	tokens.lock    flock around refreshes; never deleted
//	.tokens-*      a write in progress, or what a killed process left of one
//	tokens.bin.bad a store that could not be read, set aside by the next login
//
// The 32-byte key is in the OS keyring, in the Linux kernel keyring, or, only
// when the person asks for it, in a file beside the store. That protects
// against a stolen disk or backup and against other users of the machine. It
// does not protect against malware that runs as the same user: on no desktop
// OS does a keyring do that for a program without a signed identity.
//
// # Roles
//
// [Open] is for everything that uses an existing sign-in. It never writes to a
// key store, never creates a store, and never falls back to another key store
// than the recorded one. [OpenForLogin] chooses or repairs the key store, and
// its [Login] may create a store. [Erase] is logout. [Inspect] is for status.
//
// # One refresh among processes
//
// Reading takes no lock: the file is only ever replaced whole. Who is about to
// refresh takes [Cache.Lock] first, calls MSAL again (its Replace reads what a
// sibling may have stored meanwhile) and keeps the lock until MSAL has called
// Export. A sign-in takes the lock only once it has its tokens, never while the
// person types. MSAL's own mutex is per client object and protects nothing between
// processes.
package tokencache
