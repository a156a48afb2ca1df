package protocol

import "encoding/binary"

// Numbers on the wire are in host byte order, at any address. These helpers are
// the only place that knows; the caller has checked the bounds.

func u16(b []byte, at int) uint16 { return binary.NativeEndian.Uint16(b[at:]) }
func u32(b []byte, at int) uint32 { return binary.NativeEndian.Uint32(b[at:]) }
func u64(b []byte, at int) uint64 { return binary.NativeEndian.Uint64(b[at:]) }

func putU16(b []byte, at int, v uint16) { binary.NativeEndian.PutUint16(b[at:], v) }
func putU32(b []byte, at int, v uint32) { binary.NativeEndian.PutUint32(b[at:], v) }
func putU64(b []byte, at int, v uint64) { binary.NativeEndian.PutUint64(b[at:], v) }

// Align8 rounds n up to a multiple of [Alignment].
func Align8(n int) int { return (n + Alignment - 1) &^ (Alignment - 1) }

// layoutVersion is the first word of every payload that has one.
const layoutVersion uint16 = 1
