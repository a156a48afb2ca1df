//go:build unix

package posix

import (
	"fmt"
)

// Credentials are who a peer was when it connected, as the kernel vouches for.
type Credentials struct {
	PID int
	UID uint32
	GID uint32
}

func (c *conn) credentials() (Credentials, error) {
	var who Credentials
	raw, err := c.file.SyscallConn()
	if err != nil {
		return who, fmt.Errorf("ask for the peer's credentials: %w", err)
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { who, failed = peerCredentials(int(fd)) }); err != nil {
		return who, fmt.Errorf("ask for the peer's credentials: %w", err)
	}
	if failed != nil {
		return who, fmt.Errorf("ask for the peer's credentials: %w", failed)
	}
	return who, nil
}
