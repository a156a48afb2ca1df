package session

import (
	"fmt"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

// A Cut is a message on its way into packets of at most the agreed size.
type Cut struct {
	header protocol.Header
	rest   []byte // payload not yet handed out
	room   int    // payload bytes a full packet holds
	index  uint32
	count  uint32
}

// NewCut prepares an admitted message. It fails with ErrBadParam if the message does
// not fit a packet and packets hold no payload.
func NewCut(h *protocol.Header, payload []byte, packetSize uint32) (Cut, error) {
	room := int64(packetSize) - protocol.HeaderSize
	length := int64(len(payload))
	if length > 0 && room <= 0 {
		return Cut{}, fmt.Errorf("%w: packets of %d bytes hold no payload", ErrBadParam, packetSize)
	}
	cut := Cut{header: *h, rest: payload, room: int(max(min(length, room), 0)), count: 1}
	if length > max(room, 0) {
		cut.count += ceilDiv(length-room, room)
	}
	return cut, nil
}

// Next writes the header of the next packet into head and returns the payload that
// follows it; false after the last packet.
func (c *Cut) Next(head *[protocol.HeaderSize]byte) ([]byte, bool) {
	if c.index == c.count {
		return nil, false
	}
	part := c.rest[:min(c.room, len(c.rest))]
	c.rest = c.rest[len(part):]
	if c.index == 0 {
		c.header.Encode(head[:])
	} else {
		chunk := protocol.ChunkHeader{
			Magic:           protocol.MagicChunk,
			Version:         protocol.Version,
			MessageID:       c.header.MessageID,
			TotalMessageLen: protocol.HeaderSize + c.header.PayloadLen,
			ChunkIndex:      c.index,
			ChunkCount:      c.count,
			ChunkPayloadLen: uint32(len(part)),
		}
		chunk.Encode(head[:])
	}
	c.index++
	return part, true
}

// A Join is a message of which more packets may have to come. The zero value is
// complete.
type Join struct {
	id      uint64
	total   uint32
	missing int64
	index   uint32 // of the next continuation
	count   uint32
}

// newJoin follows a message of which the first packet brought here payload bytes.
func newJoin(h *protocol.Header, here int, packetSize uint32) Join {
	missing := int64(h.PayloadLen) - int64(here)
	room := max(int64(packetSize)-protocol.HeaderSize, 1)
	return Join{
		id:      h.MessageID,
		total:   protocol.HeaderSize + h.PayloadLen,
		missing: missing,
		index:   1,
		count:   1 + ceilDiv(missing, room),
	}
}

// Missing returns how many bytes of payload are still to come.
func (j *Join) Missing() int { return int(j.missing) }

// Next judges a continuation (CH1–CH7), of which head holds at least the first 32
// bytes if there are that many, and returns how many bytes of payload it brings:
// those after its header. Short continuations are legal. It fails with ErrChunk.
func (j *Join) Next(head []byte, packetLen int) (int, error) {
	c, err := protocol.DecodeChunkHeader(head)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrChunk, err)
	}
	switch {
	case c.MessageID != j.id:
		return 0, fmt.Errorf("%w: id %d instead of %d", ErrChunk, c.MessageID, j.id)
	case c.ChunkIndex != j.index:
		return 0, fmt.Errorf("%w: index %d instead of %d", ErrChunk, c.ChunkIndex, j.index)
	case c.ChunkCount != j.count:
		return 0, fmt.Errorf("%w: count %d instead of %d", ErrChunk, c.ChunkCount, j.count)
	case c.TotalMessageLen != j.total:
		return 0, fmt.Errorf("%w: total length %d instead of %d", ErrChunk, c.TotalMessageLen, j.total)
	case int64(c.ChunkPayloadLen) != int64(packetLen)-protocol.HeaderSize:
		return 0, fmt.Errorf("%w: %d payload bytes in a packet of %d", ErrChunk, c.ChunkPayloadLen, packetLen)
	case int64(c.ChunkPayloadLen) > j.missing:
		return 0, fmt.Errorf("%w: %d bytes where %d are missing", ErrChunk, c.ChunkPayloadLen, j.missing)
	}
	j.missing -= int64(c.ChunkPayloadLen)
	j.index++
	return int(c.ChunkPayloadLen), nil
}

func ceilDiv(n, d int64) uint32 { return uint32((n + d - 1) / d) }
