package protocol

import "math"

// Lookups map keys to values. Their requests and responses share a head, an ordered
// directory, and items made of a fixed part, strings and labels; cgroups_lookup.go and
// apps_lookup.go add what the fixed part means.

const (
	// LookupDirEntrySize is the size of a directory entry of a request or response.
	LookupDirEntrySize = entrySize
	// LookupLabelEntrySize is the size of an entry of an item's label table.
	LookupLabelEntrySize = 16
)

// NipcUIDUnset is the uid of a process that has none to tell.
const NipcUIDUnset uint32 = 0xFFFFFFFF

// Orchestrators. Other values are passed on as they are.
const (
	OrchestratorUnknown uint16 = iota
	OrchestratorSystemd
	OrchestratorDocker
	OrchestratorK8s
	OrchestratorKvm
	OrchestratorLxc
	OrchestratorPodman
	OrchestratorNspawn
)

// LookupLabel is a label as builders take it.
type LookupLabel = struct{ Key, Value []byte }

// A LookupLabelView is a label of an item, borrowed like the item.
type LookupLabelView struct {
	Key, Value CStringView
}

// Offsets of a request's head.
const (
	lookupRequestLayout    = 0
	lookupRequestFlags     = 2
	lookupRequestItemCount = 4
	lookupRequestReserved0 = 8
	lookupRequestReserved1 = 12
	lookupRequestSize      = 16
)

// Offsets of a response's head.
const (
	lookupResponseLayout     = 0
	lookupResponseFlags      = 2
	lookupResponseItemCount  = 4
	lookupResponseGeneration = 8
	lookupResponseSize       = 16
)

// Offsets of an entry of the label table.
const (
	labelKey   = 0 // offset and length
	labelValue = 8 // offset and length
)

func openLookupRequest(b []byte) (directory, error) {
	if len(b) < lookupRequestSize {
		return directory{}, ErrTruncated
	}
	if u16(b, lookupRequestLayout) != layoutVersion || u16(b, lookupRequestFlags) != 0 ||
		u32(b, lookupRequestReserved0) != 0 || u32(b, lookupRequestReserved1) != 0 {
		return directory{}, ErrBadLayout
	}
	return openDirectory(b, lookupRequestSize, u32(b, lookupRequestItemCount))
}

// newLookupRequest starts a request for n keys; false if buf cannot hold it.
func newLookupRequest(buf []byte, n int) (packer, bool) {
	if len(buf) < lookupRequestSize || n > (len(buf)-lookupRequestSize)/entrySize {
		return packer{}, false
	}
	putU16(buf, lookupRequestLayout, layoutVersion)
	putU16(buf, lookupRequestFlags, 0)
	putU32(buf, lookupRequestItemCount, uint32(n))
	putU32(buf, lookupRequestReserved0, 0)
	putU32(buf, lookupRequestReserved1, 0)
	return newPacker(buf, lookupRequestSize, uint32(n)), true
}

// lookupHead is the head of a response.
type lookupHead struct {
	itemCount  uint32
	generation uint64
}

func openLookupResponse(b []byte) (lookupHead, directory, error) {
	if len(b) < lookupResponseSize {
		return lookupHead{}, directory{}, ErrTruncated
	}
	if u16(b, lookupResponseLayout) != layoutVersion || u16(b, lookupResponseFlags) != 0 {
		return lookupHead{}, directory{}, ErrBadLayout
	}
	head := lookupHead{u32(b, lookupResponseItemCount), u64(b, lookupResponseGeneration)}
	items, err := openDirectory(b, lookupResponseSize, head.itemCount)
	return head, items, err
}

func (h lookupHead) put(b []byte) {
	putU16(b, lookupResponseLayout, layoutVersion)
	putU16(b, lookupResponseFlags, 0)
	putU32(b, lookupResponseItemCount, h.itemCount)
	putU64(b, lookupResponseGeneration, h.generation)
}

// openItems opens a response and checks every item with check, which sees the whole
// item and is trusted by whoever reads it later.
func openItems(b []byte, layout *itemLayout, check func([]byte) error) (lookupHead, directory, error) {
	head, items, err := openLookupResponse(b)
	if err != nil {
		return lookupHead{}, directory{}, err
	}
	if err := items.checkOrdered(uint32(layout.fixed), math.MaxUint32); err != nil {
		return lookupHead{}, directory{}, err
	}
	for i := range items.count() {
		if err := check(entryAt(items.entries, i).slice(items.area)); err != nil {
			return lookupHead{}, directory{}, err
		}
	}
	return head, items, nil
}

// packItems writes a response out of items that are complete already.
func packItems(raw [][]byte, generation uint64, buf []byte, check func([]byte) error) (int, error) {
	if len(buf) < lookupResponseSize {
		return 0, ErrOverflow
	}
	items := newPacker(buf, lookupResponseSize, uint32(min(uint64(len(raw)), math.MaxUint32)))
	for _, r := range raw {
		if err := check(r); err != nil {
			return 0, err
		}
		item := items.push(len(r))
		if item == nil {
			return 0, ErrOverflow
		}
		copy(item, r)
	}
	lookupHead{uint32(len(raw)), generation}.put(buf)
	return items.finish(), nil
}
