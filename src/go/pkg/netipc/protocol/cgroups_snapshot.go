package protocol

import (
	"math"
	"sync"
)

// A CgroupsRequest asks for all cgroups; there is nothing to choose.
type CgroupsRequest struct {
	LayoutVersion uint16
	Flags         uint16
}

// A CgroupsRequestView is what handlers are asked: a decoded request.
type CgroupsRequestView = *CgroupsRequest

// Offsets of the request.
const (
	snapshotRequestLayout = 0
	snapshotRequestFlags  = 2
	snapshotRequestSize   = 4
)

// Encode writes r and returns 4, or 0 if b is shorter.
func (r *CgroupsRequest) Encode(b []byte) int {
	if len(b) < snapshotRequestSize {
		return 0
	}
	putU16(b, snapshotRequestLayout, r.LayoutVersion)
	putU16(b, snapshotRequestFlags, r.Flags)
	return snapshotRequestSize
}

// DecodeCgroupsRequest reads a request. It fails with ErrTruncated or ErrBadLayout.
func DecodeCgroupsRequest(b []byte) (CgroupsRequest, error) {
	if len(b) < snapshotRequestSize {
		return CgroupsRequest{}, ErrTruncated
	}
	r := CgroupsRequest{u16(b, snapshotRequestLayout), u16(b, snapshotRequestFlags)}
	if r.LayoutVersion != layoutVersion || r.Flags != 0 {
		return CgroupsRequest{}, ErrBadLayout
	}
	return r, nil
}

// Offsets of the response head; the directory follows it.
const (
	snapshotLayout     = 0
	snapshotFlags      = 2
	snapshotItemCount  = 4
	snapshotSystemd    = 8
	snapshotReserved   = 12
	snapshotGeneration = 16
	snapshotHeadSize   = 24
)

// Offsets of an item; its strings follow the fixed part.
const (
	snapItemLayout  = 0
	snapItemFlags   = 2
	snapItemHash    = 4
	snapItemOptions = 8
	snapItemEnabled = 12
	snapItemName    = 16 // offset and length
	snapItemPath    = 24 // offset and length
	snapItemSize    = 32
)

// A CgroupsResponseView is a snapshot inside a message, valid while the message's
// bytes are unchanged.
type CgroupsResponseView struct {
	LayoutVersion  uint16
	Flags          uint16
	ItemCount      uint32
	SystemdEnabled uint32
	Generation     uint64
	items          directory
}

// A CgroupsItemView is one cgroup of a snapshot, borrowed like the snapshot.
type CgroupsItemView struct {
	LayoutVersion uint16
	Flags         uint16
	Hash          uint32
	Options       uint32
	Enabled       uint32
	Name          CStringView
	Path          CStringView
}

// DecodeCgroupsResponse reads the head and the directory of a snapshot; items are
// checked as they are read. It fails with ErrTruncated, ErrBadLayout,
// ErrBadAlignment or ErrOutOfBounds.
func DecodeCgroupsResponse(b []byte) (CgroupsResponseView, error) {
	if len(b) < snapshotHeadSize {
		return CgroupsResponseView{}, ErrTruncated
	}
	v := CgroupsResponseView{
		LayoutVersion:  u16(b, snapshotLayout),
		Flags:          u16(b, snapshotFlags),
		ItemCount:      u32(b, snapshotItemCount),
		SystemdEnabled: u32(b, snapshotSystemd),
		Generation:     u64(b, snapshotGeneration),
	}
	if v.LayoutVersion != layoutVersion || v.Flags != 0 || u32(b, snapshotReserved) != 0 {
		return CgroupsResponseView{}, ErrBadLayout
	}
	items, err := openDirectory(b, snapshotHeadSize, v.ItemCount)
	if err != nil {
		return CgroupsResponseView{}, err
	}
	for i := range items.count() {
		e := entryAt(items.entries, i)
		if err := e.check(uint64(len(items.area))); err != nil {
			return CgroupsResponseView{}, err
		}
		if e.Length < snapItemSize {
			return CgroupsResponseView{}, ErrTruncated
		}
	}
	v.items = items
	return v, nil
}

// Item reads and checks item index. It fails with ErrOutOfBounds, ErrBadLayout or
// ErrMissingNul.
func (v *CgroupsResponseView) Item(index uint32) (CgroupsItemView, error) {
	var item CgroupsItemView
	if err := v.ReadItem(index, &item); err != nil {
		return CgroupsItemView{}, err
	}
	return item, nil
}

// ReadItem is Item into a struct of the caller, which spares copying it. What is in it
// after a failure is of no use.
func (v *CgroupsResponseView) ReadItem(index uint32, into *CgroupsItemView) error {
	item, err := v.items.item(index)
	if err != nil {
		return err
	}
	if len(item) < snapItemSize {
		return ErrTruncated
	}
	if u16(item, snapItemLayout) != layoutVersion || u16(item, snapItemFlags) != 0 {
		return ErrBadLayout
	}
	name, err := readSpan(item, snapItemName, snapItemSize)
	if err != nil {
		return err
	}
	path, err := readSpan(item, snapItemPath, snapItemSize)
	if err != nil {
		return err
	}
	if name.overlaps(path) {
		return ErrBadLayout
	}
	into.LayoutVersion, into.Flags = layoutVersion, 0
	into.Hash = u32(item, snapItemHash)
	into.Options = u32(item, snapItemOptions)
	into.Enabled = u32(item, snapItemEnabled)
	into.Name = stringAt(item, snapItemName)
	into.Path = stringAt(item, snapItemPath)
	return nil
}

// A CgroupsBuilder writes a snapshot into a buffer of the caller.
type CgroupsBuilder struct {
	items      packer
	systemd    uint32
	generation uint64
	err        error
}

// NewCgroupsBuilder reserves room for the directory of maxItems items in buf. It
// panics if buf is shorter than [CgroupsBuilderMinBytes].
func NewCgroupsBuilder(buf []byte, maxItems, systemdEnabled uint32, generation uint64) *CgroupsBuilder {
	if least, ok := CgroupsBuilderMinBytes(maxItems); !ok || len(buf) < least {
		panic("protocol: buffer too short for the directory of a snapshot")
	}
	return &CgroupsBuilder{items: newPacker(buf, snapshotHeadSize, maxItems), systemd: systemdEnabled, generation: generation}
}

// CgroupsBuilderMinBytes returns the size of an empty snapshot with room for the
// directory of maxItems items; false if that is more than an int.
func CgroupsBuilderMinBytes(maxItems uint32) (int, bool) {
	least := snapshotHeadSize + uint64(maxItems)*entrySize
	return int(least), least <= math.MaxInt
}

// EstimateCgroupsMaxItems returns how many items of modest size fit a buffer.
func EstimateCgroupsMaxItems(bufSize int) uint32 {
	const modestItem = 40
	return estimateItems(bufSize, snapshotHeadSize, modestItem)
}

func estimateItems(bufSize, head, item int) uint32 {
	if bufSize <= head {
		return 0
	}
	return uint32(min(uint64((bufSize-head)/(entrySize+item)), math.MaxUint32))
}

// SetHeader replaces the values given to NewCgroupsBuilder. Handlers call it, since
// their builder starts with zeros.
func (b *CgroupsBuilder) SetHeader(systemdEnabled uint32, generation uint64) {
	b.systemd, b.generation = systemdEnabled, generation
}

// Add appends an item. Without room for it Add returns ErrOverflow, and so does
// every later call: a snapshot is complete or is no snapshot. A server then answers
// that its limit was exceeded, whatever the handler returns, and the client asks
// again with more room.
func (b *CgroupsBuilder) Add(hash, options, enabled uint32, name, path []byte) error {
	if b.err != nil {
		return b.err
	}
	item := b.items.push(snapItemSize + len(name) + 1 + len(path) + 1)
	if item == nil {
		b.err = ErrOverflow
		return b.err
	}
	putU16(item, snapItemLayout, layoutVersion)
	putU16(item, snapItemFlags, 0)
	putU32(item, snapItemHash, hash)
	putU32(item, snapItemOptions, options)
	putU32(item, snapItemEnabled, enabled)
	end := putString(item, snapItemName, snapItemSize, name)
	putString(item, snapItemPath, end, path)
	return nil
}

// Error returns ErrOverflow once an item did not fit.
func (b *CgroupsBuilder) Error() error { return b.err }

// Finish completes the snapshot and returns its length.
func (b *CgroupsBuilder) Finish() int {
	end := b.items.finish()
	head := b.items.buf
	putU16(head, snapshotLayout, layoutVersion)
	putU16(head, snapshotFlags, 0)
	putU32(head, snapshotItemCount, uint32(b.items.count))
	putU32(head, snapshotSystemd, b.systemd)
	putU32(head, snapshotReserved, 0)
	putU64(head, snapshotGeneration, b.generation)
	return end
}

// HandleCgroupsSnapshot answers the request with what handler builds, at most
// maxItems items, and returns the length of the response. It fails with what
// DecodeCgroupsRequest fails with, with ErrOverflow if an item did not fit, else
// with ErrHandlerFailed if handler returned false. Handler may use its arguments
// only until it returns.
func HandleCgroupsSnapshot(request, response []byte, maxItems uint32, handler func(*CgroupsRequest, *CgroupsBuilder) bool) (int, error) {
	asked, err := DecodeCgroupsRequest(request)
	if err != nil {
		return 0, err
	}
	if len(response) < snapshotHeadSize {
		return 0, ErrOverflow
	}
	s := snapshotScratch.Get().(*snapshotTask)
	defer s.release()
	s.asked = asked
	s.builder.items = newPacker(response, snapshotHeadSize, maxItems)
	ok := handler(&s.asked, &s.builder)
	switch {
	case s.builder.err != nil:
		return 0, s.builder.err
	case !ok:
		return 0, ErrHandlerFailed
	}
	return s.builder.Finish(), nil
}

// A snapshotTask is what a handler works on, kept so that answering does not allocate.
type snapshotTask struct {
	asked   CgroupsRequest
	builder CgroupsBuilder
}

var snapshotScratch = sync.Pool{New: func() any { return new(snapshotTask) }}

func (s *snapshotTask) release() {
	*s = snapshotTask{}
	snapshotScratch.Put(s)
}

// DispatchCgroupsSnapshot is [HandleCgroupsSnapshot] without the reason of a failure.
func DispatchCgroupsSnapshot(req, resp []byte, maxItems uint32, handler func(*CgroupsRequest, *CgroupsBuilder) bool) (int, bool) {
	n, err := HandleCgroupsSnapshot(req, resp, maxItems, handler)
	return n, err == nil
}
