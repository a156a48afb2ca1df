package posix

import (
	"errors"
	"fmt"
	"runtime"
	"syscall"
	"unsafe"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/ring"
)

// What package syscall does not know of anonymous memory, the same on every architecture.
const (
	memfdCloseOnExec  = 0x1
	memfdAllowSealing = 0x2
	memfdNeverExec    = 0x8 // Linux 6.3

	addSeals    = 1033
	getSeals    = 1034
	sealSeal    = 0x1
	sealShrink  = 0x2
	sealGrow    = 0x4
	sealsOfSize = sealShrink | sealGrow

	tmpfsMagic = 0x01021994
)

// hasRings tells whether this system may have rings: 32-bit MIPS has no atomic words of 64
// bits that other processes would see as such.
var hasRings = memfdCreateNumber() != 0

// memfdCreateNumber is the number of the system call that makes anonymous memory.
func memfdCreateNumber() uintptr {
	switch runtime.GOARCH {
	case "amd64":
		return 319
	case "386":
		return 356
	case "arm":
		return 385
	case "arm64", "loong64", "riscv64":
		return 279
	case "mips64", "mips64le":
		return 5314
	case "ppc64", "ppc64le":
		return 360
	case "s390x":
		return 350
	}
	return 0
}

// createRingMemory makes memory of that size, all of it there, which cannot change its
// size any more, and maps it.
func createRingMemory(l ring.Lengths) (fd int, mem []byte, err error) {
	const flags = memfdCloseOnExec | memfdAllowSealing
	fd, err = memfdCreate("netipc-ring", flags|memfdNeverExec)
	if err == syscall.EINVAL {
		fd, err = memfdCreate("netipc-ring", flags)
	}
	if err != nil {
		return -1, nil, err
	}
	if err = grow(fd, int64(l.Size())); err == nil {
		_, err = fcntl(fd, addSeals, sealsOfSize|sealSeal)
	}
	if err == nil {
		mem, err = mapShared(fd, l.Size())
	}
	if err != nil {
		syscall.Close(fd)
		return -1, nil, err
	}
	// The client reads it after the packet that brings it the descriptor.
	l.WriteHeader(mem)
	return fd, mem, nil
}

// attachRingMemory maps what a server handed over, once it is found to be what it must
// be (PROTOCOL.md, section 27.3). It fails with ErrProtocol, or with what the system says.
func attachRingMemory(fd int) (mem []byte, l ring.Lengths, err error) {
	refuse := func(format string, args ...any) ([]byte, ring.Lengths, error) {
		return nil, l, fmt.Errorf("%w: memory of the session: %w", ErrProtocol, fmt.Errorf(format, args...))
	}
	if seals, err := fcntl(fd, getSeals, 0); err != nil || seals&sealsOfSize != sealsOfSize {
		return refuse("its size is not sealed") // RM1, which no file system is asked: it may never answer
	}
	var system syscall.Statfs_t
	if err := syscall.Fstatfs(fd, &system); err != nil {
		return nil, l, err
	}
	if system.Type != tmpfsMagic {
		return refuse("no anonymous memory") // RM2: a page of another kind may fail when it is touched
	}
	entry, err := entryOpen(fd)
	if err != nil {
		return nil, l, err
	}
	if entry.size < ring.SlotsAt {
		return refuse("%d bytes", entry.size) // RM3
	}
	start, err := mapShared(fd, ring.SlotsAt)
	if err != nil {
		return nil, l, err
	}
	var header [ring.HeaderLen]byte
	copy(header[:], start)
	_ = syscall.Munmap(start) // fails only for what is not mapped
	if l, err = ring.ReadHeader(&header); err != nil {
		return refuse("%w", err) // RM4, RM5
	}
	if entry.size != int64(l.Size()) {
		return refuse("%d bytes, of %d in its header", entry.size, l.Size()) // RM6
	}
	// Then no access can fail for lack of memory, whoever made it.
	_, err = retry(func() (int, error) { return 0, syscall.Fallocate(fd, 0, 0, entry.size) })
	if err != nil {
		return nil, l, err
	}
	mem, err = mapShared(fd, l.Size())
	return mem, l, err
}

func mapShared(fd, size int) ([]byte, error) {
	return syscall.Mmap(fd, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
}

func memfdCreate(name string, flags int) (int, error) {
	bytes, err := syscall.BytePtrFromString(name)
	if err != nil {
		return -1, err
	}
	if !hasRings {
		return -1, errors.ErrUnsupported
	}
	fd, _, errno := syscall.Syscall(memfdCreateNumber(), uintptr(unsafe.Pointer(bytes)), uintptr(flags), 0)
	if errno != 0 {
		return -1, errno
	}
	return int(fd), nil
}

func fcntl(fd, command, argument int) (int, error) {
	n, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), uintptr(command), uintptr(argument))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
