package posix

import "errors"

// Why something with shared memory failed, for programs: returned errors wrap one of
// these, and the system's errno where there was one. Compare with [errors.Is].
var (
	// ErrShmPathTooLong: the region's path has more than 255 bytes.
	ErrShmPathTooLong = errors.New("path of the shared memory is too long")
	// ErrShmOpen: the region's file cannot be made or opened.
	ErrShmOpen = errors.New("cannot open shared memory")
	// ErrShmAllocate: there is no room for the region where it should lie.
	ErrShmAllocate = errors.New("cannot allocate shared memory")
	// ErrShmTruncate is never returned.
	//
	// Deprecated: see ErrShmAllocate.
	ErrShmTruncate = errors.New("cannot size shared memory")
	// ErrShmMmap: the region cannot be mapped, or not be waited on.
	ErrShmMmap = errors.New("cannot map shared memory")
	// ErrShmBadMagic: the file is no region, or not yet.
	ErrShmBadMagic = errors.New("wrong magic number in shared memory")
	// ErrShmBadVersion: a layout of regions this package does not know.
	ErrShmBadVersion = errors.New("unsupported version of shared memory")
	// ErrShmBadHeader: a region header of another size; of a message, that it is empty.
	ErrShmBadHeader = errors.New("wrong header in shared memory")
	// ErrShmBadSize: areas that do not lie as they must within the file, or no longer.
	ErrShmBadSize = errors.New("wrong sizes in shared memory")
	// ErrShmAddrInUse: a live process has made a region of that name.
	ErrShmAddrInUse = errors.New("shared memory is in use")
	// ErrShmNotReady: the region is not finished.
	ErrShmNotReady = errors.New("shared memory is not ready")
	// ErrShmMsgTooLarge: a message is larger than its area or the caller's buffer.
	ErrShmMsgTooLarge = errors.New("message is too large for shared memory")
	// ErrShmTimeout: no message came in time.
	ErrShmTimeout = errors.New("timed out on shared memory")
	// ErrShmBadParam: an argument that cannot be used, or a context that is closed.
	ErrShmBadParam = errors.New("bad parameter for shared memory")
	// ErrShmPeerDead is never returned: a [Link] reports the loss of its peer as ErrRecv.
	ErrShmPeerDead = errors.New("owner of the shared memory is gone")
)
