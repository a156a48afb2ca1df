package posix

import (
	"errors"
	"fmt"
	"math"
	"os"
	"syscall"
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/carrier"
)

// maxRegionPath is what fits the path of a region in the C interface, and a name.
const maxRegionPath = 255

// regionPath names the shared memory of one session. It fails with ErrShmPathTooLong.
func (e endpoint) regionPath(sessionID uint64) (string, error) {
	path := fmt.Sprintf("%s/%s-%016x.ipcshm", e.dir, e.service, sessionID)
	if len(path) > maxRegionPath {
		return "", fmt.Errorf("%w: %s has %d bytes, %d are possible", ErrShmPathTooLong, path, len(path), maxRegionPath)
	}
	return path, nil
}

// ShmServerCreate makes the shared memory of one session:
// {runDir}/{serviceName}-{sessionID, 16 hexadecimal digits}.ipcshm, mode 0600. The
// capacities are those of the two areas in bytes, the 32 of the envelope included;
// they are rounded up to multiples of 64. What a dead server left is replaced. The
// space is taken from the file system at once, so that using it cannot fail later.
//
// It fails with ErrBadParam for a name, with ErrShmPathTooLong, with ErrShmBadParam
// for capacities of 0 or that make the region larger than 4 GiB, ErrShmOpen,
// ErrShmAddrInUse, ErrShmAllocate or ErrShmMmap, and then leaves nothing behind.
func ShmServerCreate(runDir, serviceName string, sessionID uint64, reqCapacity, respCapacity uint32) (*ShmContext, error) {
	e, path, err := resolveRegion(runDir, serviceName, sessionID)
	if err != nil {
		return nil, fmt.Errorf("create shared memory: %w", err)
	}
	return e.createRegion(path, reqCapacity, respCapacity)
}

func resolveRegion(runDir, service string, sessionID uint64) (endpoint, string, error) {
	e, err := newEndpoint(runDir, service)
	if err != nil {
		return e, "", err
	}
	path, err := e.regionPath(sessionID)
	return e, path, err
}

func (e endpoint) createRegion(path string, reqCapacity, respCapacity uint32) (*ShmContext, error) {
	layout, err := newLayout(reqCapacity, respCapacity)
	if err != nil {
		return nil, fmt.Errorf("create %s: %w", path, err)
	}
	fd, err := createFile(path)
	if err != nil {
		return nil, err
	}
	file, mem, err := allocate(fd, path, layout.size())
	if err != nil {
		// The file is new and has no other name, so it is ours; the first error is the one
		// to tell.
		_ = syscall.Unlink(path)
		syscall.Close(fd)
		return nil, err
	}
	generation := newGeneration()
	layout.writeHeader(mem, int32(os.Getpid()), generation)
	return newShmContext(ShmRoleServer, path, file, fd, mem, layout, generation), nil
}

// createFile makes the file, if need be in place of one that a dead server left.
func createFile(path string) (int, error) {
	const flags = syscall.O_RDWR | syscall.O_CREAT | syscall.O_EXCL | syscall.O_NOFOLLOW | syscall.O_CLOEXEC
	create := func() (int, error) { return syscall.Open(path, flags, 0o600) }
	fd, err := retry(create)
	if err == syscall.EEXIST {
		if err := reclaimRegion(path); err != nil {
			return -1, carrier.Fail(ErrShmAddrInUse, err, "create %s", path)
		}
		fd, err = retry(create)
	}
	switch err {
	case nil:
		return fd, nil
	case syscall.EEXIST: // again: somebody else is making it
		return -1, carrier.Fail(ErrShmAddrInUse, err, "create %s", path)
	}
	return -1, carrier.Fail(ErrShmOpen, err, "create %s", path)
}

// allocate gives the new file its mode, whatever the umask, and its size, and maps it.
func allocate(fd int, path string, size uint64) (fileID, []byte, error) {
	file, err := fileOf(fd)
	if err == nil {
		err = syscall.Fchmod(fd, 0o600)
	}
	if err != nil {
		return file, nil, carrier.Fail(ErrShmOpen, err, "create %s", path)
	}
	if size > math.MaxInt {
		return file, nil, fmt.Errorf("create %s: %w: %d bytes", path, ErrShmBadParam, size)
	}
	if err := grow(fd, int64(size)); err != nil {
		return file, nil, carrier.Fail(ErrShmAllocate, err, "allocate %d bytes for %s", size, path)
	}
	mem, err := syscall.Mmap(fd, 0, int(size), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return file, nil, carrier.Fail(ErrShmMmap, err, "map %s", path)
	}
	return file, mem, nil
}

// grow gives an empty file its size, and backs it: to set the size alone would leave it to
// the first write to find that the file system is full, and that kills the process.
func grow(fd int, size int64) error {
	// Above this limit the kernel would not only fail but also end the process with SIGXFSZ.
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err == nil && limit.Cur < uint64(size) {
		return syscall.EFBIG
	}
	_, err := retry(func() (int, error) { return 0, syscall.Fallocate(fd, 0, 0, size) })
	return err
}

// newGeneration tells this region from others of a process with the same id. 0 would
// mark it as abandoned.
func newGeneration() uint32 {
	now := time.Now()
	return max(uint32(now.Unix())^uint32(now.Nanosecond()>>10), 1)
}

// ShmClientAttach opens the shared memory of a session that a server has made. It
// fails with ErrBadParam for a name, with ErrShmPathTooLong, ErrShmOpen, ErrShmMmap,
// with ErrShmNotReady or ErrShmBadMagic if the region is not finished or none, or with
// ErrShmBadVersion, ErrShmBadHeader or ErrShmBadSize.
func ShmClientAttach(runDir, serviceName string, sessionID uint64) (*ShmContext, error) {
	_, path, err := resolveRegion(runDir, serviceName, sessionID)
	if err != nil {
		return nil, fmt.Errorf("attach to shared memory: %w", err)
	}
	fd, err := retry(func() (int, error) {
		return syscall.Open(path, syscall.O_RDWR|syscall.O_NOFOLLOW|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	})
	if err != nil {
		return nil, carrier.Fail(ErrShmOpen, err, "attach to %s", path)
	}
	c, err := attach(fd, path)
	if err != nil {
		syscall.Close(fd)
		return nil, err
	}
	return c, nil
}

func attach(fd int, path string) (*ShmContext, error) {
	entry, err := entryOpen(fd)
	switch {
	case err != nil:
		return nil, carrier.Fail(ErrShmOpen, err, "attach to %s", path)
	case entry.size < regionHeaderLen:
		return nil, fmt.Errorf("attach to %s: %w: file of %d bytes", path, ErrShmNotReady, entry.size)
	case entry.size > math.MaxInt:
		return nil, fmt.Errorf("attach to %s: %w: file of %d bytes", path, ErrShmBadSize, entry.size)
	}
	mem, err := syscall.Mmap(fd, 0, int(entry.size), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, carrier.Fail(ErrShmMmap, err, "map %s", path)
	}
	c, err := attachMapped(fd, path, entry.id, mem)
	if err != nil {
		_ = syscall.Munmap(mem) // fails only for what is not mapped
		return nil, fmt.Errorf("attach to %s: %w", path, err)
	}
	return c, nil
}

func attachMapped(fd int, path string, file fileID, mem []byte) (c *ShmContext, err error) {
	defer catchFault(mem, allowFaults(), &err)
	layout, err := readLayout(mem)
	if err != nil {
		return nil, err
	}
	generation := *word32(mem, offsetOwnerGeneration)
	return newShmContext(ShmRoleClient, path, file, fd, mem, layout, generation), nil
}

// reclaimRegion removes the region at path unless its owner is alive or it cannot be
// told. It fails with why it stays.
func reclaimRegion(path string) error {
	file, live, err := inspectRegion(path)
	switch {
	case errors.Is(err, syscall.ENOENT):
		return nil
	case err != nil:
		return err
	case live:
		return syscall.EADDRINUSE
	}
	removed, err := file.remove(path)
	if err == nil && !removed {
		err = syscall.EADDRINUSE // somebody made another one just now
	}
	return err
}

// inspectRegion tells which file is at path, and whether a live process may use it:
// one that has the id the header names, unless the header says it gave the region up.
// What is no region is nobody's. It fails if that cannot be told.
func inspectRegion(path string) (file fileID, live bool, err error) {
	// Without O_NONBLOCK a pipe would keep us waiting.
	fd, err := retry(func() (int, error) {
		return syscall.Open(path, syscall.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	})
	if err != nil {
		switch err {
		case syscall.ENOENT, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM:
			return fileID{}, false, err
		}
		// A link, a socket, or a file we may not read.
		entry, err := fileAt(path)
		return entry.id, false, err
	}
	defer syscall.Close(fd)
	entry, err := entryOpen(fd)
	if err != nil || !entry.is(syscall.S_IFREG) {
		return entry.id, false, err
	}
	var header [regionHeaderLen]byte
	n, err := retry(func() (int, error) { return syscall.Pread(fd, header[:], 0) })
	if err != nil {
		return entry.id, false, err
	}
	return entry.id, n == len(header) && hasLiveOwner(&header), nil
}
