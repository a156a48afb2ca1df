//go:build unix

package posix

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/session"
)

const (
	// handshakePatience is how long a handshake may take, connecting included.
	handshakePatience = 5 * time.Second
	// connectPause is between two attempts to connect to a server whose backlog is full.
	connectPause = 5 * time.Millisecond
)

// Connect connects to a service in runDir and agrees on a session. A nil config is
// one of defaults. It takes 5 seconds at most; see [ConnectContext].
//
// It fails with ErrBadParam, ErrPathTooLong, ErrSocket, ErrConnect, ErrTimeout, or
// with what the handshake failed with: ErrAuthFailed, ErrNoProfile, ErrIncompatible,
// ErrLimitExceeded, ErrHandshake, ErrProtocol, ErrSend or ErrRecv.
func Connect(runDir, serviceName string, config *ClientConfig) (*Session, error) {
	return ConnectContext(context.Background(), runDir, serviceName, config)
}

// ConnectContext is Connect under a context: it fails with ErrAborted once that is
// cancelled, and with ErrTimeout once its deadline passes.
func ConnectContext(ctx context.Context, runDir, serviceName string, config *ClientConfig) (*Session, error) {
	_, path, err := resolveSocket(runDir, serviceName)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	if config == nil {
		config = &ClientConfig{}
	}
	within, cancel := context.WithTimeout(ctx, handshakePatience)
	defer cancel()
	c, err := connect(within, path)
	if err != nil {
		return nil, err
	}
	agreement, err := greet(within, c, path, config.terms(c))
	if err != nil {
		c.close()
		return nil, err
	}
	return newSession(RoleClient, path, c, &agreement), nil
}

func connect(ctx context.Context, path string) (*conn, error) {
	fd, err := retry(newSocket)
	if err != nil {
		return nil, fail(ErrSocket, err, "connect to %s: make a socket", path)
	}
	if err := connectWithin(ctx, fd, path); err != nil {
		syscall.Close(fd)
		return nil, fail(ErrConnect, err, "connect to %s", path)
	}
	c, err := newConn(fd, path)
	if err != nil {
		return nil, fail(ErrSocket, err, "connect to %s: register the socket", path)
	}
	return c, nil
}

// connectWithin connects, and tries again while the server's backlog is full: there
// is nothing that tells when it no longer is.
func connectWithin(ctx context.Context, fd int, path string) error {
	pause := time.NewTicker(connectPause)
	defer pause.Stop()
	for {
		if ctx.Err() != nil {
			return waitEnded(ctx)
		}
		err := connectSocket(fd, path)
		if err != syscall.EAGAIN && err != syscall.EINPROGRESS && err != syscall.EALREADY {
			return err
		}
		select {
		case <-ctx.Done():
		case <-pause.C:
		}
	}
}

// greet says HELLO and reads the answer.
func greet(ctx context.Context, c *conn, path string, terms session.Terms) (agreement session.Agreement, err error) {
	err = during(ctx, c, func(deadline time.Time) error {
		hello := terms.Hello()
		if err := c.send(hello[:], nil, deadline); err != nil {
			return fail(ErrSend, err, "send HELLO to %s", path)
		}
		packet, err := receiveHandshake(c, deadline)
		if err != nil {
			return fail(ErrRecv, err, "receive HELLO_ACK from %s", path)
		}
		if agreement, err = terms.Accept(packet); err != nil {
			return fmt.Errorf("handshake with %s: %w", path, err)
		}
		return nil
	})
	return agreement, err
}

// receiveHandshake receives a packet of a handshake, of which the end may be cut off.
func receiveHandshake(c *conn, deadline time.Time) ([]byte, error) {
	packet := make([]byte, session.HandshakeBuffer)
	n, err := c.receive(packet, nil, deadline)
	return packet[:min(n, len(packet))], err
}

// during runs f with ctx's deadline, and interrupts the connection if ctx is
// cancelled. If that has happened the connection is of no use, and f is taken to
// have failed.
func during(ctx context.Context, c *conn, f func(deadline time.Time) error) error {
	deadline, _ := ctx.Deadline()
	stop := context.AfterFunc(ctx, func() {
		if waitEnded(ctx) == ErrAborted {
			c.interrupt()
		}
	})
	err := f(deadline)
	if !stop() && err == nil {
		err = fail(waitEnded(ctx), waitEnded(ctx), "handshake")
	}
	return err
}
