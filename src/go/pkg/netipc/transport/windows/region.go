package windows

import (
	"encoding/binary"
	"fmt"
	"math"
	"sync/atomic"
	"unsafe"
)

// What a region starts with, and where in its header things lie (PROTOCOL.md, section
// 25.3). The areas follow: the client's requests, then the server's responses.
const (
	regionMagic     uint32 = 0x4E535748
	regionVersion   uint32 = 3
	regionHeaderLen        = 128
	regionAlignment        = 64

	offsetMagic                 = 0
	offsetVersion               = 4
	offsetHeaderLen             = 8
	offsetProfile               = 12
	offsetRequestOffset         = 16
	offsetRequestCapacity       = 20
	offsetResponseOffset        = 24
	offsetResponseCapacity      = 28
	offsetSpinTries             = 32
	offsetRequestLength         = 36
	offsetResponseLength        = 40
	offsetRequestClientClosed   = 44
	offsetRequestServerWaiting  = 48
	offsetResponseServerClosed  = 52
	offsetResponseClientWaiting = 56
	offsetRequestSequence       = 64
	offsetResponseSequence      = 72
)

// A regionLayout says where the two areas of a region lie.
type regionLayout struct {
	requestOffset, requestCapacity   uint32
	responseOffset, responseCapacity uint32
}

// newLayout lays out areas of at least the given sizes. It fails with
// ErrWinShmBadParam if either is 0, or if their offsets would not fit the header.
func newLayout(request, response uint32) (regionLayout, error) {
	const largest = math.MaxUint32 &^ (regionAlignment - 1)
	if request == 0 || response == 0 || request > largest || response > largest {
		return regionLayout{}, fmt.Errorf("%w: areas of %d and %d bytes", ErrWinShmBadParam, request, response)
	}
	l := regionLayout{
		requestOffset:    regionHeaderLen,
		requestCapacity:  align64(request),
		responseCapacity: align64(response),
	}
	responseOffset := uint64(l.requestOffset) + uint64(l.requestCapacity)
	if responseOffset+uint64(l.responseCapacity) > math.MaxUint32 {
		return regionLayout{}, fmt.Errorf("%w: areas of %d and %d bytes together", ErrWinShmBadParam, request, response)
	}
	l.responseOffset = uint32(responseOffset)
	return l, nil
}

func align64(n uint32) uint32 { return (n + regionAlignment - 1) &^ (regionAlignment - 1) }

// size is what the mapping must have.
func (l *regionLayout) size() uint64 { return uint64(l.responseOffset) + uint64(l.responseCapacity) }

// writeHeader writes the header of a new region, which is all zeros, the magic last:
// whoever sees it sees all the rest.
func (l *regionLayout) writeHeader(region []byte, profile, spinTries uint32) {
	for offset, value := range map[int]uint32{
		offsetVersion:          regionVersion,
		offsetHeaderLen:        regionHeaderLen,
		offsetProfile:          profile,
		offsetRequestOffset:    l.requestOffset,
		offsetRequestCapacity:  l.requestCapacity,
		offsetResponseOffset:   l.responseOffset,
		offsetResponseCapacity: l.responseCapacity,
		offsetSpinTries:        spinTries,
	} {
		binary.NativeEndian.PutUint32(region[offset:], value)
	}
	// Pairs with the load in readLayout.
	atomic.StoreUint32(word[uint32](region, offsetMagic), regionMagic)
}

// readLayout reads the header of somebody else's region and judges it. Each number is
// read once, and only then looked at. It returns the spin tries, too, unjudged.
func readLayout(region []byte, profile uint32) (l regionLayout, spinTries uint32, err error) {
	refuse := func(kind error, format string, args ...any) (regionLayout, uint32, error) {
		return regionLayout{}, 0, fmt.Errorf("%w: "+format, append([]any{kind}, args...)...)
	}
	if len(region) < regionHeaderLen {
		return refuse(ErrWinShmBadHeader, "mapping of %d bytes", len(region))
	}
	// Pairs with the store in writeHeader.
	magic := atomic.LoadUint32(word[uint32](region, offsetMagic))
	var h [regionHeaderLen]byte
	copy(h[:], region)
	field := func(offset int) uint32 { return binary.NativeEndian.Uint32(h[offset:]) }
	l = regionLayout{field(offsetRequestOffset), field(offsetRequestCapacity), field(offsetResponseOffset), field(offsetResponseCapacity)}
	requestEnd := uint64(l.requestOffset) + uint64(l.requestCapacity)
	switch {
	case magic != regionMagic:
		return refuse(ErrWinShmBadMagic, "%#x", magic)
	case field(offsetVersion) != regionVersion:
		return refuse(ErrWinShmBadVersion, "%d", field(offsetVersion))
	case field(offsetHeaderLen) != regionHeaderLen:
		return refuse(ErrWinShmBadHeader, "of %d bytes", field(offsetHeaderLen))
	case field(offsetProfile) != profile:
		return refuse(ErrWinShmBadProfile, "%d instead of %d", field(offsetProfile), profile)
	case l.requestOffset < regionHeaderLen, l.responseOffset < regionHeaderLen, l.requestCapacity == 0, l.responseCapacity == 0:
		return refuse(ErrWinShmBadHeader, "no areas: %+v", l)
	case (l.requestOffset|l.requestCapacity|l.responseOffset|l.responseCapacity)%regionAlignment != 0:
		return refuse(ErrWinShmBadHeader, "not aligned: %+v", l)
	case requestEnd > math.MaxUint32, l.size() > math.MaxUint32, uint64(l.responseOffset) < requestEnd:
		return refuse(ErrWinShmBadHeader, "areas overlap: %+v", l)
	case uint64(len(region)) < l.size():
		return refuse(ErrWinShmBadHeader, "areas end at %d in a mapping of %d bytes", l.size(), len(region))
	}
	return l, field(offsetSpinTries), nil
}

// word names a word of a region, to be used with package atomic. Regions are mapped at
// page boundaries, so that a word is as aligned as its offset.
func word[T uint32 | int32 | uint64](region []byte, offset int) *T {
	return (*T)(unsafe.Pointer(&region[offset]))
}
