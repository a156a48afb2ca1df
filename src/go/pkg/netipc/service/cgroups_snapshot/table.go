package cgroups_snapshot

import (
	"bytes"
	"fmt"
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
	message    []byte // in which the items' strings lie; nil if it was not made of one
	// The index: a power of two of them, no more than half taken. Who is not where it
	// belongs is in one of the next.
	places []place
	seeded bool // whether it goes by a hash of our own
}

// A place is the provider's hash of an item, and the item's number, counted from 1; 0: free.
type place struct {
	hash, number uint32
}

// shared is how many times as long as the message all names together may be. They are that
// long at most once if no two items share bytes; where many share a long name, comparing
// names takes for ever.
const shared = 4

// newTable copies a snapshot. It fails if any of its items is malformed.
//
// Items may share bytes, so copying the message rather than its items bounds what a
// hostile snapshot can take. The items' strings lie in that copy.
func newTable(b []byte, into *table) error {
	message := bytes.Clone(b)
	view, err := protocol.DecodeCgroupsResponse(message)
	if err != nil {
		return err
	}
	t := table{
		systemd:    view.SystemdEnabled,
		generation: view.Generation,
		items:      make([]CacheItemView, view.ItemCount),
		message:    message,
	}
	var item protocol.CgroupsItemView
	names := shared * int64(len(message))
	for i := range t.items {
		if err := view.ReadItem(uint32(i), &item); err != nil {
			return err
		}
		if names -= int64(item.Name.Len()); names < 0 {
			return fmt.Errorf("%w: too many items share a long name", protocol.ErrBadLayout)
		}
		to := &t.items[i]
		to.Hash, to.Options, to.Enabled = item.Hash, item.Options, item.Enabled
		to.Name, to.Path = text(item.Name), text(item.Path)
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

// crowded is how many items may stand where another belongs. With hashes that mean well,
// hardly ever as many do.
const crowded = 64

// makeIndex goes by the provider's hashes, or by our own if those leave too many items in
// one place.
func (t *table) makeIndex() {
	t.places = make([]place, 1<<bits.Len(uint(2*len(t.items))))
	if !t.index() {
		clear(t.places)
		t.seeded = true
		t.index()
	}
}

// index enters each item, of several with the same hash and name the first. It gives up
// on the provider's hashes when they crowd, and tells so.
func (t *table) index() bool {
	for i := range t.items {
		item := &t.items[i]
		passed, p := t.search(item.Hash, item.Name)
		if p.number == 0 {
			*p = place{item.Hash, uint32(i) + 1}
		}
		if passed > crowded && !t.seeded {
			return false
		}
	}
	return true
}

// search returns the place of the cgroup, or the free one where it belongs, and how many
// others it passed by.
func (t *table) search(hash uint32, name string) (passed int, p *place) {
	// Hashes of names that count up differ little: multiplied, they differ in all bits.
	home := uint64(hash) * 0x9e3779b97f4a7c15 >> 32
	if t.seeded {
		home = maphash.Comparable(seed, key{hash, name})
	}
	for i := home; ; i++ {
		p = &t.places[i&uint64(len(t.places)-1)]
		if p.number == 0 || p.hash == hash && t.items[p.number-1].Name == name {
			return passed, p
		}
		passed++
	}
}

// seed is our own: whoever chooses hashes and names must not know which share a place, or
// a provider could put all its items there.
var seed = maphash.MakeSeed()

// key is the identity of a cgroup.
type key struct {
	hash uint32
	name string
}

// find returns the first item with this hash and name, nil if there is none.
func (t *table) find(hash uint32, name string) *CacheItemView {
	if t == nil {
		return nil
	}
	if _, p := t.search(hash, name); p.number != 0 {
		return &t.items[p.number-1]
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
