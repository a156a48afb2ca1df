package posix

import (
	"encoding/binary"
	"fmt"
	"math"
	"sync/atomic"
	"unsafe"
)

// What a region starts with, and where in its header things lie (PROTOCOL.md, shared
// memory). The areas follow: the client's requests, then the server's responses.
const (
	regionMagic     uint32 = 0x4e53484d
	regionVersion   uint16 = 3
	regionHeaderLen        = 64
	regionAlignment        = 64

	offsetMagic            = 0
	offsetVersion          = 4
	offsetHeaderLen        = 6
	offsetOwnerPID         = 8
	offsetOwnerGeneration  = 12
	offsetRequestOffset    = 16
	offsetRequestCapacity  = 20
	offsetResponseOffset   = 24
	offsetResponseCapacity = 28
	offsetRequestSequence  = 32
	offsetResponseSequence = 40
	offsetRequestLength    = 48
	offsetResponseLength   = 52
	offsetRequestSignal    = 56
	offsetResponseSignal   = 60
)

// A regionLayout says where the two areas of a region lie.
type regionLayout struct {
	requestOffset, requestCapacity   uint32
	responseOffset, responseCapacity uint32
}

// newLayout lays out areas of at least the given sizes. It fails with ErrShmBadParam
// if either is 0, or if their offsets would not fit the header.
func newLayout(request, response uint32) (regionLayout, error) {
	const largest = math.MaxUint32 &^ (regionAlignment - 1)
	if request == 0 || response == 0 || request > largest || response > largest {
		return regionLayout{}, fmt.Errorf("%w: areas of %d and %d bytes", ErrShmBadParam, request, response)
	}
	l := regionLayout{
		requestOffset:    regionHeaderLen,
		requestCapacity:  align64(request),
		responseCapacity: align64(response),
	}
	responseOffset := uint64(l.requestOffset) + uint64(l.requestCapacity)
	if responseOffset+uint64(l.responseCapacity) > math.MaxUint32 {
		return regionLayout{}, fmt.Errorf("%w: areas of %d and %d bytes together", ErrShmBadParam, request, response)
	}
	l.responseOffset = uint32(responseOffset)
	return l, nil
}

func align64(n uint32) uint32 { return (n + regionAlignment - 1) &^ (regionAlignment - 1) }

// size is what the file must have.
func (l *regionLayout) size() uint64 {
	return max(uint64(l.requestOffset)+uint64(l.requestCapacity), uint64(l.responseOffset)+uint64(l.responseCapacity))
}

// writeHeader writes the header of a new region, the magic last: whoever sees it sees
// all the rest.
func (l *regionLayout) writeHeader(region []byte, pid int32, generation uint32) {
	binary.NativeEndian.PutUint16(region[offsetVersion:], regionVersion)
	binary.NativeEndian.PutUint16(region[offsetHeaderLen:], regionHeaderLen)
	binary.NativeEndian.PutUint32(region[offsetOwnerPID:], uint32(pid))
	binary.NativeEndian.PutUint32(region[offsetOwnerGeneration:], generation)
	binary.NativeEndian.PutUint32(region[offsetRequestOffset:], l.requestOffset)
	binary.NativeEndian.PutUint32(region[offsetRequestCapacity:], l.requestCapacity)
	binary.NativeEndian.PutUint32(region[offsetResponseOffset:], l.responseOffset)
	binary.NativeEndian.PutUint32(region[offsetResponseCapacity:], l.responseCapacity)
	// Pairs with the load in readLayout.
	atomic.StoreUint32(word32(region, offsetMagic), regionMagic)
}

// readLayout reads the header of somebody else's region and judges it (A2–A8). Each
// number is read once, and only then looked at.
func readLayout(region []byte) (regionLayout, error) {
	refuse := func(kind error, format string, args ...any) (regionLayout, error) {
		return regionLayout{}, fmt.Errorf("%w: "+format, append([]any{kind}, args...)...)
	}
	// Pairs with the store in writeHeader.
	magic := atomic.LoadUint32(word32(region, offsetMagic))
	var h [regionHeaderLen]byte
	copy(h[:], region)
	l := regionLayout{
		requestOffset:    binary.NativeEndian.Uint32(h[offsetRequestOffset:]),
		requestCapacity:  binary.NativeEndian.Uint32(h[offsetRequestCapacity:]),
		responseOffset:   binary.NativeEndian.Uint32(h[offsetResponseOffset:]),
		responseCapacity: binary.NativeEndian.Uint32(h[offsetResponseCapacity:]),
	}
	version := binary.NativeEndian.Uint16(h[offsetVersion:])
	headerLen := binary.NativeEndian.Uint16(h[offsetHeaderLen:])
	requestEnd := uint64(l.requestOffset) + uint64(l.requestCapacity)
	switch {
	case magic != regionMagic:
		return refuse(ErrShmBadMagic, "%#x", magic)
	case version != regionVersion:
		return refuse(ErrShmBadVersion, "%d", version)
	case headerLen != regionHeaderLen:
		return refuse(ErrShmBadHeader, "of %d bytes", headerLen)
	case l.requestOffset < regionHeaderLen, l.responseOffset < regionHeaderLen, l.requestCapacity == 0, l.responseCapacity == 0:
		return refuse(ErrShmNotReady, "no areas: %+v", l)
	case (l.requestOffset|l.requestCapacity|l.responseOffset|l.responseCapacity)%regionAlignment != 0:
		return refuse(ErrShmBadSize, "not aligned: %+v", l)
	case requestEnd > math.MaxUint32, uint64(l.responseOffset) < requestEnd:
		return refuse(ErrShmBadSize, "areas overlap: %+v", l)
	case uint64(len(region)) < l.size():
		return refuse(ErrShmBadSize, "areas end at %d in a file of %d bytes", l.size(), len(region))
	}
	return l, nil
}

// word32 and word64 name a word of a region, to be used with package atomic. Regions
// are mapped at page boundaries, so that a word is as aligned as its offset.
func word32(region []byte, offset int) *uint32 { return (*uint32)(unsafe.Pointer(&region[offset])) }
func word64(region []byte, offset int) *uint64 { return (*uint64)(unsafe.Pointer(&region[offset])) }
