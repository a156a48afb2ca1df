//go:build unix

package posix

import (
	"errors"
	"syscall"
	"time"
)

// How long another server of the service may take to start, or to stop.
const (
	startPatience = 2 * time.Second
	stopPatience  = time.Second
	lockPause     = 5 * time.Millisecond // between two attempts
)

// An endpointLock is held by whoever makes or removes the endpoint of a service.
// Every implementation of netipc that takes it takes it the same way. A holder that
// dies gives it up.
type endpointLock struct {
	path string
	file fileID
	fd   int
}

// What came of an attempt to lock.
var (
	errLockTaken   = errors.New("another server is starting or stopping there")
	errLockForeign = errors.New("lock file of another user")
)

// lock takes the lock, with patience if somebody has it. It fails with errLockTaken,
// or with what the system says.
func (e endpoint) lock(patience time.Duration) (*endpointLock, error) {
	path := e.lockPath()
	deadline := time.Now().Add(patience)
	var foreign fileID
	for {
		fd, file, err := tryLock(path)
		over := time.Now().After(deadline)
		switch {
		case err == nil:
			return &endpointLock{path, file, fd}, nil
		case errors.Is(err, errLockForeign) && over && file == foreign:
			// It cannot be opened, so not tried. Nobody holds it as long as this: a server of
			// the other user was killed while it did.
			if _, err := file.remove(path); err != nil {
				return nil, err
			}
			foreign = fileID{}
			continue
		case errors.Is(err, errLockForeign):
			foreign, err = file, errLockTaken
		case errors.Is(err, errLockTaken):
			foreign = fileID{}
		default:
			return nil, err
		}
		if over {
			return nil, err
		}
		time.Sleep(lockPause)
	}
}

// tryLock locks the file at path, and makes it if need be. With errLockForeign it
// returns which file it found.
func tryLock(path string) (int, fileID, error) {
	const flags = syscall.O_RDWR | syscall.O_CREAT | syscall.O_NOFOLLOW | syscall.O_NONBLOCK | syscall.O_CLOEXEC
	fd, err := retry(func() (int, error) { return syscall.Open(path, flags, 0o600) })
	if err != nil {
		file, err := cannotOpen(path, err)
		return -1, file, err
	}
	file, err := lockOpen(fd, path)
	if err != nil {
		syscall.Close(fd)
		return -1, fileID{}, err
	}
	return fd, file, nil
}

// cannotOpen tells what it means that the file at path could not be opened.
func cannotOpen(path string, cause error) (fileID, error) {
	entry, err := fileAt(path)
	if err != nil {
		return fileID{}, cause
	}
	switch cause {
	case syscall.ELOOP, syscall.EISDIR, syscall.ENXIO, syscall.EMLINK:
		// A link, a directory or a socket is nobody's lock.
		if _, err := entry.id.remove(path); err != nil {
			return fileID{}, err
		}
		return fileID{}, errLockTaken
	case syscall.EACCES:
		return entry.id, errLockForeign
	}
	return fileID{}, cause
}

// lockOpen locks what fd is open on, unless it is no longer what others find at path:
// the holder before removes it.
func lockOpen(fd int, path string) (fileID, error) {
	_, err := retry(func() (int, error) { return 0, syscall.Flock(fd, syscall.LOCK_EX|syscall.LOCK_NB) })
	if err == syscall.EWOULDBLOCK {
		return fileID{}, errLockTaken
	}
	if err != nil {
		return fileID{}, err
	}
	file, err := fileOf(fd)
	if err != nil {
		return fileID{}, err
	}
	if found, err := fileAt(path); err != nil || found.id != file {
		return fileID{}, errLockTaken
	}
	return file, nil
}

// unlock gives the lock up. The file is removed while it is held: whoever locked the
// same file meanwhile finds another at its name, or none, and tries again. If it
// cannot be removed it does no harm.
func (l *endpointLock) unlock() {
	l.file.remove(l.path)
	syscall.Close(l.fd)
}
