package protocol

// A Hello is a client's first message: what it can do and wants.
type Hello struct {
	LayoutVersion           uint16
	Flags                   uint16
	SupportedProfiles       uint32
	PreferredProfiles       uint32
	MaxRequestPayloadBytes  uint32
	MaxRequestBatchItems    uint32
	MaxResponsePayloadBytes uint32 // a hint; servers may ignore it
	MaxResponseBatchItems   uint32 // a hint; servers may ignore it
	AuthToken               uint64
	PacketSize              uint32
}

// Offsets of the HELLO payload.
const (
	helloLayout        = 0
	helloFlags         = 2
	helloSupported     = 4
	helloPreferred     = 8
	helloRequestBytes  = 12
	helloRequestItems  = 16
	helloResponseBytes = 20
	helloResponseItems = 24
	helloReserved      = 28
	helloAuthToken     = 32
	helloPacketSize    = 40
	helloSize          = 44
)

// Encode writes h and returns 44, or 0 if b is shorter.
func (h *Hello) Encode(b []byte) int {
	if len(b) < helloSize {
		return 0
	}
	putU16(b, helloLayout, h.LayoutVersion)
	putU16(b, helloFlags, h.Flags)
	putU32(b, helloSupported, h.SupportedProfiles)
	putU32(b, helloPreferred, h.PreferredProfiles)
	putU32(b, helloRequestBytes, h.MaxRequestPayloadBytes)
	putU32(b, helloRequestItems, h.MaxRequestBatchItems)
	putU32(b, helloResponseBytes, h.MaxResponsePayloadBytes)
	putU32(b, helloResponseItems, h.MaxResponseBatchItems)
	putU32(b, helloReserved, 0)
	putU64(b, helloAuthToken, h.AuthToken)
	putU32(b, helloPacketSize, h.PacketSize)
	return helloSize
}

// DecodeHello reads a HELLO payload. It fails with ErrTruncated, or with
// ErrBadLayout for another layout version or a reserved word in use. Flags are
// returned unchecked.
func DecodeHello(b []byte) (Hello, error) {
	if len(b) < helloSize {
		return Hello{}, ErrTruncated
	}
	h := Hello{
		LayoutVersion:           u16(b, helloLayout),
		Flags:                   u16(b, helloFlags),
		SupportedProfiles:       u32(b, helloSupported),
		PreferredProfiles:       u32(b, helloPreferred),
		MaxRequestPayloadBytes:  u32(b, helloRequestBytes),
		MaxRequestBatchItems:    u32(b, helloRequestItems),
		MaxResponsePayloadBytes: u32(b, helloResponseBytes),
		MaxResponseBatchItems:   u32(b, helloResponseItems),
		AuthToken:               u64(b, helloAuthToken),
		PacketSize:              u32(b, helloPacketSize),
	}
	if h.LayoutVersion != layoutVersion || u32(b, helloReserved) != 0 {
		return h, ErrBadLayout
	}
	return h, nil
}

// A HelloAck is a server's answer to a Hello: what both will use from now on.
type HelloAck struct {
	LayoutVersion                 uint16
	Flags                         uint16
	ServerSupportedProfiles       uint32
	IntersectionProfiles          uint32
	SelectedProfile               uint32 // exactly one bit
	AgreedMaxRequestPayloadBytes  uint32
	AgreedMaxRequestBatchItems    uint32
	AgreedMaxResponsePayloadBytes uint32
	AgreedMaxResponseBatchItems   uint32
	AgreedPacketSize              uint32
	SessionID                     uint64
}

// Offsets of the HELLO_ACK payload.
const (
	ackLayout        = 0
	ackFlags         = 2
	ackSupported     = 4
	ackIntersection  = 8
	ackSelected      = 12
	ackRequestBytes  = 16
	ackRequestItems  = 20
	ackResponseBytes = 24
	ackResponseItems = 28
	ackPacketSize    = 32
	ackReserved      = 36
	ackSessionID     = 40
	ackSize          = 48
)

// Encode writes a and returns 48, or 0 if b is shorter.
func (a *HelloAck) Encode(b []byte) int {
	if len(b) < ackSize {
		return 0
	}
	putU16(b, ackLayout, a.LayoutVersion)
	putU16(b, ackFlags, a.Flags)
	putU32(b, ackSupported, a.ServerSupportedProfiles)
	putU32(b, ackIntersection, a.IntersectionProfiles)
	putU32(b, ackSelected, a.SelectedProfile)
	putU32(b, ackRequestBytes, a.AgreedMaxRequestPayloadBytes)
	putU32(b, ackRequestItems, a.AgreedMaxRequestBatchItems)
	putU32(b, ackResponseBytes, a.AgreedMaxResponsePayloadBytes)
	putU32(b, ackResponseItems, a.AgreedMaxResponseBatchItems)
	putU32(b, ackPacketSize, a.AgreedPacketSize)
	putU32(b, ackReserved, 0)
	putU64(b, ackSessionID, a.SessionID)
	return ackSize
}

// DecodeHelloAck reads a HELLO_ACK payload. It fails with ErrTruncated, or with
// ErrBadLayout for another layout version or for flags. The values are returned
// unchecked, and the reserved word is ignored.
func DecodeHelloAck(b []byte) (HelloAck, error) {
	if len(b) < ackSize {
		return HelloAck{}, ErrTruncated
	}
	a := HelloAck{
		LayoutVersion:                 u16(b, ackLayout),
		Flags:                         u16(b, ackFlags),
		ServerSupportedProfiles:       u32(b, ackSupported),
		IntersectionProfiles:          u32(b, ackIntersection),
		SelectedProfile:               u32(b, ackSelected),
		AgreedMaxRequestPayloadBytes:  u32(b, ackRequestBytes),
		AgreedMaxRequestBatchItems:    u32(b, ackRequestItems),
		AgreedMaxResponsePayloadBytes: u32(b, ackResponseBytes),
		AgreedMaxResponseBatchItems:   u32(b, ackResponseItems),
		AgreedPacketSize:              u32(b, ackPacketSize),
		SessionID:                     u64(b, ackSessionID),
	}
	if a.LayoutVersion != layoutVersion || a.Flags != 0 {
		return a, ErrBadLayout
	}
	return a, nil
}
