package protocol

import "sync"

// Statuses of a process in a response. Callers of a client never see PayloadExceeded.
const (
	PidLookupKnown uint16 = iota
	PidLookupUnknown
	PidLookupPayloadExceeded
	PidLookupOversizedItem
)

// Statuses of the cgroup of a known process.
const (
	AppsCgroupKnown uint16 = iota
	AppsCgroupUnknownRetryLater
	AppsCgroupUnknownPermanent
	AppsCgroupHostRoot
)

// Sizes of the fixed parts, of a key, and of an item that stands for an answer that
// could not be given.
const (
	AppsLookupReqHdr          = lookupRequestSize
	AppsLookupRespHdr         = lookupResponseSize
	AppsLookupItemHdr         = 60
	AppsLookupKeySize         = 8
	AppsLookupPlaceholderSize = AppsLookupItemHdr + 3
)

// mostComm is the length of the longest name of a process.
const mostComm = 15

// Offsets of a request's key.
const (
	appKeyPid      = 0
	appKeyReserved = 4
)

// Offsets of a response item.
const (
	appItemLayout       = 0
	appItemStatus       = 2
	appItemOrchestrator = 4
	appItemCgroupStatus = 6
	appItemPid          = 8
	appItemPpid         = 12
	appItemUid          = 16
	appItemReserved0    = 20
	appItemStarttime    = 24
	appItemComm         = 32 // offset and length
	appItemCgroupPath   = 40 // offset and length
	appItemCgroupName   = 48 // offset and length
	appItemLabelCount   = 56
	appItemReserved1    = 58
)

var appItem = itemLayout{fixed: AppsLookupItemHdr, strings: appItemComm, count: 3, labelCount: appItemLabelCount}

// EncodeAppsLookupRequest asks for pids and returns the size of the request. It fails
// with ErrOverflow if buf is too short.
func EncodeAppsLookupRequest(pids []uint32, buf []byte) (int, error) {
	keys, ok := newLookupRequest(buf, len(pids))
	if !ok {
		return 0, ErrOverflow
	}
	for _, pid := range pids {
		key := keys.push(AppsLookupKeySize)
		if key == nil {
			return 0, ErrOverflow
		}
		putU32(key, appKeyPid, pid)
		putU32(key, appKeyReserved, 0)
	}
	return keys.finish(), nil
}

// An AppsLookupRequestView is a request inside a message, valid while the message's
// bytes are unchanged.
type AppsLookupRequestView struct {
	ItemCount uint32
	keys      directory
}

// DecodeAppsLookupRequest reads and checks a request. It fails with ErrTruncated,
// ErrBadLayout, ErrBadAlignment or ErrOutOfBounds.
func DecodeAppsLookupRequest(b []byte) (*AppsLookupRequestView, error) {
	v := new(AppsLookupRequestView)
	if err := v.decode(b); err != nil {
		return nil, err
	}
	return v, nil
}

func (v *AppsLookupRequestView) decode(b []byte) error {
	keys, err := openLookupRequest(b)
	if err != nil {
		return err
	}
	if err := keys.checkOrdered(AppsLookupKeySize, AppsLookupKeySize); err != nil {
		return err
	}
	for i := range keys.count() {
		if u32(entryAt(keys.entries, i).slice(keys.area), appKeyReserved) != 0 {
			return ErrBadLayout
		}
	}
	*v = AppsLookupRequestView{uint32(keys.count()), keys}
	return nil
}

// Item returns pid index. It fails with ErrOutOfBounds.
func (v *AppsLookupRequestView) Item(index uint32) (uint32, error) {
	key, err := v.keys.item(index)
	if err != nil {
		return 0, err
	}
	return u32(key, appKeyPid), nil
}

// An AppsLookupResponseView is a response inside a message, valid while the message's
// bytes are unchanged.
type AppsLookupResponseView struct {
	LayoutVersion uint16
	Flags         uint16
	ItemCount     uint32
	Generation    uint64
	items         directory
}

// An AppsLookupItemView is one answer, borrowed like the response. Starttime is in
// clock ticks since boot, 0 where that is not known.
type AppsLookupItemView struct {
	Status       uint16
	Orchestrator uint16
	CgroupStatus uint16
	Pid          uint32
	Ppid         uint32
	Uid          uint32
	Starttime    uint64
	Comm         CStringView
	CgroupPath   CStringView
	CgroupName   CStringView
	LabelCount   uint16
	labels       labelTable
}

// DecodeAppsLookupResponse reads and checks a response with all its items. It fails
// with ErrTruncated, ErrBadLayout, ErrBadAlignment, ErrOutOfBounds or ErrMissingNul.
func DecodeAppsLookupResponse(b []byte) (*AppsLookupResponseView, error) {
	v := new(AppsLookupResponseView)
	if err := v.Decode(b); err != nil {
		return nil, err
	}
	return v, nil
}

// Decode is [DecodeAppsLookupResponse] into a view the caller has.
func (v *AppsLookupResponseView) Decode(b []byte) error {
	head, items, err := openItems(b, &appItem, checkAppsItem)
	if err != nil {
		return err
	}
	*v = AppsLookupResponseView{layoutVersion, 0, head.itemCount, head.generation, items}
	return nil
}

// Item returns answer index. It fails with ErrOutOfBounds.
func (v *AppsLookupResponseView) Item(index uint32) (*AppsLookupItemView, error) {
	item := new(AppsLookupItemView)
	if err := v.read(index, item); err != nil {
		return nil, err
	}
	return item, nil
}

func (v *AppsLookupResponseView) read(index uint32, into *AppsLookupItemView) error {
	item, err := v.items.item(index)
	if err != nil {
		return err
	}
	// Field by field: as a whole it would be made elsewhere and copied.
	into.Status = u16(item, appItemStatus)
	into.Orchestrator = u16(item, appItemOrchestrator)
	into.CgroupStatus = u16(item, appItemCgroupStatus)
	into.Pid = u32(item, appItemPid)
	into.Ppid = u32(item, appItemPpid)
	into.Uid = u32(item, appItemUid)
	into.Starttime = u64(item, appItemStarttime)
	into.Comm = appItem.stringAt(item, 0)
	into.CgroupPath = appItem.stringAt(item, 1)
	into.CgroupName = appItem.stringAt(item, 2)
	into.LabelCount = u16(item, appItemLabelCount)
	into.labels = appItem.labels(item)
	return nil
}

// RawItem returns the bytes of answer index, borrowed. It fails with ErrOutOfBounds.
func (v *AppsLookupResponseView) RawItem(index uint32) ([]byte, error) { return v.items.item(index) }

// Label returns label index. It fails with ErrOutOfBounds.
func (v *AppsLookupItemView) Label(index uint32) (LookupLabelView, error) { return v.labels.at(index) }

// appsFacts are the values of an item that depend on each other.
type appsFacts struct {
	status, cgroupStatus, orchestrator    uint16
	ppid, uid                             uint32
	starttime                             uint64
	commLen, pathLen, nameLen, labelCount uint64
}

func (f *appsFacts) check() error {
	if f.status > PidLookupOversizedItem || f.cgroupStatus > AppsCgroupHostRoot || f.commLen > mostComm {
		return ErrBadLayout
	}
	noContainer := f.orchestrator == 0 && f.nameLen == 0 && f.labelCount == 0
	ok := false
	switch {
	case f.status != PidLookupKnown:
		ok = noContainer && f.cgroupStatus == 0 && f.ppid == 0 && f.starttime == 0 &&
			f.uid == NipcUIDUnset && f.commLen == 0 && f.pathLen == 0
	case f.commLen == 0:
	case f.cgroupStatus == AppsCgroupKnown:
		ok = f.pathLen > 0
	case f.cgroupStatus == AppsCgroupUnknownRetryLater:
		ok = noContainer
	case f.cgroupStatus == AppsCgroupUnknownPermanent:
		ok = noContainer && f.pathLen > 0
	case f.cgroupStatus == AppsCgroupHostRoot:
		ok = noContainer && f.pathLen == 0
	}
	if !ok {
		return ErrBadLayout
	}
	return nil
}

func checkAppsItem(item []byte) error {
	if len(item) < AppsLookupItemHdr {
		return ErrBadLayout
	}
	if u16(item, appItemLayout) != layoutVersion || u32(item, appItemReserved0) != 0 || u16(item, appItemReserved1) != 0 {
		return ErrBadLayout
	}
	facts := appsFacts{
		u16(item, appItemStatus), u16(item, appItemCgroupStatus), u16(item, appItemOrchestrator),
		u32(item, appItemPpid), u32(item, appItemUid), u64(item, appItemStarttime),
		uint64(u32(item, appItemComm+4)), uint64(u32(item, appItemCgroupPath+4)), uint64(u32(item, appItemCgroupName+4)),
		uint64(u16(item, appItemLabelCount)),
	}
	if err := facts.check(); err != nil {
		return err
	}
	return appItem.check(item)
}

// EncodeAppsLookupRawResponse writes a response out of complete items, as RawItem
// returns them. It fails with ErrOverflow if buf is too short, else like
// DecodeAppsLookupResponse.
func EncodeAppsLookupRawResponse(items [][]byte, generation uint64, buf []byte) (int, error) {
	return packItems(items, generation, buf, checkAppsItem)
}

// An AppsLookupBuilder writes a response into a buffer of the caller. A handler adds
// one answer for each pid asked for, in their order. Answers that do not fit are
// replaced by placeholders; Add returns nil for those too.
type AppsLookupBuilder struct {
	lookupBuilder
}

// NewAppsLookupBuilder reserves room for the directory of maxItems items in buf. It
// panics if buf is too short for that.
func NewAppsLookupBuilder(buf []byte, maxItems uint32, generation uint64) *AppsLookupBuilder {
	mustHoldDirectory(buf, maxItems)
	return &AppsLookupBuilder{newLookupBuilder(&appItem, buf, maxItems, generation)}
}

// EstimateAppsLookupMaxItems returns how many short answers fit a buffer.
func EstimateAppsLookupMaxItems(bufSize int) uint32 {
	return estimateItems(bufSize, lookupResponseSize, Align8(AppsLookupPlaceholderSize))
}

// Add appends an answer. It fails with ErrBadLayout for an answer the statuses do not
// allow, a comm of more than 15 bytes or strings with a NUL, and with ErrOverflow for
// more answers than keys or when not even placeholders fit.
func (b *AppsLookupBuilder) Add(status, cgroupStatus, orchestrator uint16, pid, ppid, uid uint32, starttime uint64, comm, cgroupPath, cgroupName []byte, labels []struct{ Key, Value []byte }) error {
	facts := appsFacts{
		status, cgroupStatus, orchestrator, ppid, uid, starttime,
		uint64(len(comm)), uint64(len(cgroupPath)), uint64(len(cgroupName)), uint64(len(labels)),
	}
	invalid := facts.check()
	if invalid == nil {
		invalid = checkContent(labels, comm, cgroupPath, cgroupName)
	}
	switch b.decide(invalid, appItem.size(labels, comm, cgroupPath, cgroupName)) {
	case refused:
		return b.err
	case exceeded:
		return b.addPlaceholder(PidLookupPayloadExceeded, pid)
	case oversize:
		return b.addPlaceholder(PidLookupOversizedItem, pid)
	}
	item := b.push(labels, comm, cgroupPath, cgroupName)
	if item == nil {
		return b.err
	}
	putU16(item, appItemLayout, layoutVersion)
	putU16(item, appItemStatus, status)
	putU16(item, appItemOrchestrator, orchestrator)
	putU16(item, appItemCgroupStatus, cgroupStatus)
	putU32(item, appItemPid, pid)
	putU32(item, appItemPpid, ppid)
	putU32(item, appItemUid, uid)
	putU64(item, appItemStarttime, starttime)
	return nil
}

func (b *AppsLookupBuilder) addPlaceholder(status uint16, pid uint32) error {
	item := b.push(nil, nil, nil, nil)
	if item == nil {
		return b.err
	}
	putU16(item, appItemLayout, layoutVersion)
	putU16(item, appItemStatus, status)
	putU32(item, appItemPid, pid)
	putU32(item, appItemUid, NipcUIDUnset)
	return nil
}

// DispatchAppsLookup answers the request with what handler adds and returns the length
// of the response. It fails with what DecodeAppsLookupRequest fails with, with
// ErrOverflow if the answers need more room, with ErrBadLayout or ErrBadItemCount for
// answers that do not fit the request, and with ErrHandlerFailed. Handler may use its
// arguments only until it returns.
func DispatchAppsLookup(req, resp []byte, handler func(*AppsLookupRequestView, *AppsLookupBuilder) bool) (int, error) {
	task := appsScratch.Get().(*appsTask)
	defer task.release()
	if err := task.asked.decode(req); err != nil {
		return 0, err
	}
	task.builder = AppsLookupBuilder{newLookupBuilder(&appItem, resp, task.asked.ItemCount, 0)}
	if err := task.builder.begin(task.asked.keys); err != nil {
		return 0, err
	}
	return task.builder.verdict(handler(&task.asked, &task.builder))
}

// An appsTask is what a handler works on, kept so that answering does not allocate.
type appsTask struct {
	asked   AppsLookupRequestView
	builder AppsLookupBuilder
}

var appsScratch = sync.Pool{New: func() any { return new(appsTask) }}

func (t *appsTask) release() {
	*t = appsTask{}
	appsScratch.Put(t)
}
