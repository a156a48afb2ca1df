package protocol

// A BatchEntry says where an item of a batch lies, relative to the packed area
// behind the directory.
type BatchEntry struct {
	Offset, Length uint32
}

// Offsets of a directory entry; batches, snapshots and lookups share it.
const (
	entryOffset = 0
	entryLength = 4
	entrySize   = 8
)

// BatchDirEncode writes the directory and returns its size, or 0 if b is shorter.
func BatchDirEncode(entries []BatchEntry, b []byte) int {
	if len(b)/entrySize < len(entries) {
		return 0
	}
	for i, e := range entries {
		putU32(b, i*entrySize+entryOffset, e.Offset)
		putU32(b, i*entrySize+entryLength, e.Length)
	}
	return len(entries) * entrySize
}

// BatchDirDecode reads and checks a directory of itemCount entries in front of a
// packed area of packedLen bytes. It allocates the result; [BatchItemGet] does not.
// It fails with ErrTruncated, ErrBadAlignment or ErrOutOfBounds.
func BatchDirDecode(b []byte, itemCount, packedLen uint32) ([]BatchEntry, error) {
	if err := BatchDirValidate(b, itemCount, packedLen); err != nil {
		return nil, err
	}
	entries := make([]BatchEntry, itemCount)
	for i := range entries {
		entries[i] = entryAt(b, i)
	}
	return entries, nil
}

// BatchDirValidate checks what BatchDirDecode checks and keeps nothing. Order,
// overlap and gaps are allowed.
func BatchDirValidate(b []byte, itemCount, packedLen uint32) error {
	if uint64(len(b)) < uint64(itemCount)*entrySize {
		return ErrTruncated
	}
	for i := range int(itemCount) {
		if err := entryAt(b, i).check(packedLen); err != nil {
			return err
		}
	}
	return nil
}

// BatchPayloadValidate checks the directory of a complete batch payload: what a
// session demands of every batch of more than one item it receives.
func BatchPayloadValidate(payload []byte, itemCount uint32) error {
	dir := uint64(itemCount) * entrySize
	if uint64(len(payload)) < dir {
		return ErrTruncated
	}
	return BatchDirValidate(payload, itemCount, clampU32(len(payload)-int(dir)))
}

// BatchItemGet returns item index of a batch payload, borrowed from it. It fails
// with ErrOutOfBounds, ErrTruncated or ErrBadAlignment.
func BatchItemGet(payload []byte, itemCount, index uint32) ([]byte, error) {
	if index >= itemCount {
		return nil, ErrOutOfBounds
	}
	dir := uint64(itemCount) * entrySize
	if uint64(len(payload)) < dir {
		return nil, ErrTruncated
	}
	packed := payload[dir:]
	e := entryAt(payload, int(index))
	if err := e.check(clampU32(len(packed))); err != nil {
		return nil, err
	}
	return e.slice(packed), nil
}

// A BatchBuilder packs items behind their directory in a buffer of the caller.
type BatchBuilder struct {
	buf   []byte
	max   int
	count int
	data  int // end of the last item
}

// NewBatchBuilder reserves room for the directory of maxItems items in buf.
func NewBatchBuilder(buf []byte, maxItems uint32) *BatchBuilder {
	b := new(BatchBuilder)
	b.Reset(buf, maxItems)
	return b
}

// Reset starts over, in buf.
func (b *BatchBuilder) Reset(buf []byte, maxItems uint32) {
	// A directory longer than the buffer leaves no room for an item, however much longer.
	reserved := int(min(uint64(maxItems), uint64(len(buf)/entrySize)+1))
	*b = BatchBuilder{buf: buf, max: reserved, data: reserved * entrySize}
}

// Add appends a copy of item. Without room for it Add returns ErrOverflow and
// leaves the builder as it was.
func (b *BatchBuilder) Add(item []byte) error {
	start := Align8(b.data)
	if b.count >= b.max || start > len(b.buf) || len(item) > len(b.buf)-start {
		return ErrOverflow
	}
	clear(b.buf[b.data:start])
	copy(b.buf[start:], item)
	b.close(start, len(item))
	return nil
}

// close enters an item that lies at start into the directory.
func (b *BatchBuilder) close(start, length int) {
	putEntry(b.buf, b.count, start-b.max*entrySize, length)
	b.count++
	b.data = start + length
}

// Finish closes the gap unused directory entries left and returns the size of the
// payload and the number of items. The tail is padded with zeros to a multiple of
// [Alignment] if the buffer has room for that.
func (b *BatchBuilder) Finish() (int, uint32) {
	reserved, used := b.max*entrySize, b.count*entrySize
	if b.count == 0 {
		return 0, 0
	}
	copy(b.buf[used:], b.buf[reserved:b.data])
	end := used + b.data - reserved
	if padded := Align8(end); padded <= len(b.buf) {
		clear(b.buf[end:padded])
		end = padded
	}
	return end, uint32(b.count)
}

func entryAt(b []byte, i int) BatchEntry {
	return BatchEntry{u32(b, i*entrySize+entryOffset), u32(b, i*entrySize+entryLength)}
}

func putEntry(b []byte, i, offset, length int) {
	putU32(b, i*entrySize+entryOffset, uint32(offset))
	putU32(b, i*entrySize+entryLength, uint32(length))
}

func (e BatchEntry) check(area uint32) error {
	if e.Offset%Alignment != 0 {
		return ErrBadAlignment
	}
	if uint64(e.Offset)+uint64(e.Length) > uint64(area) {
		return ErrOutOfBounds
	}
	return nil
}

// slice returns the item e names in area, which e was checked against.
func (e BatchEntry) slice(area []byte) []byte {
	end := e.Offset + e.Length
	return area[e.Offset:end:end]
}

// clampU32 is n as an area length: entries cannot name more than this anyway.
func clampU32(n int) uint32 {
	return uint32(min(uint64(n), 1<<32-1))
}
