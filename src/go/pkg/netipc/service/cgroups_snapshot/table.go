package cgroups_snapshot

import (
	"bytes"
	"hash/maphash"
	"iter"
	"math/bits"
	"unsafe"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

// A table is a snapshot in memory of our own, indexed. It is not changed once made.
type table struct {
	systemd    uint32
	generation uint64
	items      []CacheItemView
	// Chains of items, from the first on: the number of the first item of each, and of
	// the one behind each item. They count from 1; 0 is the end.
	first, next []uint32
}

// newTable copies a snapshot. It fails if any of its items is malformed.
//
// Items may share bytes, so copying the message rather than its items bounds what a
// hostile snapshot can take. The items' strings lie in that copy.
func newTable(b []byte, into *table) error {
	view, err := protocol.DecodeCgroupsResponse(bytes.Clone(b))
	if err != nil {
		return err
	}
	t := table{
		systemd:    view.SystemdEnabled,
		generation: view.Generation,
		items:      make([]CacheItemView, view.ItemCount),
	}
	for i := range view.ItemCount {
		item, err := view.Item(i)
		if err != nil {
			return err
		}
		t.items[i] = CacheItemView{item.Hash, item.Options, item.Enabled, text(item.Name), text(item.Path)}
	}
	t.makeIndex()
	*into = t
	return nil
}

// text returns a string of a table's own message, which nobody writes to, without
// copying it.
func text(s protocol.CStringView) string {
	b := s.Bytes()
	return unsafe.String(unsafe.SliceData(b), len(b))
}

// makeIndex goes backwards, so that the first of several items with the same hash and
// name is the first of its chain.
func (t *table) makeIndex() {
	t.first = make([]uint32, 1<<bits.Len(uint(len(t.items))))
	t.next = make([]uint32, len(t.items))
	for i := len(t.items) - 1; i >= 0; i-- {
		first := t.chain(t.items[i].Hash, t.items[i].Name)
		t.next[i], *first = *first, uint32(i)+1
	}
}

// seed is our own: whoever chooses hashes and names must not know which share a chain, or
// a provider could make one of all its items.
var seed = maphash.MakeSeed()

// key is the identity of a cgroup.
type key struct {
	hash uint32
	name string
}

// chain returns where the chain begins in which a cgroup is, if it is.
func (t *table) chain(hash uint32, name string) *uint32 {
	return &t.first[maphash.Comparable(seed, key{hash, name})&uint64(len(t.first)-1)]
}

// find returns the first item with this hash and name, nil if there is none.
func (t *table) find(hash uint32, name string) *CacheItemView {
	if t == nil {
		return nil
	}
	for i := *t.chain(hash, name); i != 0; i = t.next[i-1] {
		if item := &t.items[i-1]; item.Hash == hash && item.Name == name {
			return item
		}
	}
	return nil
}

func (t *table) all() iter.Seq[*CacheItemView] {
	return func(yield func(*CacheItemView) bool) {
		if t == nil {
			return
		}
		for i := range t.items {
			if !yield(&t.items[i]) {
				return
			}
		}
	}
}
