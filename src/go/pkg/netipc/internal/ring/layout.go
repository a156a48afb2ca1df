package ring

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"unsafe"
)

// What the memory of a session starts with, and where its words lie (PROTOCOL.md,
// section 27.2): far enough from each other that no two share a cache line, nor a pair of
// lines that is fetched together.
const (
	magic     uint32 = 0x4e524e47
	version   uint16 = 1
	HeaderLen        = 24

	offsetMagic         = 0
	offsetVersion       = 4
	offsetHeaderLen     = 6
	offsetRequestSlots  = 8
	offsetRequestBulk   = 12
	offsetResponseSlots = 16
	offsetResponseBulk  = 20

	offsetClientSleeps   = 128
	offsetServerSleeps   = 256
	offsetRequestsTaken  = 384
	offsetResponsesTaken = 512

	// SlotsAt is where the slots begin, and so the least that such memory can have.
	SlotsAt = 1024
)

const (
	// Enough for 64 requests in flight while up to a quarter is not settled.
	usualSlots = 128
	// So many of the longest messages are in flight at once, unless that takes too much
	// memory: longer messages pass in parts.
	longestInFlight      = 16
	leastBulk, usualBulk = 4096, 32768
	// Where messages are far longer, this share of the longest, so that who writes it
	// seldom waits for who reads it; unless that takes too much memory.
	shareOfLongest, mostBulk = 4, 1 << 18

	fewestSlots            = 4
	mostSlots              = 1 << 16
	smallestBulk, hugeBulk = 256, 1 << 26
)

// Lengths say how long the two directions are.
type Lengths struct {
	request, response length
}

// A length is how long one direction is. Both are powers of two.
type length struct {
	slots uint32
	bulk  uint32 // in bytes
}

// LengthsFor returns what this library makes for messages with up to so many bytes of
// payload.
func LengthsFor(request, response uint32) Lengths {
	return Lengths{lengthFor(request), lengthFor(response)}
}

func lengthFor(payload uint32) length {
	many := min(max(uint64(payload)*longestInFlight, leastBulk), usualBulk)
	bulk := max(many, min(uint64(payload)/shareOfLongest, mostBulk))
	return length{usualSlots, 1 << bits.Len64(bulk-1)}
}

func (l length) isPossible() bool {
	return bits.OnesCount32(l.slots) == 1 && fewestSlots <= l.slots && l.slots <= mostSlots &&
		bits.OnesCount32(l.bulk) == 1 && smallestBulk <= l.bulk && l.bulk <= hugeBulk
}

// Size is how many bytes all of it takes.
func (l Lengths) Size() int {
	slots := uint64(l.request.slots) + uint64(l.response.slots)
	return int(SlotsAt + slots*lineSize + uint64(l.request.bulk) + uint64(l.response.bulk))
}

// WriteHeader writes the header of new memory, which is zero.
func (l Lengths) WriteHeader(memory []byte) {
	binary.NativeEndian.PutUint32(memory[offsetMagic:], magic)
	binary.NativeEndian.PutUint16(memory[offsetVersion:], version)
	binary.NativeEndian.PutUint16(memory[offsetHeaderLen:], HeaderLen)
	binary.NativeEndian.PutUint32(memory[offsetRequestSlots:], l.request.slots)
	binary.NativeEndian.PutUint32(memory[offsetRequestBulk:], l.request.bulk)
	binary.NativeEndian.PutUint32(memory[offsetResponseSlots:], l.response.slots)
	binary.NativeEndian.PutUint32(memory[offsetResponseBulk:], l.response.bulk)
}

// ReadHeader judges a copy of the header of somebody else's memory (RM4, RM5).
func ReadHeader(header *[HeaderLen]byte) (Lengths, error) {
	word := func(at int) uint32 { return binary.NativeEndian.Uint32(header[at:]) }
	half := func(at int) uint16 { return binary.NativeEndian.Uint16(header[at:]) }
	l := Lengths{
		length{word(offsetRequestSlots), word(offsetRequestBulk)},
		length{word(offsetResponseSlots), word(offsetResponseBulk)},
	}
	switch {
	case word(offsetMagic) != magic:
		return Lengths{}, fmt.Errorf("magic number %#x", word(offsetMagic))
	case half(offsetVersion) != version:
		return Lengths{}, fmt.Errorf("version %d", half(offsetVersion))
	case half(offsetHeaderLen) != HeaderLen:
		return Lengths{}, fmt.Errorf("header of %d bytes", half(offsetHeaderLen))
	case !l.request.isPossible() || !l.response.isPossible():
		return Lengths{}, fmt.Errorf("impossible lengths %+v", l)
	}
	return l, nil
}

// A Memory is the two rings of a session and the words that say who sleeps.
type Memory struct {
	Requests, Responses        Track
	ClientSleeps, ServerSleeps Sleep
}

// A Track is the memory of one direction.
type Track struct {
	slots []slot // as many as a power of two
	bulk  []byte // likewise
	taken *uint64
}

// A slot is one cache line.
type slot struct {
	announcement uint64
	start        [startLen]byte
}

// On lays the rings on memory of the size of l that begins at a multiple of 64.
func (l Lengths) On(memory []byte) Memory {
	word := func(at int) *uint64 { return (*uint64)(unsafe.Pointer(&memory[at])) }
	next := SlotsAt
	slots := func(n uint32) []slot {
		here := memory[next:][:int(n)*lineSize]
		next += len(here)
		return unsafe.Slice((*slot)(unsafe.Pointer(unsafe.SliceData(here))), n)
	}
	bulk := func(n uint32) []byte {
		here := memory[next:][:n:n]
		next += len(here)
		return here
	}
	m := Memory{
		Requests:     Track{slots: slots(l.request.slots), taken: word(offsetRequestsTaken)},
		Responses:    Track{slots: slots(l.response.slots), taken: word(offsetResponsesTaken)},
		ClientSleeps: Sleep{word(offsetClientSleeps)},
		ServerSleeps: Sleep{word(offsetServerSleeps)},
	}
	m.Requests.bulk = bulk(l.request.bulk)
	m.Responses.bulk = bulk(l.response.bulk)
	return m
}
