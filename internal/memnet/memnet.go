// Package memnet is a network in memory, for tests. Its connections buffer as
// sockets do, and things go wrong on them on command: they are cut, they freeze,
// addresses refuse or can't be looked up.
//
// All of its waits are on channels, so that it works inside a testing/synctest
// bubble, where an hour passes as soon as nobody has anything to do.
package memnet

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
)

// Network connects addresses. The zero value is usable. Its methods may be
// called concurrently.
type Network struct {
	mu        sync.Mutex
	listeners map[string]*listener
	links     map[*link]bool
	fault     func(address string) error
	silent    bool // new connections are frozen
	dials     int
}

// Addr is an address of the network: any text.
type Addr string

// Network implements net.Addr.
func (Addr) Network() string { return "memory" }

func (a Addr) String() string { return string(a) }

type listener struct {
	network *Network
	addr    Addr
	queue   chan *conn
	done    chan struct{}
	once    sync.Once
}

// Listen opens an address, such as "server:80".
func (n *Network) Listen(address string) (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listeners[address] != nil {
		return nil, &net.OpError{Op: "listen", Net: "memory", Addr: Addr(address), Err: os.NewSyscallError("bind", syscall.EADDRINUSE)}
	}
	if n.listeners == nil {
		n.listeners = map[string]*listener{}
	}
	l := &listener{network: n, addr: Addr(address), queue: make(chan *conn, 128), done: make(chan struct{})}
	n.listeners[address] = l
	return l, nil
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.queue:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() {
		l.network.mu.Lock()
		delete(l.network.listeners, string(l.addr))
		l.network.mu.Unlock()
		close(l.done)
		for {
			select {
			case c := <-l.queue: // nobody will accept it
				c.link.cut()
				continue
			default:
			}
			break
		}
	})
	return nil
}

func (l *listener) Addr() net.Addr { return l.addr }

// DialContext connects to an address. Where nobody listens the error is as that
// of a machine that refuses the connection.
func (n *Network) DialContext(_ context.Context, _, address string) (net.Conn, error) {
	failed := func(err error) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "memory", Addr: Addr(address), Err: err}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dials++
	if n.fault != nil {
		if err := n.fault(address); err != nil {
			return failed(err)
		}
	}
	l := n.listeners[address]
	if l == nil {
		return failed(os.NewSyscallError("connect", syscall.ECONNREFUSED))
	}
	k := newLink(n, Addr(address))
	select {
	case l.queue <- k.server:
	default:
		return failed(os.NewSyscallError("connect", syscall.ETIMEDOUT))
	}
	if n.silent {
		k.freeze()
	}
	if n.links == nil {
		n.links = map[*link]bool{}
	}
	n.links[k] = true
	return k.client, nil
}

// FailDials makes dialing fail with what fault returns, nil letting it through.
// A nil fault ends that.
func (n *Network) FailDials(fault func(address string) error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fault = fault
}

// NoSuchHost is the failure of looking an address up.
func NoSuchHost(address string) error {
	return &net.DNSError{Err: "no such host", Name: address, IsNotFound: true}
}

// ErrReset is what both ends of a connection that was cut get.
var ErrReset = errors.New("connection reset by peer")

// Cut breaks every open connection and returns how many there were.
func (n *Network) Cut() int {
	links := n.open()
	for _, k := range links {
		k.cut()
	}
	return len(links)
}

// Freeze stops all connections, those yet to be made too: what is sent gets
// stuck, and nobody is told. Thaw ends that.
func (n *Network) Freeze() {
	n.mu.Lock()
	n.silent = true
	n.mu.Unlock()
	for _, k := range n.open() {
		k.freeze()
	}
}

// Strand freezes the connections that are open and no others, as a sleep or
// another network does. It returns how many there were.
func (n *Network) Strand() int {
	links := n.open()
	for _, k := range links {
		k.freeze()
	}
	return len(links)
}

// Thaw lets everything arrive that got stuck.
func (n *Network) Thaw() {
	n.mu.Lock()
	n.silent = false
	n.mu.Unlock()
	for _, k := range n.open() {
		k.thaw()
	}
}

// Dials is how often a connection was asked for.
func (n *Network) Dials() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dials
}

// Open is how many connections are open.
func (n *Network) Open() int { return len(n.open()) }

func (n *Network) open() []*link {
	n.mu.Lock()
	defer n.mu.Unlock()
	var all []*link
	for k := range n.links {
		all = append(all, k)
	}
	return all
}

func (n *Network) forget(k *link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.links, k)
}
