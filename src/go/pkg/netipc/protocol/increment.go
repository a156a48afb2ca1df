package protocol

// IncrementPayloadSize is the size of a request and of a response.
const IncrementPayloadSize = 8

// IncrementEncode writes a request or response and returns 8, or 0 if b is shorter.
func IncrementEncode(value uint64, b []byte) int {
	if len(b) < IncrementPayloadSize {
		return 0
	}
	putU64(b, 0, value)
	return IncrementPayloadSize
}

// IncrementDecode reads a request or response. It fails with ErrTruncated.
func IncrementDecode(b []byte) (uint64, error) {
	if len(b) < IncrementPayloadSize {
		return 0, ErrTruncated
	}
	return u64(b, 0), nil
}

// HandleIncrement answers the request with what handler makes of it and returns the
// length of the response. It fails with what IncrementDecode fails with,
// ErrHandlerFailed or ErrOverflow.
func HandleIncrement(request, response []byte, handler func(uint64) (uint64, bool)) (int, error) {
	value, err := IncrementDecode(request)
	if err != nil {
		return 0, err
	}
	value, ok := handler(value)
	if !ok {
		return 0, ErrHandlerFailed
	}
	return written(IncrementEncode(value, response))
}

// DispatchIncrement is [HandleIncrement] without the reason of a failure.
func DispatchIncrement(req, resp []byte, handler func(uint64) (uint64, bool)) (int, bool) {
	n, err := HandleIncrement(req, resp, handler)
	return n, err == nil
}

// written turns the 0 of an encoder into the error it stands for.
func written(n int) (int, error) {
	if n == 0 {
		return 0, ErrOverflow
	}
	return n, nil
}
