package cgroups_snapshot

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

// message is a snapshot of items with these names, in order.
func message(t testing.TB, hash uint32, names ...string) []byte {
	t.Helper()
	buf := make([]byte, 1<<20)
	b := protocol.NewCgroupsBuilder(buf, uint32(len(names)), 1, 7)
	for i, name := range names {
		if err := b.Add(hash, uint32(i), 1, []byte(name), []byte("/"+name)); err != nil {
			t.Fatal(err)
		}
	}
	return buf[:b.Finish()]
}

func mustTable(t testing.TB, b []byte) *table {
	t.Helper()
	var made table
	if err := newTable(b, &made); err != nil {
		t.Fatal(err)
	}
	return &made
}

func TestFindsItemsByHashAndName(t *testing.T) {
	var names []string
	for i := range 1000 {
		names = append(names, fmt.Sprintf("unit-%d", i))
	}
	b := message(t, 5, names...)
	made := mustTable(t, b)
	clear(b) // it is the link's, which uses it again
	for i, name := range names {
		if item := made.find(5, name); item == nil || item.Options != uint32(i) || item.Path != "/"+name {
			t.Fatalf("%s: %+v", name, item)
		}
	}
	none := mustTable(t, message(t, 5))
	for _, item := range []*CacheItemView{made.find(4, "unit-1"), made.find(5, "unit"), made.find(5, ""), none.find(5, "unit-1")} {
		if item != nil {
			t.Errorf("found %+v", item)
		}
	}
}

func TestTheFirstOfSeveralItemsIsFound(t *testing.T) {
	made := mustTable(t, message(t, 5, "a", "twice", "b", "twice"))
	if item := made.find(5, "twice"); item == nil || item.Options != 1 {
		t.Errorf("found %+v", item)
	}
}

func TestAProviderCannotPutAllItemsInOnePlace(t *testing.T) {
	equalHashes, equalNames := make([]CacheItemView, 4096), make([]CacheItemView, 4096)
	for i := range equalHashes {
		equalHashes[i] = CacheItemView{Hash: 5, Name: fmt.Sprint(i)}
		equalNames[i] = CacheItemView{Hash: uint32(i) << 20, Name: "name"}
	}
	for what, items := range map[string][]CacheItemView{"hashes": equalHashes, "names": equalNames} {
		made := table{items: items}
		made.makeIndex()
		for i := range items {
			passed, p := made.search(items[i].Hash, items[i].Name)
			if int(p.number) != i+1 || passed > crowded {
				t.Fatalf("equal %s: item %d is number %d, behind %d others", what, i, p.number, passed)
			}
		}
	}
}

// repeated is a snapshot of the same item again and again: the head, then an entry for
// each, all alike.
func repeated(t testing.TB, name string, count uint16) []byte {
	one := message(t, 5, name)
	head, entry, item := one[:24], one[24:32], one[32:]
	b := bytes.Clone(head)
	binary.NativeEndian.PutUint32(b[4:], uint32(count))
	return append(append(b, bytes.Repeat(entry, int(count))...), item...)
}

func TestItemsThatShareBytesTakeThemOnce(t *testing.T) {
	const count = 4096
	b := repeated(t, "name", count)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	made := mustTable(t, b)
	runtime.ReadMemStats(&after)
	if len(made.items) != count || made.items[count-1].Name != "name" {
		t.Fatalf("%d items", len(made.items))
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > 1<<20 {
		t.Errorf("took %d bytes", took)
	}
}

func TestALongNameThatManyItemsShareIsRefused(t *testing.T) {
	var made table
	if err := newTable(repeated(t, strings.Repeat("x", 200_000), 4096), &made); !errors.Is(err, protocol.ErrBadLayout) {
		t.Errorf("%v", err)
	}
}

func TestAnUnchangedSnapshotIsNotMadeAgain(t *testing.T) {
	c := NewCache("nowhere", "cgroups", ClientConfig{})
	b := message(t, 5, "name", "another")
	made := mustTable(t, b)
	c.cache.SeedForTests(made)
	var next table
	if err := c.table(b, &next); err != nil || &next.items[0] != &made.items[0] {
		t.Errorf("made again: %v", err)
	}
	b[16]++ // another generation
	if err := c.table(b, &next); err != nil || next.generation != made.generation+1 || &next.items[0] == &made.items[0] {
		t.Errorf("not made again: %v", err)
	}
	if made.find(5, "name") == nil || next.find(5, "name") == nil {
		t.Error("one of them is not whole")
	}
}

func TestACopyHoldsNothingOfTheSnapshot(t *testing.T) {
	view := mustTable(t, message(t, 5, "name")).find(5, "name")
	item := view.Dup()
	if item.Name != "name" || item.Path != "/name" || item.Hash != 5 {
		t.Errorf("copied %+v", item)
	}
	if unsafe.StringData(item.Name) == unsafe.StringData(view.Name) || unsafe.StringData(item.Path) == unsafe.StringData(view.Path) {
		t.Error("the copy has the snapshot's strings")
	}
}
