package protocol

import "math"

// A LookupAssembler puts answers that came in several responses together as one
// response. The zero value is ready to be reset; its buffer is kept for the next.
type LookupAssembler struct {
	buf  []byte
	most int
	max  int
	n    int
}

// Reset starts a response of n items that takes at most limit bytes. It fails with
// ErrOverflow if the directory alone is longer.
func (a *LookupAssembler) Reset(n int, limit uint32) error {
	most := int(min(uint64(limit), math.MaxInt))
	if most < lookupResponseSize || n > (most-lookupResponseSize)/entrySize {
		return ErrOverflow
	}
	a.most, a.max, a.n = most, n, 0
	a.buf = append(a.buf[:0], make([]byte, a.area())...)
	return nil
}

func (a *LookupAssembler) area() int { return lookupResponseSize + a.max*entrySize }

// Append adds a copy of an item that was checked where it came from. It fails with
// ErrOverflow, also for more items than Reset was given.
func (a *LookupAssembler) Append(item []byte) error {
	start := Align8(len(a.buf))
	if a.n >= a.max || start > a.most || len(item) > a.most-start {
		return ErrOverflow
	}
	var padding [Alignment]byte
	a.buf = append(a.buf, padding[:start-len(a.buf)]...)
	a.buf = append(a.buf, item...)
	putEntry(a.buf[lookupResponseSize:], a.n, start-a.area(), len(item))
	a.n++
	return nil
}

// Finish returns the response, borrowed until the next Reset.
func (a *LookupAssembler) Finish(generation uint64) []byte {
	lookupHead{uint32(a.n), generation}.put(a.buf)
	return a.buf
}
