//go:build unix

package posix

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/carrier"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

// socketMode lets the server's user connect, and nobody else.
const socketMode = 0o600

// A Listener is the endpoint of a service: where clients connect. Its methods may be
// called by any goroutine at any time.
type Listener struct {
	endpoint endpoint
	path     string
	id       fileID
	file     *os.File // owns fd and registers it with the runtime's poller
	raw      syscall.RawConn
	fd       int

	mu        sync.Mutex
	config    ServerConfig
	ceiling   uint32 // see SetResponseCeiling
	sessionID uint64 // the last one given away
	closed    bool
}

// Listen takes the endpoint of a service in runDir: {runDir}/{serviceName}.sock, mode
// 0600 from the start. What a dead server left at that name is removed, a foreign
// file with content is put aside as {path}.displaced-{n}. If config offers shared
// memory, what dead servers left of that is removed as well.
//
// It fails with ErrBadParam, ErrPathTooLong, with ErrAddrInUse if a live server has
// the endpoint or it cannot be told, or with ErrSocket.
func Listen(runDir, serviceName string, config ServerConfig) (*Listener, error) {
	e, path, err := resolveSocket(runDir, serviceName)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	lock, err := e.lock(startPatience)
	if err != nil {
		return nil, cannotLock(path, e.lockPath(), err)
	}
	defer lock.unlock()
	if err := makeFree(path); err != nil {
		return nil, err
	}
	fd, id, err := bindSocket(path, config.Backlog)
	if err != nil {
		return nil, err
	}
	l := &Listener{endpoint: e, path: path, id: id, fd: fd, config: config}
	if err := l.register(); err != nil {
		// The name must not be left to a socket that nobody serves.
		_, _ = id.remove(path)
		return nil, carrier.Fail(ErrSocket, err, "listen on %s: register the socket", path)
	}
	if config.SupportedProfiles&(protocol.ProfileSHMHybrid|protocol.ProfileSHMFutex) != 0 {
		// Only now, and under the lock: nobody else of this service is making regions.
		e.sweepRegions()
	}
	return l, nil
}

func cannotLock(path, lock string, cause error) error {
	switch {
	case errors.Is(cause, errLockTaken):
		return carrier.Fail(ErrAddrInUse, cause, "listen on %s", path)
	case probe(path) == nil:
		return inUse(path, "a live server has it", syscall.EADDRINUSE)
	}
	return carrier.Fail(ErrSocket, cause, "listen on %s: lock %s", path, lock)
}

// bindSocket makes a socket that listens at path, which must be free, and tells which
// file that is.
func bindSocket(path string, backlog int) (int, fileID, error) {
	fd, err := retry(newSocket)
	if err != nil {
		return -1, fileID{}, carrier.Fail(ErrSocket, err, "listen on %s: make a socket", path)
	}
	id, err := listenAt(fd, path, backlog)
	if err != nil {
		syscall.Close(fd)
		return -1, fileID{}, err
	}
	return fd, id, nil
}

func listenAt(fd int, path string, backlog int) (fileID, error) {
	err := restrictUnbound(fd, socketMode)
	if err == nil {
		err = syscall.Bind(fd, address(path))
	}
	if err == syscall.EADDRINUSE {
		return fileID{}, inUse(path, "somebody took it just now", err)
	}
	if err != nil {
		return fileID{}, carrier.Fail(ErrSocket, err, "listen on %s", path)
	}
	bound, err := fileAt(path)
	if err != nil {
		return fileID{}, carrier.Fail(ErrSocket, err, "listen on %s: look at it", path)
	}
	if bound.mode&0o777 != socketMode {
		err = restrictBound(path, bound.id, socketMode)
	}
	if err == nil {
		if backlog <= 0 {
			backlog = 16
		}
		err = syscall.Listen(fd, backlog)
	}
	if err != nil {
		_, _ = bound.id.remove(path)
		return fileID{}, carrier.Fail(ErrSocket, err, "listen on %s", path)
	}
	return bound.id, nil
}

// register hands the socket to the runtime's poller, or closes it.
func (l *Listener) register() error {
	l.file = os.NewFile(uintptr(l.fd), l.path)
	raw, err := l.file.SyscallConn()
	if err == nil {
		err = l.file.SetDeadline(time.Time{}) // fails if the poller has refused the socket
	}
	if err != nil {
		l.file.Close()
		return err
	}
	l.raw = raw
	return nil
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
// keeps nobody waiting. It fails with ErrAccept: the listener was closed, or the
// system is short of something (EMFILE, ENFILE, ENOMEM), in which case the client
// waits until it is tried again.
func (l *Listener) AcceptPending() (*Pending, error) {
	var fd int
	var failed error
	err := l.raw.Read(func(listener uintptr) bool {
		fd, failed = retry(func() (int, error) { return acceptSocket(int(listener)) })
		// A client that hung up before it was its turn is not worth a failure.
		return failed != syscall.EAGAIN && failed != syscall.ECONNABORTED
	})
	if errors.Is(err, os.ErrClosed) {
		err = carrier.ErrClosed
	}
	if err == nil {
		err = failed
	}
	if err != nil {
		return nil, carrier.Fail(ErrAccept, err, "accept on %s", l.path)
	}
	c, err := newConn(fd, l.path)
	if err != nil {
		return nil, carrier.Fail(ErrAccept, err, "accept on %s: register the socket", l.path)
	}
	return &Pending{listener: l, conn: c}, nil
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

// Fd returns the socket's descriptor, to be polled and looked at only; -1 once closed.
func (l *Listener) Fd() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return -1
	}
	return l.fd
}

// Close gives the endpoint up: its name is free, Accept fails, clients that were not
// accepted are refused. Sessions go on. What somebody else has put at the name stays.
// Closing twice does no harm.
func (l *Listener) Close() {
	l.mu.Lock()
	first := !l.closed
	l.closed = true
	l.mu.Unlock()
	if !first {
		return
	}
	// As long as the socket is open the name cannot pass to a successor, nor its number
	// to another file. Without the lock it is left, and the next start removes it.
	if lock, err := l.endpoint.lock(stopPatience); err == nil {
		_, _ = l.id.remove(l.path)
		lock.unlock()
	}
	l.file.Close()
}
