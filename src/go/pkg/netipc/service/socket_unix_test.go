//go:build unix

package service_test

import (
	"errors"
	"syscall"
	"testing"
)

// mostDescriptors is how many files and sockets this process may have open.
func mostDescriptors() uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return uint64(limit.Cur)
}

// sendPacket and receivePacket go past the session whose descriptor they are given.

func sendPacket(t *testing.T, fd int, packet []byte) {
	t.Helper()
	eventually(t, "a packet is sent", func() bool {
		_, err := syscall.SendmsgN(fd, packet, nil, nil, 0)
		if err != nil && !errors.Is(err, syscall.EAGAIN) {
			t.Fatal(err)
		}
		return err == nil
	})
}

// receivePacket returns nothing once the server has hung up.
func receivePacket(t *testing.T, fd int) []byte {
	t.Helper()
	packet := make([]byte, 1<<16)
	n := 0
	eventually(t, "a packet is received", func() bool {
		var err error
		n, _, err = syscall.Recvfrom(fd, packet, 0)
		if errors.Is(err, syscall.ECONNRESET) {
			n, err = 0, nil
		}
		if err != nil && !errors.Is(err, syscall.EAGAIN) {
			t.Fatal(err)
		}
		return err == nil
	})
	return packet[:n]
}
