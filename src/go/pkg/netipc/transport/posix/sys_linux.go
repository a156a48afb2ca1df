package posix

import (
	"strconv"
	"syscall"
	"unsafe"
)

// openPath is O_PATH, the same number on every architecture Go knows: a descriptor
// that names a file without opening it.
const openPath = 0x200000

func newSocket() (int, error) {
	return syscall.Socket(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
}

func acceptSocket(listener int) (int, error) {
	fd, _, err := syscall.Accept4(listener, syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
	return fd, err
}

// sendPacket sends head and body as one packet without joining them first.
func sendPacket(fd int, head, body []byte) (int, error) {
	var parts [2]syscall.Iovec
	message := gather(&parts, head, body)
	n, _, errno := syscall.Syscall(sysSendmsg, uintptr(fd), uintptr(unsafe.Pointer(&message)), syscall.MSG_NOSIGNAL)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// receivePacket receives one packet into head and, when that is full, body. It
// returns the length the packet had, which is more than there was room for if the
// rest of it was lost. 0 is the end of the connection.
func receivePacket(fd int, head, body []byte, flags int) (int, error) {
	var parts [2]syscall.Iovec
	message := gather(&parts, head, body)
	n, _, errno := syscall.Syscall(sysRecvmsg, uintptr(fd), uintptr(unsafe.Pointer(&message)), uintptr(flags|syscall.MSG_TRUNC))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

func gather(parts *[2]syscall.Iovec, head, body []byte) syscall.Msghdr {
	parts[0].Base = unsafe.SliceData(head)
	parts[0].SetLen(len(head))
	parts[1].Base = unsafe.SliceData(body)
	parts[1].SetLen(len(body))
	return syscall.Msghdr{Iov: &parts[0], Iovlen: 2}
}

// restrictUnbound makes a socket that is bound afterwards appear with the mode, less
// what the umask takes away: the kernel gives the file the mode of the socket.
func restrictUnbound(fd int, mode uint32) error { return syscall.Fchmod(fd, mode) }

// restrictBound gives the file at path the mode. What is changed is the file that
// was looked at, whatever may have been put in its place meanwhile.
func restrictBound(path string, file fileID, mode uint32) error {
	fd, err := retry(func() (int, error) {
		return syscall.Open(path, openPath|syscall.O_NOFOLLOW|syscall.O_CLOEXEC, 0)
	})
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	if found, err := fileOf(fd); err != nil {
		return err
	} else if found != file {
		return syscall.ESTALE
	}
	// A descriptor made with O_PATH is good for its name under /proc only.
	return syscall.Chmod("/proc/self/fd/"+strconv.Itoa(fd), mode)
}

// peerCredentials asks the kernel who connected the socket.
func peerCredentials(fd int) (Credentials, error) {
	found, err := syscall.GetsockoptUcred(fd, syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	if err != nil {
		return Credentials{}, err
	}
	return Credentials{PID: int(found.Pid), UID: found.Uid, GID: found.Gid}, nil
}
