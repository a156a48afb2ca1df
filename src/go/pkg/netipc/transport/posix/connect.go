//go:build unix

package posix

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/carrier"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/session"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/spin"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

// connectPause is between two attempts to connect to a server whose backlog is full.
const connectPause = 5 * time.Millisecond

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
	return greet(ctx, path, config, func(c *conn) session.Terms {
		// Rings come with descriptors, for which a bare session has no place.
		return config.terms(c).Without(protocol.ProfileRing)
	})
}

// greet connects to the socket at path and agrees on a session.
func greet(ctx context.Context, path string, config *ClientConfig, terms func(*conn) session.Terms) (*Session, error) {
	within, cancel := context.WithTimeout(ctx, carrier.HandshakePatience)
	defer cancel()
	c, err := connect(within, path)
	if err != nil {
		return nil, err
	}
	c.in.spinner = spin.New(config.Spin)
	agreement, err := carrier.Greet(within, c, path, terms(c))
	if err != nil {
		return nil, err
	}
	return newSession(RoleClient, path, c, &agreement), nil
}

func connect(ctx context.Context, path string) (*conn, error) {
	fd, err := retry(newSocket)
	if err != nil {
		return nil, carrier.Fail(ErrSocket, err, "connect to %s: make a socket", path)
	}
	if err := connectWithin(ctx, fd, path); err != nil {
		syscall.Close(fd)
		return nil, carrier.Fail(ErrConnect, err, "connect to %s", path)
	}
	c, err := newConn(fd, path)
	if err != nil {
		return nil, carrier.Fail(ErrSocket, err, "connect to %s: register the socket", path)
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
			return carrier.WaitEnded(ctx)
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
