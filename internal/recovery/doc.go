// Package recovery keeps a session with a remote alive through what happens to
// servers and networks, so that the client on the other side does not notice.
//
// A [Remote] is a [wire.Remote] before the client end of a transport:
//
//   - A session that the server has forgotten is established again, with its
//     log level and subscriptions; the client is told that lists may have
//     changed, and what was rejected is sent again.
//   - What did not reach the server, or was turned away for the time being, is
//     repeated while patience lasts.
//   - What may have been done is repeated only where doing it twice is the same
//     as doing it once: reads, and calls of tools that are declared read-only or
//     idempotent. Anything else ends with the error that says so.
//   - The stream of the server's own messages is opened again and again.
//
// A Remote belongs to one session of one client: what it remembers and repeats
// is never another's.
package recovery
