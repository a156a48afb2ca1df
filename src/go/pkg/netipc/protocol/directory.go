package protocol

import "math"

// Batches, snapshots and lookups share one shape: a head, a directory of entries,
// and the area the entries point into. This file reads and writes that shape.

// Offsets of a directory entry.
const (
	entryOffset = 0
	entryLength = 4
	entrySize   = 8
)

// A BatchEntry says where an item lies, relative to the area behind the directory.
type BatchEntry struct {
	Offset, Length uint32
}

func entryAt(b []byte, i int) BatchEntry {
	return BatchEntry{u32(b, i*entrySize+entryOffset), u32(b, i*entrySize+entryLength)}
}

func putEntry(b []byte, i, offset, length int) {
	putU32(b, i*entrySize+entryOffset, uint32(offset))
	putU32(b, i*entrySize+entryLength, uint32(length))
}

func (e BatchEntry) check(area uint64) error {
	if e.Offset%Alignment != 0 {
		return ErrBadAlignment
	}
	if uint64(e.Offset)+uint64(e.Length) > area {
		return ErrOutOfBounds
	}
	return nil
}

// slice returns the item in area, which e was checked against.
func (e BatchEntry) slice(area []byte) []byte {
	end := e.Offset + e.Length
	return area[e.Offset:end:end]
}

// A directory borrows the entries and the area of a payload.
type directory struct {
	entries, area []byte
}

// openDirectory finds a directory of count entries behind a head of the given size.
func openDirectory(payload []byte, head int, count uint32) (directory, error) {
	start := uint64(head) + uint64(count)*entrySize
	if uint64(len(payload)) < start {
		return directory{}, ErrTruncated
	}
	return directory{payload[head:start], payload[start:]}, nil
}

func (d directory) count() int { return len(d.entries) / entrySize }

// item returns item i, checking its entry again: the index is a caller's.
func (d *directory) item(i uint32) ([]byte, error) {
	if uint64(i) >= uint64(d.count()) {
		return nil, ErrOutOfBounds
	}
	e := entryAt(d.entries, int(i))
	if err := e.check(uint64(len(d.area))); err != nil {
		return nil, err
	}
	return e.slice(d.area), nil
}

// checkOrdered applies the directory rules of lookups (D1–D4): items of an allowed
// length, ascending, disjoint.
func (d directory) checkOrdered(least, most uint32) error {
	var free uint64
	for i := range d.count() {
		e := entryAt(d.entries, i)
		switch {
		case e.Offset%Alignment != 0:
			return ErrBadAlignment
		case e.Length < least || e.Length > most:
			return ErrBadLayout
		case uint64(e.Offset)+uint64(e.Length) > uint64(len(d.area)):
			return ErrOutOfBounds
		case uint64(e.Offset) < free:
			return ErrBadLayout
		}
		free = uint64(e.Offset) + uint64(e.Length)
	}
	return nil
}

// A packer lays items one by one behind a head and a directory with room for max
// entries. Entries hold offsets from there; finish closes the gap unused ones left.
type packer struct {
	buf   []byte
	head  int
	max   int
	count int
	data  int // end of the last item
}

// newPacker reserves the directory. One longer than the buffer leaves no room for an
// item, however much longer it is.
func newPacker(buf []byte, head int, maxItems uint32) packer {
	reserved := int(min(uint64(maxItems), uint64(len(buf)/entrySize)+1))
	return packer{buf: buf, head: head, max: reserved, data: head + reserved*entrySize}
}

// end returns where an item of size bytes would end, or math.MaxInt if that is past
// any buffer or what an entry can hold.
func (p *packer) end(size int) int {
	start := Align8(p.data)
	if size > math.MaxInt-start || uint64(start+size) > math.MaxUint32 {
		return math.MaxInt
	}
	return start + size
}

// push enters an item of size bytes into the directory and returns its bytes, not
// cleared; nil if there is no room.
func (p *packer) push(size int) []byte {
	end := p.end(size)
	if p.count >= p.max || end > len(p.buf) {
		return nil
	}
	start := end - size
	clear(p.buf[p.data:start])
	putEntry(p.buf[p.head:], p.count, start-p.head-p.max*entrySize, size)
	p.count++
	p.data = end
	return p.buf[start:end:end]
}

// finish moves the items up to the directory and returns the length of all.
func (p *packer) finish() int {
	reserved, used := p.head+p.max*entrySize, p.head+p.count*entrySize
	if p.count == 0 {
		return p.head
	}
	copy(p.buf[used:], p.buf[reserved:p.data])
	return used + p.data - reserved
}
