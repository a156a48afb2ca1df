package protocol

// A lookupBuilder decides what becomes of each answer in a response that may not hold
// them all (PROTOCOL.md, lookups): while it lasts, room is kept for placeholders of
// all keys to come; the first answer that does not fit, and all after it, become
// PAYLOAD_EXCEEDED placeholders, which the client asks for again. Only an answer no
// response could hold becomes an OVERSIZED_ITEM.
type lookupBuilder struct {
	items      packer
	layout     *itemLayout
	generation uint64
	err        error // ErrOverflow stays; others last until the next success
	cut        bool  // an answer became PAYLOAD_EXCEEDED
	keys       directory
	lens       []int // sizes of placeholders, when there are no keys to tell
	reserve    int   // room for placeholders of the keys not answered yet
	after      int   // the same without the key that decide was asked about
}

// A fate is what becomes of an answer.
type fate int

const (
	refused  fate = iota // see err
	answered             // written as it is
	exceeded             // PAYLOAD_EXCEEDED: ask again
	oversize             // OVERSIZED_ITEM: no response can hold it
)

func newLookupBuilder(layout *itemLayout, buf []byte, maxItems uint32, generation uint64) lookupBuilder {
	return lookupBuilder{items: newPacker(buf, lookupResponseSize, maxItems), layout: layout, generation: generation}
}

// begin makes the builder keep room for placeholders of keys. It fails with
// ErrOverflow if not even those fit.
func (b *lookupBuilder) begin(keys directory) error {
	b.keys = keys
	b.reserve = b.placeholders()
	if len(b.items.buf) < lookupResponseSize || b.items.data+b.reserve > len(b.items.buf) {
		return ErrOverflow
	}
	return nil
}

// SetPayloadExceededItemLens gives the sizes of the placeholders of all keys, for
// which the builder then keeps room. It has no effect unless there is one for each
// item the builder was made for. The slice is kept.
func (b *lookupBuilder) SetPayloadExceededItemLens(lens []int) {
	if len(lens) == b.items.max {
		b.lens = lens
		b.reserve = b.placeholders()
	}
}

// placeholder returns the size of the placeholder of key i, 0 if unknown.
func (b *lookupBuilder) placeholder(i int) int {
	switch {
	case b.lens != nil:
		return b.lens[i]
	case i >= b.keys.count():
		return 0
	}
	size := b.layout.fixed + b.layout.count
	if b.layout.echoesKey {
		size += int(entryAt(b.keys.entries, i).Length) - 1
	}
	return size
}

// placeholders returns the room for the placeholders of all keys not answered yet.
func (b *lookupBuilder) placeholders() (room int) {
	for i := b.items.count; i < b.items.max; i++ {
		room = Align8(room) + b.placeholder(i)
	}
	return room
}

// decide says what becomes of the next answer, of the given size, if invalid is nil.
func (b *lookupBuilder) decide(invalid error, size int) fate {
	switch {
	case b.err == ErrOverflow:
		return refused
	case b.items.count >= b.items.max:
		return b.refuse(ErrOverflow)
	}
	placeholder := b.placeholder(b.items.count)
	if b.after = 0; b.items.count+1 < b.items.max {
		b.after = b.reserve - Align8(placeholder)
	}
	// An answer takes no room from those after it if there are none, or if it is no larger
	// than the placeholder whose room was kept for it.
	spares := b.items.max == 1 || size <= placeholder
	end := b.items.end(size)
	switch {
	case b.cut:
		return exceeded
	case invalid != nil:
		return b.refuse(invalid)
	case end <= len(b.items.buf) && (spares || Align8(end)+b.after <= len(b.items.buf)):
		return answered
	case b.items.count > 0:
		b.cut = true
		return exceeded
	case size > len(b.items.buf)-lookupResponseSize-entrySize:
		return oversize
	}
	// The answer fits a response of its own: not oversize, so more room must be found.
	return b.refuse(ErrOverflow)
}

func (b *lookupBuilder) refuse(err error) fate {
	if b.err != ErrOverflow {
		b.err = err
	}
	return refused
}

// push writes the strings and labels of the item that was decided on and returns it, its
// other fields cleared; nil, with ErrOverflow, if there is no room.
func (b *lookupBuilder) push(labels []LookupLabel, strings ...[]byte) []byte {
	item := b.items.push(b.layout.size(labels, strings...))
	if item == nil {
		b.refuse(ErrOverflow)
		return nil
	}
	b.layout.put(item, labels, strings...)
	b.reserve = b.after
	b.err = nil
	return item
}

// SetGeneration sets the generation of the provider's data. Handlers call it, since
// their builder starts with 0.
func (b *lookupBuilder) SetGeneration(generation uint64) { b.generation = generation }

// Error returns why the last item was refused. ErrOverflow stays: the response is too
// small for what it must hold.
func (b *lookupBuilder) Error() error { return b.err }

// ItemCount returns the number of items so far.
func (b *lookupBuilder) ItemCount() uint32 { return uint32(b.items.count) }

// Finish completes the response and returns its length.
func (b *lookupBuilder) Finish() int {
	end := b.items.finish()
	lookupHead{uint32(b.items.count), b.generation}.put(b.items.buf)
	return end
}

// verdict is the outcome of a handler that returned ok.
func (b *lookupBuilder) verdict(ok bool) (int, error) {
	switch {
	case b.err != nil:
		return 0, b.err
	case !ok:
		return 0, ErrHandlerFailed
	case b.items.count != b.items.max:
		return 0, ErrBadItemCount
	}
	return b.Finish(), nil
}
