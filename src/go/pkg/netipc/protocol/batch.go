package protocol

// BatchDirEncode writes the directory and returns its size, or 0 if b is shorter.
func BatchDirEncode(entries []BatchEntry, b []byte) int {
	if len(b)/entrySize < len(entries) {
		return 0
	}
	for i, e := range entries {
		putEntry(b, i, int(e.Offset), int(e.Length))
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
	d, err := openDirectory(b, 0, itemCount)
	if err != nil {
		return err
	}
	return d.checkEach(uint64(packedLen))
}

// BatchPayloadValidate checks the directory of a complete batch payload: what a
// session demands of every batch of more than one item it receives.
func BatchPayloadValidate(payload []byte, itemCount uint32) error {
	d, err := openDirectory(payload, 0, itemCount)
	if err != nil {
		return err
	}
	return d.checkEach(uint64(len(d.area)))
}

func (d directory) checkEach(area uint64) error {
	for i := range d.count() {
		if err := entryAt(d.entries, i).check(area); err != nil {
			return err
		}
	}
	return nil
}

// BatchItemGet returns item index of a batch payload, borrowed from it. It fails
// with ErrOutOfBounds, ErrTruncated or ErrBadAlignment.
func BatchItemGet(payload []byte, itemCount, index uint32) ([]byte, error) {
	if index >= itemCount {
		return nil, ErrOutOfBounds
	}
	d, err := openDirectory(payload, 0, itemCount)
	if err != nil {
		return nil, err
	}
	return d.item(index)
}

// A BatchBuilder packs items behind their directory in a buffer of the caller.
type BatchBuilder struct {
	items packer
}

// NewBatchBuilder reserves room for the directory of maxItems items in buf.
func NewBatchBuilder(buf []byte, maxItems uint32) *BatchBuilder {
	return &BatchBuilder{newPacker(buf, 0, maxItems)}
}

// Reset starts over, in buf.
func (b *BatchBuilder) Reset(buf []byte, maxItems uint32) {
	b.items = newPacker(buf, 0, maxItems)
}

// Add appends a copy of item. Without room for it Add returns ErrOverflow and
// leaves the builder as it was.
func (b *BatchBuilder) Add(item []byte) error {
	if b.items.count >= b.items.max || b.items.end(len(item)) > len(b.items.buf) {
		return ErrOverflow
	}
	copy(b.items.push(len(item)), item)
	return nil
}

// AddInPlace appends an item that write puts into the room there is, returning its
// length. It fails with ErrOverflow or with what write fails with, and then leaves
// the builder as it was.
func (b *BatchBuilder) AddInPlace(write func(room []byte) (int, error)) error {
	start := Align8(b.items.data)
	if b.items.count >= b.items.max || start > len(b.items.buf) {
		return ErrOverflow
	}
	n, err := write(b.items.buf[start:])
	if err != nil {
		return err
	}
	if b.items.push(n) == nil {
		return ErrOverflow
	}
	return nil
}

// Finish closes the gap unused directory entries left and returns the size of the
// payload and the number of items. The tail is padded with zeros to a multiple of
// [Alignment] if the buffer has room for that.
func (b *BatchBuilder) Finish() (int, uint32) {
	end := b.items.finish()
	if padded := Align8(end); padded <= len(b.items.buf) {
		clear(b.items.buf[end:padded])
		end = padded
	}
	return end, uint32(b.items.count)
}
