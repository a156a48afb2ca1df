// Package protocol reads and writes the bytes of netipc: the envelope every
// message starts with, the handshake, and the payloads of each service kind.
//
// It does no I/O and starts nothing. Decoders check foreign bytes once, as they
// arrive, and return views that borrow the buffer they were given: a view is
// valid while that buffer is unchanged. No decoder allocates, panics or trusts a
// length it has not compared with the buffer. Encoders return the number of
// bytes written, or 0 when the buffer is too small.
//
// Every failure is one of the sentinels in this package; compare with
// [errors.Is]. Nothing here is shared between goroutines by itself: values may
// be used concurrently as long as nobody writes to them or to their buffer.
package protocol
