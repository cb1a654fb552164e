// Package netconf is how this machine reaches a server: through which proxy,
// trusting whom, and with which certificate of its own.
//
// What a person says with flags comes first, then what a sign-in has stored in
// the profile, then the proxy variables, then the settings of the operating
// system. Programs that start a bridge pass on few variables, so the profile
// and the operating system are what a bridge usually lives on.
package netconf
