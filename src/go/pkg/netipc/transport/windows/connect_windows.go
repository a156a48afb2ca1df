package windows

import (
	"context"
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/carrier"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

// Between two attempts to connect to a server that is about to make the next instance
// of its pipe there are pauses: at first short ones, then longer ones, and not as long
// for all who wait.
const shortestPause, longestPause = time.Millisecond, 64 * time.Millisecond

// busyPatience is how long a client waits for such an instance. A server that listens no
// more, while sessions go on, looks the same and will make none.
const busyPatience = time.Second

// Connect connects to a service of runDir and agrees on a session. A nil config is
// one of defaults. It takes 5 seconds at most; see [ConnectContext].
//
// It fails with ErrBadParam, ErrCreatePipe, ErrConnect, ErrTimeout, or with what the
// handshake failed with: ErrAuthFailed, ErrNoProfile, ErrIncompatible,
// ErrLimitExceeded, ErrHandshake, ErrProtocol, ErrSend or ErrRecv.
func Connect(runDir, serviceName string, config *ClientConfig) (*Session, error) {
	return ConnectContext(context.Background(), runDir, serviceName, config)
}

// ConnectContext is Connect under a context: it fails with ErrAborted once that is
// cancelled, and with ErrTimeout once its deadline passes.
func ConnectContext(ctx context.Context, runDir, serviceName string, config *ClientConfig) (*Session, error) {
	e, err := newEndpoint(runDir, serviceName)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	if config == nil {
		config = &ClientConfig{}
	}
	within, cancel := context.WithTimeout(ctx, carrier.HandshakePatience)
	defer cancel()
	name := e.pipeName()
	c, err := connect(within, name)
	if err != nil {
		return nil, err
	}
	agreement, err := carrier.Greet(within, c, name, config.terms(c).Without(protocol.ProfileRing))
	if err != nil {
		return nil, err
	}
	return newSession(RoleClient, name, c, &agreement), nil
}

func connect(ctx context.Context, name string) (*conn, error) {
	handle, err := openWithin(ctx, name)
	if err != nil {
		return nil, carrier.Fail(ErrConnect, err, "connect to %s", name)
	}
	if err := setReadModeMessage(handle); err != nil {
		syscall.CloseHandle(handle)
		return nil, carrier.Fail(ErrConnect, err, "connect to %s: read it by messages", name)
	}
	c, err := newConn(handle)
	if err != nil {
		return nil, carrier.Fail(ErrCreatePipe, err, "connect to %s: register the pipe", name)
	}
	return c, nil
}

// openWithin opens a server's pipe, and tries again while no instance of it is free.
// The system could be told to wait for one, but not be told to stop.
func openWithin(ctx context.Context, name string) (syscall.Handle, error) {
	wideName := wide(name)
	patient := time.Now().Add(busyPatience)
	for pause := shortestPause; ; pause = min(2*pause, longestPause) {
		if ctx.Err() != nil {
			return syscall.InvalidHandle, carrier.WaitEnded(ctx)
		}
		// The server may learn who we are, and no more.
		handle, err := syscall.CreateFile(&wideName[0], syscall.GENERIC_READ|syscall.GENERIC_WRITE, 0, nil, syscall.OPEN_EXISTING,
			fileFlagOverlapped|securitySQOSPresent|securityIdentification, 0)
		if err != errorPipeBusy || time.Now().After(patient) {
			return handle, err
		}
		timer := time.NewTimer(pause/2 + rand.N(pause))
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}
