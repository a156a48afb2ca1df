package windows

import "errors"

// Why something with shared memory failed, for programs: returned errors wrap one of
// these, and the system's error where there was one. Compare with [errors.Is].
var (
	// ErrWinShmBadParam: an argument that cannot be used, or a context that is closed.
	ErrWinShmBadParam = errors.New("bad parameter for shared memory")
	// ErrWinShmCreateMapping: the system has no room for the region, or refused it.
	ErrWinShmCreateMapping = errors.New("cannot make shared memory")
	// ErrWinShmOpenMapping: there is no such region, or it is not for this user.
	ErrWinShmOpenMapping = errors.New("cannot open shared memory")
	// ErrWinShmMapView: there is no room for the region in the address space.
	ErrWinShmMapView = errors.New("cannot map shared memory")
	// ErrWinShmCreateEvent: the system refused to make an event.
	ErrWinShmCreateEvent = errors.New("cannot make an event of shared memory")
	// ErrWinShmOpenEvent: the region lacks its events, or they are not for this user.
	ErrWinShmOpenEvent = errors.New("cannot open an event of shared memory")
	// ErrWinShmAddrInUse: something of that name exists already.
	ErrWinShmAddrInUse = errors.New("shared memory is in use")
	// ErrWinShmBadMagic: the mapping is no region, or not yet.
	ErrWinShmBadMagic = errors.New("wrong magic number in shared memory")
	// ErrWinShmBadVersion: a layout of regions this package does not know.
	ErrWinShmBadVersion = errors.New("unsupported version of shared memory")
	// ErrWinShmBadHeader: areas that do not lie as they must within the mapping; of a
	// message, a length that cannot be, or that changed while the message was read.
	ErrWinShmBadHeader = errors.New("wrong header in shared memory")
	// ErrWinShmBadProfile: a region of another profile.
	ErrWinShmBadProfile = errors.New("wrong profile of shared memory")
	// ErrWinShmMsgTooLarge: a message is larger than its area or the caller's buffer.
	ErrWinShmMsgTooLarge = errors.New("message is too large for shared memory")
	// ErrWinShmTimeout: no message came in time.
	ErrWinShmTimeout = errors.New("timed out on shared memory")
	// ErrWinShmDisconnected: the peer has closed its side, and left no message.
	ErrWinShmDisconnected = errors.New("peer closed shared memory")
)
