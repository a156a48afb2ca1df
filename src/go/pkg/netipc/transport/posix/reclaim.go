//go:build unix

package posix

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/carrier"
)

// secondLook is how long after the first a socket that seems dead is looked at
// again: a server that does not know of the lock may have bound it and not listen yet.
const secondLook = 20 * time.Millisecond

// makeFree makes path free to bind, unless somebody alive has it or it cannot be
// told. The endpoint's lock must be held. What is worth nothing is removed, a file
// with content gets another name. It fails with ErrAddrInUse.
func makeFree(path string) error {
	entry, err := fileAt(path)
	switch {
	case errors.Is(err, syscall.ENOENT):
		return nil
	case err != nil:
		return inUse(path, "cannot tell what is there", err)
	}
	if entry.is(syscall.S_IFSOCK) || entry.is(syscall.S_IFLNK) {
		if err := refuseAlive(path); err != nil {
			return err
		}
	}
	removed := true
	if entry.is(syscall.S_IFREG) && entry.size > 0 {
		err = displace(path)
	} else {
		removed, err = entry.id.remove(path)
	}
	switch {
	case err != nil:
		return inUse(path, "cannot remove what is there", err)
	case !removed:
		return inUse(path, "somebody took it just now", syscall.EADDRINUSE)
	}
	return nil
}

// refuseAlive fails with ErrAddrInUse unless nobody listens at path for sure.
func refuseAlive(path string) error {
	for look := range 2 {
		if look > 0 {
			time.Sleep(secondLook)
		}
		if err := probe(path); err == nil {
			return inUse(path, "a live server has it", syscall.EADDRINUSE)
		} else if !provesDeath(err) {
			return inUse(path, "cannot tell whether a live server has it", err)
		}
	}
	return nil
}

// probe connects to path and hangs up. It never waits.
func probe(path string) error {
	fd, err := retry(newSocket)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	return connectSocket(fd, path)
}

func connectSocket(fd int, path string) error {
	_, err := retry(func() (int, error) { return 0, syscall.Connect(fd, address(path)) })
	if err == syscall.EISCONN { // an attempt before was interrupted, yet got through
		return nil
	}
	return err
}

// provesDeath tells whether a failed connect says that nobody listens there. A full
// backlog, no descriptor or no permission to ask, or a server of another type do not.
func provesDeath(err error) bool {
	switch err {
	case syscall.ECONNREFUSED, // nobody listens, or it is no socket
		syscall.ENOENT, syscall.ENOTDIR, syscall.ELOOP: // a link that leads nowhere
		return true
	}
	return false
}

// displace gives the file another name beside its own: the first free of
// {path}.displaced-{n}. Nobody else who holds the lock can take it meanwhile.
func displace(path string) error {
	for n := 1; ; n++ {
		aside := fmt.Sprintf("%s.displaced-%d", path, n)
		_, err := fileAt(aside)
		if err == nil {
			continue
		}
		if !errors.Is(err, syscall.ENOENT) {
			return err
		}
		return syscall.Rename(path, aside)
	}
}

func inUse(path, why string, cause error) error {
	return carrier.Fail(ErrAddrInUse, cause, "listen on %s: %s", path, why)
}
