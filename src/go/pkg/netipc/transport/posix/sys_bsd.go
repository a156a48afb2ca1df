//go:build unix && !linux

package posix

import (
	"errors"
	"syscall"
)

// inheritNothing keeps f's descriptor from a child forked between its making and
// the mark that closes it on exec.
func inheritNothing(f func() (int, error)) (int, error) {
	syscall.ForkLock.RLock()
	fd, err := f()
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return -1, err
	}
	if err := syscall.SetNonblock(fd, true); err != nil {
		syscall.Close(fd)
		return -1, err
	}
	return fd, nil
}

func newSocket() (int, error) {
	return inheritNothing(func() (int, error) {
		return syscall.Socket(syscall.AF_UNIX, syscall.SOCK_SEQPACKET, 0)
	})
}

func acceptSocket(listener int) (int, error) {
	return inheritNothing(func() (int, error) {
		fd, _, err := syscall.Accept(listener)
		return fd, err
	})
}

// sendPacket sends head and body as one packet. Package syscall cannot gather here,
// so they are joined. A peer that is gone raises no signal: Go's runtime ignores
// SIGPIPE for every descriptor above 2.
func sendPacket(fd int, head, body []byte) (int, error) {
	packet := make([]byte, 0, len(head)+len(body))
	packet = append(append(packet, head...), body...)
	return syscall.SendmsgN(fd, packet, nil, nil, 0)
}

// receivePacket receives one packet into head and, when that is full, body. It
// returns the length the packet had, or at least one more than there was room for if
// the rest of it was lost. 0 is the end of the connection.
func receivePacket(fd int, head, body []byte, flags int) (int, error) {
	packet := head // without a copy: a receiver looks again and again
	if len(body) > 0 {
		packet = make([]byte, len(head)+len(body))
	}
	n, _, got, _, err := syscall.Recvmsg(fd, packet, nil, flags)
	if err != nil {
		return 0, err
	}
	if len(body) > 0 {
		copy(body, packet[copy(head, packet[:n]):n])
	}
	if got&syscall.MSG_TRUNC != 0 {
		n++
	}
	return n, nil
}

// restrictUnbound does nothing: the mode of a socket does not become that of its
// file on these systems.
func restrictUnbound(int, uint32) error { return nil }

// restrictBound gives the file at path the mode. Nobody can connect in between, as
// the socket does not listen yet.
func restrictBound(path string, file fileID, mode uint32) error {
	if found, err := fileAt(path); err != nil {
		return err
	} else if found.id != file {
		return syscall.ESTALE
	}
	return syscall.Chmod(path, mode)
}

func peerCredentials(int) (Credentials, error) { return Credentials{}, errors.ErrUnsupported }
