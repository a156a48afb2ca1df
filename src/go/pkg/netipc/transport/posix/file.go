//go:build unix

package posix

import (
	"errors"
	"syscall"
)

// A fileID tells one file from every other that exists at the same time. The system
// does not give the number away while the file is open or has a name.
type fileID struct{ device, inode uint64 }

// A fileEntry is what stands at a name; links are not followed.
type fileEntry struct {
	id   fileID
	mode uint32 // type and permissions
	size int64
}

func (e *fileEntry) is(kind uint32) bool { return e.mode&syscall.S_IFMT == kind }

// fileAt looks at what stands at path.
func fileAt(path string) (fileEntry, error) {
	var stat syscall.Stat_t
	if _, err := retry(func() (int, error) { return 0, syscall.Lstat(path, &stat) }); err != nil {
		return fileEntry{}, err
	}
	return entryOf(&stat), nil
}

// fileOf tells which file a descriptor is open on.
func fileOf(fd int) (fileID, error) {
	entry, err := entryOpen(fd)
	return entry.id, err
}

func entryOpen(fd int) (fileEntry, error) {
	var stat syscall.Stat_t
	if _, err := retry(func() (int, error) { return 0, syscall.Fstat(fd, &stat) }); err != nil {
		return fileEntry{}, err
	}
	return entryOf(&stat), nil
}

func entryOf(stat *syscall.Stat_t) fileEntry {
	return fileEntry{
		id:   fileID{uint64(stat.Dev), uint64(stat.Ino)},
		mode: uint32(stat.Mode),
		size: int64(stat.Size),
	}
}

// remove removes the file from path if it still stands there, a directory if it is
// empty. It reports whether nothing of it is left.
func (id fileID) remove(path string) (bool, error) {
	entry, err := fileAt(path)
	switch {
	case errors.Is(err, syscall.ENOENT):
		return true, nil
	case err != nil:
		return false, err
	case entry.id != id:
		return false, nil
	}
	unlink := syscall.Unlink
	if entry.is(syscall.S_IFDIR) {
		unlink = syscall.Rmdir
	}
	_, err = retry(func() (int, error) { return 0, unlink(path) })
	if err != nil && !errors.Is(err, syscall.ENOENT) {
		return false, err
	}
	return true, nil
}

// retry repeats a system call that a signal interrupted.
func retry(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if err != syscall.EINTR {
			return n, err
		}
	}
}
