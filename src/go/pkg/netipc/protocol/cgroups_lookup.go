package protocol

import "sync"

// Statuses of a cgroup in a response. Callers of a client never see PayloadExceeded.
const (
	CgroupLookupKnown uint16 = iota
	CgroupLookupUnknownRetryLater
	CgroupLookupUnknownPermanent
	CgroupLookupPayloadExceeded
	CgroupLookupOversizedItem
)

// Sizes of the fixed parts.
const (
	CgroupsLookupReqHdr  = lookupRequestSize
	CgroupsLookupRespHdr = lookupResponseSize
	CgroupsLookupItemHdr = 28
)

// Offsets of a response item.
const (
	cgItemLayout       = 0
	cgItemStatus       = 2
	cgItemOrchestrator = 4
	cgItemReserved0    = 6
	cgItemPath         = 8  // offset and length
	cgItemName         = 16 // offset and length
	cgItemLabelCount   = 24
	cgItemReserved1    = 26
)

var cgItem = itemLayout{fixed: CgroupsLookupItemHdr, strings: cgItemPath, count: 2, labelCount: cgItemLabelCount, echoesKey: true}

// EncodeCgroupsLookupRequest asks for paths and returns the size of the request. It
// fails with ErrOverflow if buf is too short, and with ErrBadLayout for a path that
// is empty or contains a NUL.
func EncodeCgroupsLookupRequest(paths [][]byte, buf []byte) (int, error) {
	keys, ok := newLookupRequest(buf, len(paths))
	if !ok {
		return 0, ErrOverflow
	}
	for _, path := range paths {
		if len(path) == 0 || hasNul(path) {
			return 0, ErrBadLayout
		}
		key := keys.push(len(path) + 1)
		if key == nil {
			return 0, ErrOverflow
		}
		key[copy(key, path)] = 0
	}
	return keys.finish(), nil
}

// CgroupsLookupPlaceholderSize is the size of an item that stands for an answer that
// could not be given.
func CgroupsLookupPlaceholderSize(path []byte) int { return cgItem.size(nil, path, nil) }

// CgroupsLookupOversizedItem returns the item that stands for a path no request or
// response can hold.
func CgroupsLookupOversizedItem(path []byte) []byte {
	item := make([]byte, CgroupsLookupPlaceholderSize(path))
	cgItem.put(item, nil, path, nil)
	putU16(item, cgItemLayout, layoutVersion)
	putU16(item, cgItemStatus, CgroupLookupOversizedItem)
	return item
}

// A CgroupsLookupRequestView is a request inside a message, valid while the message's
// bytes are unchanged.
type CgroupsLookupRequestView struct {
	ItemCount uint32
	keys      directory
}

// DecodeCgroupsLookupRequest reads and checks a request. It fails with ErrTruncated,
// ErrBadLayout, ErrBadAlignment, ErrOutOfBounds or ErrMissingNul.
func DecodeCgroupsLookupRequest(b []byte) (*CgroupsLookupRequestView, error) {
	v := new(CgroupsLookupRequestView)
	if err := v.decode(b); err != nil {
		return nil, err
	}
	return v, nil
}

func (v *CgroupsLookupRequestView) decode(b []byte) error {
	keys, err := openLookupRequest(b)
	if err != nil {
		return err
	}
	if err := keys.checkOrdered(2, 1<<32-1); err != nil {
		return err
	}
	for i := range keys.count() {
		key := entryAt(keys.entries, i).slice(keys.area)
		last := len(key) - 1
		if key[last] != 0 {
			return ErrMissingNul
		}
		if hasNul(key[:last]) {
			return ErrBadLayout
		}
	}
	*v = CgroupsLookupRequestView{uint32(keys.count()), keys}
	return nil
}

// Item returns path index, borrowed. It fails with ErrOutOfBounds.
func (v *CgroupsLookupRequestView) Item(index uint32) (CStringView, error) {
	key, err := v.keys.item(index)
	if err != nil {
		return CStringView{}, err
	}
	return NewCStringView(key, uint32(len(key)-1)), nil
}

// A CgroupsLookupResponseView is a response inside a message, valid while the
// message's bytes are unchanged.
type CgroupsLookupResponseView struct {
	LayoutVersion uint16
	Flags         uint16
	ItemCount     uint32
	Generation    uint64
	items         directory
}

// A CgroupsLookupItemView is one answer, borrowed like the response.
type CgroupsLookupItemView struct {
	Status       uint16
	Orchestrator uint16
	Path         CStringView
	Name         CStringView
	LabelCount   uint16
	labels       labelTable
}

// DecodeCgroupsLookupResponse reads and checks a response with all its items. It fails
// with ErrTruncated, ErrBadLayout, ErrBadAlignment, ErrOutOfBounds or ErrMissingNul.
func DecodeCgroupsLookupResponse(b []byte) (*CgroupsLookupResponseView, error) {
	v := new(CgroupsLookupResponseView)
	if err := v.Decode(b); err != nil {
		return nil, err
	}
	return v, nil
}

// Decode is [DecodeCgroupsLookupResponse] into a view the caller has.
func (v *CgroupsLookupResponseView) Decode(b []byte) error {
	head, items, err := openItems(b, &cgItem, checkCgroupsItem)
	if err != nil {
		return err
	}
	*v = CgroupsLookupResponseView{layoutVersion, 0, head.itemCount, head.generation, items}
	return nil
}

// Item returns answer index. It fails with ErrOutOfBounds.
func (v *CgroupsLookupResponseView) Item(index uint32) (*CgroupsLookupItemView, error) {
	item := new(CgroupsLookupItemView)
	if err := v.read(index, item); err != nil {
		return nil, err
	}
	return item, nil
}

func (v *CgroupsLookupResponseView) read(index uint32, into *CgroupsLookupItemView) error {
	item, err := v.items.item(index)
	if err != nil {
		return err
	}
	// Field by field: as a whole it would be made elsewhere and copied.
	into.Status = u16(item, cgItemStatus)
	into.Orchestrator = u16(item, cgItemOrchestrator)
	into.Path = cgItem.stringAt(item, 0)
	into.Name = cgItem.stringAt(item, 1)
	into.LabelCount = u16(item, cgItemLabelCount)
	into.labels = cgItem.labels(item)
	return nil
}

// RawItem returns the bytes of answer index, borrowed. It fails with ErrOutOfBounds.
func (v *CgroupsLookupResponseView) RawItem(index uint32) ([]byte, error) { return v.items.item(index) }

// Label returns label index. It fails with ErrOutOfBounds.
func (v *CgroupsLookupItemView) Label(index uint32) (LookupLabelView, error) {
	return v.labels.at(index)
}

// cgroupsFacts are the values of an item that depend on each other.
type cgroupsFacts struct {
	status, orchestrator         uint16
	pathLen, nameLen, labelCount uint64
}

func (f *cgroupsFacts) check() error {
	known := f.status == CgroupLookupKnown
	if f.status > CgroupLookupOversizedItem || f.pathLen == 0 ||
		!known && (f.orchestrator != 0 || f.nameLen != 0 || f.labelCount != 0) {
		return ErrBadLayout
	}
	return nil
}

func checkCgroupsItem(item []byte) error {
	if len(item) < CgroupsLookupItemHdr {
		return ErrBadLayout
	}
	if u16(item, cgItemLayout) != layoutVersion || u16(item, cgItemReserved0) != 0 || u16(item, cgItemReserved1) != 0 {
		return ErrBadLayout
	}
	facts := cgroupsFacts{
		u16(item, cgItemStatus), u16(item, cgItemOrchestrator),
		uint64(u32(item, cgItemPath+4)), uint64(u32(item, cgItemName+4)), uint64(u16(item, cgItemLabelCount)),
	}
	if err := facts.check(); err != nil {
		return err
	}
	return cgItem.check(item)
}

// EncodeCgroupsLookupRawResponse writes a response out of complete items, as RawItem
// returns them. It fails with ErrOverflow if buf is too short, else like
// DecodeCgroupsLookupResponse.
func EncodeCgroupsLookupRawResponse(items [][]byte, generation uint64, buf []byte) (int, error) {
	return packItems(items, generation, buf, checkCgroupsItem)
}

// A CgroupsLookupBuilder writes a response into a buffer of the caller. A handler adds
// one answer for each path asked for, in their order. Answers that do not fit are
// replaced by placeholders; Add returns nil for those too.
type CgroupsLookupBuilder struct {
	lookupBuilder
}

// NewCgroupsLookupBuilder reserves room for the directory of maxItems items in buf. It
// panics if buf is too short for that.
func NewCgroupsLookupBuilder(buf []byte, maxItems uint32, generation uint64) *CgroupsLookupBuilder {
	mustHoldDirectory(buf, maxItems)
	return &CgroupsLookupBuilder{newLookupBuilder(&cgItem, buf, maxItems, generation)}
}

func mustHoldDirectory(buf []byte, maxItems uint32) {
	if uint64(len(buf)) < lookupResponseSize+uint64(maxItems)*entrySize {
		panic("protocol: buffer too short for the directory of a response")
	}
}

// EstimateCgroupsLookupMaxItems returns how many short answers fit a buffer.
func EstimateCgroupsLookupMaxItems(bufSize int) uint32 {
	return estimateItems(bufSize, lookupResponseSize, 32)
}

// Add appends an answer. It fails with ErrBadLayout for an answer the status does not
// allow or strings with a NUL, and with ErrOverflow for more answers than keys or when
// not even placeholders fit.
func (b *CgroupsLookupBuilder) Add(status, orchestrator uint16, path, name []byte, labels []struct{ Key, Value []byte }) error {
	facts := cgroupsFacts{status, orchestrator, uint64(len(path)), uint64(len(name)), uint64(len(labels))}
	invalid := facts.check()
	if invalid == nil {
		invalid = checkContent(labels, path, name)
	}
	switch b.decide(invalid, cgItem.size(labels, path, name)) {
	case refused:
		return b.err
	case exceeded:
		status, orchestrator, name, labels = CgroupLookupPayloadExceeded, 0, nil, nil
	case oversize:
		status, orchestrator, name, labels = CgroupLookupOversizedItem, 0, nil, nil
	}
	item := b.push(labels, path, name)
	if item == nil {
		return b.err
	}
	putU16(item, cgItemLayout, layoutVersion)
	putU16(item, cgItemStatus, status)
	putU16(item, cgItemOrchestrator, orchestrator)
	return nil
}

// AddRequestItem is Add with the path of key index of the request. It also fails with
// ErrOutOfBounds.
func (b *CgroupsLookupBuilder) AddRequestItem(req *CgroupsLookupRequestView, index uint32, status, orchestrator uint16, name []byte, labels []struct{ Key, Value []byte }) error {
	path, err := req.Item(index)
	if err != nil {
		b.refuse(err)
		return err
	}
	return b.Add(status, orchestrator, path.Bytes(), name, labels)
}

// DispatchCgroupsLookup answers the request with what handler adds and returns the
// length of the response. It fails with what DecodeCgroupsLookupRequest fails with,
// with ErrOverflow if the answers need more room, with ErrBadLayout or ErrBadItemCount
// for answers that do not fit the request, and with ErrHandlerFailed. Handler may use
// its arguments only until it returns.
func DispatchCgroupsLookup(req, resp []byte, handler func(*CgroupsLookupRequestView, *CgroupsLookupBuilder) bool) (int, error) {
	task := cgroupsScratch.Get().(*cgroupsTask)
	defer task.release()
	if err := task.asked.decode(req); err != nil {
		return 0, err
	}
	task.builder = CgroupsLookupBuilder{newLookupBuilder(&cgItem, resp, task.asked.ItemCount, 0)}
	if err := task.builder.begin(task.asked.keys); err != nil {
		return 0, err
	}
	return task.builder.verdict(handler(&task.asked, &task.builder))
}

// A cgroupsTask is what a handler works on, kept so that answering does not allocate.
type cgroupsTask struct {
	asked   CgroupsLookupRequestView
	builder CgroupsLookupBuilder
}

var cgroupsScratch = sync.Pool{New: func() any { return new(cgroupsTask) }}

func (t *cgroupsTask) release() {
	*t = cgroupsTask{}
	cgroupsScratch.Put(t)
}
