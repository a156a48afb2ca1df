package protocol

// A Header is the envelope every message starts with.
type Header struct {
	Magic           uint32
	Version         uint16
	HeaderLen       uint16
	Kind            uint16 // KindRequest, KindResponse or KindControl
	Flags           uint16 // FlagBatch or 0; unknown bits are ignored
	Code            uint16 // a method, or the code of a control message
	TransportStatus uint16 // 0 in requests
	PayloadLen      uint32 // bytes after the header
	ItemCount       uint32 // 1, or the number of items of a batch
	MessageID       uint64 // chosen by the client, echoed by the server
}

// Offsets of the envelope header.
const (
	headerMagic      = 0
	headerVersion    = 4
	headerHeaderLen  = 6
	headerKind       = 8
	headerFlags      = 10
	headerCode       = 12
	headerStatus     = 14
	headerPayloadLen = 16
	headerItemCount  = 20
	headerMessageID  = 24
)

// Encode writes h as it is and returns [HeaderSize], or 0 if b is shorter.
func (h *Header) Encode(b []byte) int {
	if len(b) < HeaderSize {
		return 0
	}
	putU32(b, headerMagic, h.Magic)
	putU16(b, headerVersion, h.Version)
	putU16(b, headerHeaderLen, h.HeaderLen)
	putU16(b, headerKind, h.Kind)
	putU16(b, headerFlags, h.Flags)
	putU16(b, headerCode, h.Code)
	putU16(b, headerStatus, h.TransportStatus)
	putU32(b, headerPayloadLen, h.PayloadLen)
	putU32(b, headerItemCount, h.ItemCount)
	putU64(b, headerMessageID, h.MessageID)
	return HeaderSize
}

// DecodeHeader reads the header a message starts with. It fails with ErrTruncated,
// ErrBadMagic, ErrBadVersion, ErrBadHeaderLen or ErrBadKind; other fields may hold
// anything and are for the session to judge.
func DecodeHeader(b []byte) (Header, error) {
	if len(b) < HeaderSize {
		return Header{}, ErrTruncated
	}
	h := Header{
		Magic:           u32(b, headerMagic),
		Version:         u16(b, headerVersion),
		HeaderLen:       u16(b, headerHeaderLen),
		Kind:            u16(b, headerKind),
		Flags:           u16(b, headerFlags),
		Code:            u16(b, headerCode),
		TransportStatus: u16(b, headerStatus),
		PayloadLen:      u32(b, headerPayloadLen),
		ItemCount:       u32(b, headerItemCount),
		MessageID:       u64(b, headerMessageID),
	}
	switch {
	case h.Magic != MagicMsg:
		return h, ErrBadMagic
	case h.Version != Version:
		return h, ErrBadVersion
	case h.HeaderLen != HeaderLen:
		return h, ErrBadHeaderLen
	case h.Kind < KindRequest || h.Kind > KindControl:
		return h, ErrBadKind
	}
	return h, nil
}

// A ChunkHeader starts every packet of a message but the first.
type ChunkHeader struct {
	Magic           uint32
	Version         uint16
	Flags           uint16
	MessageID       uint64
	TotalMessageLen uint32 // header and payload of the whole message
	ChunkIndex      uint32 // 1 for the first continuation
	ChunkCount      uint32 // packets of the message, the first one included
	ChunkPayloadLen uint32 // payload bytes in this packet, never 0
}

// Offsets of the chunk header.
const (
	chunkMagic      = 0
	chunkVersion    = 4
	chunkFlags      = 6
	chunkMessageID  = 8
	chunkTotalLen   = 16
	chunkIndex      = 20
	chunkCount      = 24
	chunkPayloadLen = 28
)

// Encode writes c as it is and returns [HeaderSize], or 0 if b is shorter.
func (c *ChunkHeader) Encode(b []byte) int {
	if len(b) < HeaderSize {
		return 0
	}
	putU32(b, chunkMagic, c.Magic)
	putU16(b, chunkVersion, c.Version)
	putU16(b, chunkFlags, c.Flags)
	putU64(b, chunkMessageID, c.MessageID)
	putU32(b, chunkTotalLen, c.TotalMessageLen)
	putU32(b, chunkIndex, c.ChunkIndex)
	putU32(b, chunkCount, c.ChunkCount)
	putU32(b, chunkPayloadLen, c.ChunkPayloadLen)
	return HeaderSize
}

// DecodeChunkHeader reads the header of a continuation. It fails with ErrTruncated,
// ErrBadMagic, ErrBadVersion or, for flags or an empty chunk, ErrBadLayout. Whether
// the chunk belongs to the message at hand is for the session to judge.
func DecodeChunkHeader(b []byte) (ChunkHeader, error) {
	if len(b) < HeaderSize {
		return ChunkHeader{}, ErrTruncated
	}
	c := ChunkHeader{
		Magic:           u32(b, chunkMagic),
		Version:         u16(b, chunkVersion),
		Flags:           u16(b, chunkFlags),
		MessageID:       u64(b, chunkMessageID),
		TotalMessageLen: u32(b, chunkTotalLen),
		ChunkIndex:      u32(b, chunkIndex),
		ChunkCount:      u32(b, chunkCount),
		ChunkPayloadLen: u32(b, chunkPayloadLen),
	}
	switch {
	case c.Magic != MagicChunk:
		return c, ErrBadMagic
	case c.Version != Version:
		return c, ErrBadVersion
	case c.Flags != 0, c.ChunkPayloadLen == 0:
		return c, ErrBadLayout
	}
	return c, nil
}
