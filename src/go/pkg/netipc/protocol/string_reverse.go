package protocol

// Offsets of a STRING_REVERSE request or response.
const (
	reverseString = 0 // offset, always 8, and length

	// StringReverseHdrSize is where the string starts.
	StringReverseHdrSize = 8
)

// A StringReverseView is a request or response; its string is a copy.
type StringReverseView struct {
	Str    string
	StrLen uint32
}

// StringReverseEncode writes a request or response and returns its size, or 0 if b
// is too short.
func StringReverseEncode(s string, b []byte) int {
	size := StringReverseHdrSize + len(s) + 1
	if len(b) < size {
		return 0
	}
	putU32(b, reverseString, StringReverseHdrSize)
	putU32(b, reverseString+4, uint32(len(s)))
	copy(b[StringReverseHdrSize:], s)
	b[size-1] = 0
	return size
}

// StringReverseDecode reads a request or response. It fails with ErrTruncated,
// ErrBadLayout, ErrOutOfBounds or ErrMissingNul.
func StringReverseDecode(b []byte) (StringReverseView, error) {
	if len(b) < StringReverseHdrSize {
		return StringReverseView{}, ErrTruncated
	}
	if u32(b, reverseString) != StringReverseHdrSize {
		return StringReverseView{}, ErrBadLayout
	}
	if _, err := readSpan(b, reverseString, StringReverseHdrSize); err != nil {
		return StringReverseView{}, err
	}
	s := stringAt(b, reverseString)
	return StringReverseView{s.String(), s.Len()}, nil
}

// HandleStringReverse answers the request with what handler makes of it and returns
// the length of the response. It fails with what StringReverseDecode fails with,
// ErrHandlerFailed or ErrOverflow.
func HandleStringReverse(request, response []byte, handler func(string) (string, bool)) (int, error) {
	view, err := StringReverseDecode(request)
	if err != nil {
		return 0, err
	}
	s, ok := handler(view.Str)
	if !ok {
		return 0, ErrHandlerFailed
	}
	return written(StringReverseEncode(s, response))
}

// DispatchStringReverse is [HandleStringReverse] without the reason of a failure.
func DispatchStringReverse(req, resp []byte, handler func(string) (string, bool)) (int, bool) {
	n, err := HandleStringReverse(req, resp, handler)
	return n, err == nil
}
