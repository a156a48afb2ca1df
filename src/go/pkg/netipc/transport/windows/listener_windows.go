package windows

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"syscall"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/carrier"
)

// A Listener is the endpoint of a service: where clients connect. Its methods may be
// called by any goroutine at any time.
type Listener struct {
	endpoint endpoint
	name     string
	security *syscall.SecurityAttributes
	buffer   uint32 // bytes the system keeps for a session, each way

	arrivals  chan arrival
	done      chan struct{}  // closed by Close
	attending sync.WaitGroup // goroutines that wait for clients

	mu        sync.Mutex
	instances []*conn // of the pipe, until their clients are accepted
	config    ServerConfig
	ceiling   uint32 // see SetResponseCeiling
	sessionID uint64 // the last one given away
	closed    bool
}

// An arrival is a client that has connected, or why one could not.
type arrival struct {
	conn *conn
	err  error
}

// backlog is how many instances of the pipe wait for clients, so that those who come at
// the same time find one each: clients of other makes do not try twice.
const backlog = 8

// Listen takes the endpoint of a service of runDir: a message pipe that clients of this
// user and machine may connect to, and no others.
//
// It fails with ErrBadParam, with ErrAddrInUse if somebody has a pipe of that name, or
// with ErrCreatePipe.
func Listen(runDir, serviceName string, config ServerConfig) (*Listener, error) {
	e, err := newEndpoint(runDir, serviceName)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	l := &Listener{endpoint: e, name: e.pipeName(), config: config, buffer: max(config.PacketSize, usualPacket),
		arrivals: make(chan arrival), done: make(chan struct{})}
	if l.security, err = onlyThisUser(); err != nil {
		return nil, carrier.Fail(ErrCreatePipe, err, "listen on %s", l.name)
	}
	for flags := uint32(fileFlagFirstPipeInstance); len(l.instances) < backlog; flags = 0 {
		instance, err := l.newInstance(flags)
		if err != nil {
			l.Close()
			return nil, carrier.Fail(whyNoInstance(err), err, "listen on %s", l.name)
		}
		l.instances = append(l.instances, instance)
	}
	for _, instance := range l.instances {
		l.attending.Add(1)
		go l.attend(instance)
	}
	return l, nil
}

func whyNoInstance(err error) error {
	if err == errorAccessDenied || err == errorPipeBusy {
		return ErrAddrInUse
	}
	return ErrCreatePipe
}

// newInstance makes an instance of the pipe, to which a client can connect at once.
func (l *Listener) newInstance(flags uint32) (*conn, error) {
	handle, err := createNamedPipe(wide(l.name), pipeAccessDuplex|fileFlagOverlapped|flags,
		pipeTypeMessage|pipeReadModeMessage|pipeRejectRemoteClients, l.buffer, l.security)
	if err != nil {
		return nil, err
	}
	return newConn(handle)
}

// Accept waits for a client and agrees with it on a session, with the configuration
// of Listen and the next session id, counted from 1. A client that does not say HELLO
// within 5 seconds is dropped; see [Listener.AcceptPending] for not to wait for it.
//
// It fails with ErrAccept, with ErrTimeout, or with what the handshake failed with.
// The listener can be used further unless it was closed.
func (l *Listener) Accept() (*Session, error) {
	pending, err := l.AcceptPending()
	if err != nil {
		return nil, err
	}
	return pending.Handshake(context.Background(), l.nextID(), l.currentConfig())
}

// AcceptWithConfig is Accept with a session id and a configuration of the caller's.
func (l *Listener) AcceptWithConfig(sessionID uint64, config ServerConfig) (*Session, error) {
	pending, err := l.AcceptPending()
	if err != nil {
		return nil, err
	}
	return pending.Handshake(context.Background(), sessionID, config)
}

// AcceptPending waits for a client to connect and does no more: the handshake is up
// to the caller, who can do it in a goroutine of its own, so that a silent client
// keeps nobody waiting. There is an instance of the pipe for the next client before it
// returns. It fails with ErrAccept: the listener was closed, or the system is short of
// something, in which case this client is dropped.
func (l *Listener) AcceptPending() (*Pending, error) {
	var a arrival
	select {
	case a = <-l.arrivals:
	case <-l.done:
		a.err = carrier.ErrClosed
	}
	if a.err == nil && !l.remove(a.conn) {
		a.err = carrier.ErrClosed
	}
	if a.err != nil {
		return nil, carrier.Fail(ErrAccept, a.err, "accept on %s", l.name)
	}
	return &Pending{listener: l, conn: a.conn}, nil
}

// attend waits for a client on one instance of the pipe after the other, until the
// listener is closed.
func (l *Listener) attend(c *conn) {
	defer l.attending.Done()
	for {
		a := arrival{c, c.awaitClient()}
		next := c
		if a.err == nil {
			if next, a.err = l.newInstance(0); a.err != nil {
				next = c // the endpoint must not run out of instances, so this client has to go
			}
		}
		if next == c && c.reject() != nil {
			return // closed
		}
		if next != c && !l.add(next) {
			next.Close()
			return
		}
		if a.err != errorNoData { // which is a client that has hung up already
			select {
			case l.arrivals <- a:
			case <-l.done:
				return
			}
		}
		c = next
	}
}

// add and remove keep the list of instances; they return false once it is closed.
func (l *Listener) add(c *conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.instances = append(l.instances, c)
	}
	return !l.closed
}

func (l *Listener) remove(c *conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.instances = slices.DeleteFunc(l.instances, func(other *conn) bool { return other == c })
	return !l.closed
}

// SetPayloadLimits changes the limits that later handshakes grant, in bytes.
func (l *Listener) SetPayloadLimits(request, response uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.config.MaxRequestPayloadBytes = request
	l.config.MaxResponsePayloadBytes = response
}

// SetResponseCeiling lets [Pending.Accept] grant longer responses than configured, in
// bytes, to clients whose hint asks for them.
func (l *Listener) SetResponseCeiling(bytes uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ceiling = bytes
}

func (l *Listener) responseCeiling() uint32 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ceiling
}

func (l *Listener) currentConfig() ServerConfig {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.config
}

func (l *Listener) nextID() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sessionID++
	return l.sessionID
}

// Handle returns the handle of an instance of the pipe that waits for a client, to be
// looked at only; syscall.InvalidHandle once closed.
func (l *Listener) Handle() syscall.Handle {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return syscall.InvalidHandle
	}
	return l.instances[0].openHandle()
}

// Close gives the endpoint up: Accept fails, clients that were not accepted are refused,
// and nobody can connect any more. Sessions go on; once they have ended too, the name
// is free. Closing twice does no harm.
func (l *Listener) Close() {
	l.closeInstances()
	// Their handles are closed by who uses them last, which is who waits for a client.
	l.attending.Wait()
}

func (l *Listener) closeInstances() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.closed = true
	close(l.done)
	for _, instance := range l.instances {
		instance.Close()
	}
	l.instances = nil
}
