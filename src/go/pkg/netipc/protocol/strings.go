package protocol

import "strconv"

// A CStringView is a string inside a message. It borrows the message's bytes and is
// valid while they are unchanged; [CStringView.String] copies. Any bytes may occur,
// not only UTF-8.
type CStringView struct {
	bytes []byte // without the NUL
}

// NewCStringView views the first length bytes of data, which ends with a NUL that is
// not part of the string.
func NewCStringView(dataIncludingNul []byte, length uint32) CStringView {
	length = uint32(min(uint64(length), uint64(len(dataIncludingNul))))
	return CStringView{dataIncludingNul[:length:length]}
}

// Bytes returns the string without its NUL, borrowed.
func (s CStringView) Bytes() []byte { return s.bytes }

// Len returns the length in bytes without the NUL.
func (s CStringView) Len() uint32 { return uint32(len(s.bytes)) }

// String returns a copy.
func (s CStringView) String() string { return string(s.bytes) }

// GoString returns the string for %#v.
func (s CStringView) GoString() string { return "CStringView(" + strconv.Quote(string(s.bytes)) + ")" }

// span is where a string lies in its item: its end counts the NUL.
type span struct {
	start, end uint64
}

func (a span) overlaps(b span) bool { return a.start < b.end && b.start < a.end }

// readSpan reads an offset and a length at at, and checks that the string and its
// NUL lie in item, behind its first least bytes.
func readSpan(item []byte, at, least int) (span, error) {
	offset, length := u32(item, at), u32(item, at+4)
	s := span{uint64(offset), uint64(offset) + uint64(length) + 1}
	switch {
	case uint64(offset) < uint64(least) || s.end > uint64(len(item)):
		return s, ErrOutOfBounds
	case item[s.end-1] != 0:
		return s, ErrMissingNul
	}
	return s, nil
}

// stringAt returns the string whose checked offset and length lie at at.
func stringAt(item []byte, at int) CStringView {
	offset, length := u32(item, at), u32(item, at+4)
	return CStringView{item[offset:][:length:length]}
}

// putString writes s and its NUL at offset, and both numbers at at. It returns the
// offset behind the NUL.
func putString(item []byte, at, offset int, s []byte) int {
	putU32(item, at, uint32(offset))
	putU32(item, at+4, uint32(len(s)))
	end := offset + copy(item[offset:], s)
	item[end] = 0
	return end + 1
}
