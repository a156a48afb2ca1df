package protocol

import (
	"bytes"
	"math"
)

// An itemLayout says where a kind's response items keep what they all have: strings
// and labels behind a fixed part.
type itemLayout struct {
	fixed      int  // size of the fixed part
	strings    int  // offset of the first string's offset and length, others follow
	count      int  // number of strings
	labelCount int  // offset of the number of labels
	echoesKey  bool // the first string is the request's key
}

const mostStrings = 3

func (l *itemLayout) stringAt(item []byte, i int) CStringView {
	return stringAt(item, l.strings+i*8)
}

func (l *itemLayout) labels(item []byte) labelTable {
	n := int(u16(item, l.labelCount))
	if n == 0 {
		return labelTable{}
	}
	var end uint64
	for i := range l.count {
		at := l.strings + i*8
		end = max(end, uint64(u32(item, at))+uint64(u32(item, at+4))+1)
	}
	return labelTable{item, Align8(int(end)), n}
}

// A labelTable finds the labels of a checked item.
type labelTable struct {
	item  []byte
	start int
	count int
}

func (t labelTable) at(i uint32) (LookupLabelView, error) {
	if uint64(i) >= uint64(t.count) {
		return LookupLabelView{}, ErrOutOfBounds
	}
	entry := t.start + int(i)*LookupLabelEntrySize
	return LookupLabelView{stringAt(t.item, entry+labelKey), stringAt(t.item, entry+labelValue)}, nil
}

// check applies the rules of strings (ST1–ST5) and labels (L1–L8) to an item that is
// at least as long as its fixed part.
func (l *itemLayout) check(item []byte) error {
	var spans [mostStrings]span
	var end uint64
	for i := range l.count {
		s, err := readCleanSpan(item, l.strings+i*8, l.fixed)
		if err != nil {
			return err
		}
		spans[i] = s
		end = max(end, s.end)
	}
	for i := range l.count {
		for j := range i {
			if spans[i].overlaps(spans[j]) {
				return ErrBadLayout
			}
		}
	}
	if n := int(u16(item, l.labelCount)); n > 0 {
		return l.checkLabels(item, int(end), n)
	}
	if end != uint64(len(item)) {
		return ErrBadLayout
	}
	return nil
}

// checkLabels walks the table behind the strings: keys and values must follow it in
// its order, without gaps, up to the end of the item.
func (l *itemLayout) checkLabels(item []byte, end, n int) error {
	table := Align8(end)
	if table > len(item) {
		return ErrOutOfBounds
	}
	for _, b := range item[end:table] {
		if b != 0 {
			return ErrBadLayout
		}
	}
	if n > (len(item)-table)/LookupLabelEntrySize {
		return ErrOutOfBounds
	}
	next := uint64(table + n*LookupLabelEntrySize)
	for i := range n {
		entry := table + i*LookupLabelEntrySize
		if u32(item, entry+labelKey+4) == 0 {
			return ErrBadLayout
		}
		for _, at := range [...]int{entry + labelKey, entry + labelValue} {
			if uint64(u32(item, at)) != next {
				return ErrBadLayout
			}
			s, err := readCleanSpan(item, at, l.fixed)
			if err != nil {
				return err
			}
			next = s.end
		}
	}
	if next != uint64(len(item)) {
		return ErrBadLayout
	}
	return nil
}

// readCleanSpan is readSpan for strings that may not contain a NUL.
func readCleanSpan(item []byte, at, least int) (span, error) {
	s, err := readSpan(item, at, least)
	if err == nil && hasNul(item[s.start:s.end-1]) {
		err = ErrBadLayout
	}
	return s, err
}

func hasNul(s []byte) bool { return bytes.IndexByte(s, 0) >= 0 }

// size returns the size of an item; math.MaxInt if no item can be like that.
func (l *itemLayout) size(labels []LookupLabel, strings ...[]byte) int {
	size := l.fixed
	for _, s := range strings {
		size += len(s) + 1
	}
	if len(labels) == 0 {
		return size
	}
	if len(labels) > math.MaxUint16 {
		return math.MaxInt
	}
	size = Align8(size) + len(labels)*LookupLabelEntrySize
	for _, label := range labels {
		size += len(label.Key) + 1 + len(label.Value) + 1
	}
	return size
}

// put writes the strings and labels into an item of their size and clears the rest.
func (l *itemLayout) put(item []byte, labels []LookupLabel, strings ...[]byte) {
	clear(item[:l.fixed])
	end := l.fixed
	for i, s := range strings {
		end = putString(item, l.strings+i*8, end, s)
	}
	putU16(item, l.labelCount, uint16(len(labels)))
	if len(labels) == 0 {
		return
	}
	table := Align8(end)
	clear(item[end:table])
	end = table + len(labels)*LookupLabelEntrySize
	for i, label := range labels {
		entry := table + i*LookupLabelEntrySize
		end = putString(item, entry+labelKey, end, label.Key)
		end = putString(item, entry+labelValue, end, label.Value)
	}
}

// checkContent applies to strings and labels on their way out what check demands of
// those that come in.
func checkContent(labels []LookupLabel, strings ...[]byte) error {
	for _, s := range strings {
		if hasNul(s) {
			return ErrBadLayout
		}
	}
	for _, label := range labels {
		if len(label.Key) == 0 || hasNul(label.Key) || hasNul(label.Value) {
			return ErrBadLayout
		}
	}
	return nil
}
