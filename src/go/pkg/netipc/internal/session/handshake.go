package session

import (
	"errors"
	"fmt"
	"math/bits"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

const (
	// HandshakeBuffer is how much of a handshake packet is looked at. Longer packets
	// are cut, on purpose: a later version may append to its HELLO.
	HandshakeBuffer = 128
	// HelloPacketSize and AckPacketSize are what this version sends.
	HelloPacketSize = protocol.HeaderSize + 44
	AckPacketSize   = protocol.HeaderSize + 48
)

// Terms are what one side of a handshake can do and wants, as it is: see WithDefaults
// for what a zero in a configuration means.
type Terms struct {
	SupportedProfiles       uint32
	PreferredProfiles       uint32
	MaxRequestPayloadBytes  uint32
	MaxRequestBatchItems    uint32
	MaxResponsePayloadBytes uint32
	MaxResponseBatchItems   uint32
	AuthToken               uint64
	PacketSize              uint32

	// ResponseCeiling is how far a client's hint raises MaxResponsePayloadBytes of a
	// server. Below that limit it means nothing.
	ResponseCeiling uint32
}

// An Agreement is what both sides use from the HELLO_ACK on.
type Agreement struct {
	SelectedProfile         uint32
	MaxRequestPayloadBytes  uint32
	MaxRequestBatchItems    uint32
	MaxResponsePayloadBytes uint32
	MaxResponseBatchItems   uint32
	PacketSize              uint32
	SessionID               uint64
}

// WithDefaults replaces every zero that has a default. PacketSize has none here: it
// depends on the carrier.
func (t Terms) WithDefaults() Terms {
	t.SupportedProfiles = orDefault(t.SupportedProfiles, protocol.ProfileBaseline)
	t.MaxRequestPayloadBytes = orDefault(t.MaxRequestPayloadBytes, protocol.MaxPayloadDefault)
	t.MaxResponsePayloadBytes = orDefault(t.MaxResponsePayloadBytes, protocol.MaxPayloadDefault)
	t.MaxRequestBatchItems = orDefault(t.MaxRequestBatchItems, 1)
	t.MaxResponseBatchItems = orDefault(t.MaxResponseBatchItems, t.MaxRequestBatchItems)
	return t
}

// Without leaves profiles out that a carrier cannot serve.
func (t Terms) Without(profiles uint32) Terms {
	t.SupportedProfiles &^= profiles
	t.PreferredProfiles &^= profiles
	return t
}

func orDefault(v, fallback uint32) uint32 {
	if v == 0 {
		return fallback
	}
	return v
}

// Hello returns the packet a client opens the session with.
func (t Terms) Hello() [HelloPacketSize]byte {
	hello := protocol.Hello{
		LayoutVersion:           1,
		SupportedProfiles:       t.SupportedProfiles,
		PreferredProfiles:       t.PreferredProfiles,
		MaxRequestPayloadBytes:  t.MaxRequestPayloadBytes,
		MaxRequestBatchItems:    t.MaxRequestBatchItems,
		MaxResponsePayloadBytes: t.MaxResponsePayloadBytes,
		MaxResponseBatchItems:   t.MaxResponseBatchItems,
		AuthToken:               t.AuthToken,
		PacketSize:              t.PacketSize,
	}
	var packet [HelloPacketSize]byte
	size := hello.Encode(packet[protocol.HeaderSize:])
	control(protocol.CodeHello, protocol.StatusOK, size).Encode(packet[:])
	return packet
}

// Accept reads a server's answer to Hello (HC2–HC8) and checks that it grants
// nothing that was not offered. It fails with ErrAuthFailed, ErrIncompatible,
// ErrNoProfile, ErrLimitExceeded, ErrHandshake or ErrProtocol.
func (t Terms) Accept(packet []byte) (Agreement, error) {
	header, err := protocol.DecodeHeader(packet)
	switch {
	case errors.Is(err, protocol.ErrBadVersion):
		return Agreement{}, fmt.Errorf("%w: server speaks version %d", ErrIncompatible, header.Version)
	case err != nil:
		return Agreement{}, fmt.Errorf("%w: %w in HELLO_ACK", ErrProtocol, err)
	case header.Kind != protocol.KindControl || header.Code != protocol.CodeHelloAck:
		return Agreement{}, fmt.Errorf("%w: kind %d code %d instead of HELLO_ACK", ErrProtocol, header.Kind, header.Code)
	case header.TransportStatus != protocol.StatusOK:
		return Agreement{}, refusal(header.TransportStatus)
	}
	ack, err := protocol.DecodeHelloAck(packet[protocol.HeaderSize:])
	switch {
	case errors.Is(err, protocol.ErrBadLayout) && ack.LayoutVersion != 1:
		return Agreement{}, fmt.Errorf("%w: HELLO_ACK layout %d", ErrIncompatible, ack.LayoutVersion)
	case err != nil:
		return Agreement{}, fmt.Errorf("%w: %w in HELLO_ACK", ErrProtocol, err)
	case ack.AgreedPacketSize <= protocol.HeaderSize || ack.AgreedPacketSize > t.PacketSize:
		return Agreement{}, fmt.Errorf("%w: server agreed on packets of %d bytes, offered were %d", ErrProtocol, ack.AgreedPacketSize, t.PacketSize)
	case bits.OnesCount32(ack.SelectedProfile) != 1 || ack.SelectedProfile&t.SupportedProfiles == 0:
		return Agreement{}, fmt.Errorf("%w: server selected profile %#x, offered were %#x", ErrProtocol, ack.SelectedProfile, t.SupportedProfiles)
	case ack.AgreedMaxRequestPayloadBytes > t.MaxRequestPayloadBytes, ack.AgreedMaxRequestBatchItems > t.MaxRequestBatchItems:
		return Agreement{}, fmt.Errorf("%w: server raised the request limits", ErrProtocol)
	}
	return agreement(&ack), nil
}

// refusal is the error for the status of a HELLO_ACK that is not OK (HC4).
func refusal(status uint16) error {
	switch status {
	case protocol.StatusAuthFailed:
		return ErrAuthFailed
	case protocol.StatusIncompatible:
		return ErrIncompatible
	case protocol.StatusUnsupported:
		return ErrNoProfile
	case protocol.StatusLimitExceeded:
		return ErrLimitExceeded
	}
	return fmt.Errorf("%w: status %d", ErrHandshake, status)
}

// Answer reads a client's HELLO and decides (HS2–HS10): the packet to send back,
// nil for none, and either the agreement or why there is none. The token is judged
// before the profiles, so that they are not revealed to strangers. It fails with
// ErrProtocol, ErrIncompatible, ErrAuthFailed, ErrNoProfile or ErrLimitExceeded; the
// connection is then to be closed once the reply is sent.
func (t Terms) Answer(packet []byte, sessionID uint64) ([]byte, Agreement, error) {
	header, err := protocol.DecodeHeader(packet)
	isHello := header.Kind == protocol.KindControl && header.Code == protocol.CodeHello
	switch {
	case errors.Is(err, protocol.ErrBadVersion) && isHello && header.HeaderLen == protocol.HeaderLen:
		return refuse(protocol.StatusIncompatible, fmt.Errorf("%w: client speaks version %d", ErrIncompatible, header.Version))
	case err != nil:
		return nil, Agreement{}, fmt.Errorf("%w: %w in HELLO", ErrProtocol, err)
	case !isHello:
		return nil, Agreement{}, fmt.Errorf("%w: kind %d code %d instead of HELLO", ErrProtocol, header.Kind, header.Code)
	}
	hello, err := protocol.DecodeHello(packet[protocol.HeaderSize:])
	switch {
	case errors.Is(err, protocol.ErrTruncated):
		return nil, Agreement{}, fmt.Errorf("%w: HELLO of %d bytes", ErrProtocol, len(packet))
	case err != nil && hello.LayoutVersion != 1:
		return refuse(protocol.StatusIncompatible, fmt.Errorf("%w: HELLO layout %d", ErrIncompatible, hello.LayoutVersion))
	case err != nil || hello.Flags != 0:
		return refuse(protocol.StatusBadEnvelope, fmt.Errorf("%w: reserved fields of HELLO in use", ErrProtocol))
	case hello.AuthToken != t.AuthToken:
		return refuse(protocol.StatusAuthFailed, ErrAuthFailed)
	}
	return t.grant(&hello, sessionID)
}

// grant answers a well-formed HELLO with the right token.
func (t Terms) grant(hello *protocol.Hello, sessionID uint64) ([]byte, Agreement, error) {
	common := hello.SupportedProfiles & t.SupportedProfiles
	requestBytes := orDefault(hello.MaxRequestPayloadBytes, min(protocol.MaxPayloadDefault, t.MaxRequestPayloadBytes))
	responseBytes := max(t.MaxResponsePayloadBytes, min(hello.MaxResponsePayloadBytes, t.ResponseCeiling))
	requestItems := orDefault(hello.MaxRequestBatchItems, 1)
	packetSize := min(hello.PacketSize, t.PacketSize)
	switch {
	case common == 0:
		return refuse(protocol.StatusUnsupported, fmt.Errorf("%w: client offers %#x, server %#x", ErrNoProfile, hello.SupportedProfiles, t.SupportedProfiles))
	case requestBytes > t.MaxRequestPayloadBytes:
		return refuse(protocol.StatusLimitExceeded, fmt.Errorf("%w: client asks for requests of %d bytes, server allows %d", ErrLimitExceeded, requestBytes, t.MaxRequestPayloadBytes))
	case packetSize <= protocol.HeaderSize:
		return refuse(protocol.StatusIncompatible, fmt.Errorf("%w: packets of %d bytes", ErrIncompatible, packetSize))
	}
	ack := protocol.HelloAck{
		LayoutVersion:                 1,
		ServerSupportedProfiles:       t.SupportedProfiles,
		IntersectionProfiles:          common,
		SelectedProfile:               selectProfile(common, hello.PreferredProfiles&t.PreferredProfiles),
		AgreedMaxRequestPayloadBytes:  requestBytes,
		AgreedMaxRequestBatchItems:    requestItems,
		AgreedMaxResponsePayloadBytes: responseBytes,
		AgreedMaxResponseBatchItems:   requestItems,
		AgreedPacketSize:              packetSize,
		SessionID:                     sessionID,
	}
	return ackPacket(protocol.StatusOK, &ack), agreement(&ack), nil
}

// selectProfile picks the highest profile both prefer, else the highest both have.
func selectProfile(common, preferred uint32) uint32 {
	candidates := common & preferred
	if candidates == 0 {
		candidates = common
	}
	return 1 << (bits.Len32(candidates) - 1)
}

func refuse(status uint16, err error) ([]byte, Agreement, error) {
	return ackPacket(status, &protocol.HelloAck{LayoutVersion: 1}), Agreement{}, err
}

func ackPacket(status uint16, ack *protocol.HelloAck) []byte {
	packet := make([]byte, AckPacketSize)
	size := ack.Encode(packet[protocol.HeaderSize:])
	control(protocol.CodeHelloAck, status, size).Encode(packet)
	return packet
}

func control(code, status uint16, payloadLen int) *protocol.Header {
	return &protocol.Header{
		Magic:           protocol.MagicMsg,
		Version:         protocol.Version,
		HeaderLen:       protocol.HeaderLen,
		Kind:            protocol.KindControl,
		Code:            code,
		TransportStatus: status,
		PayloadLen:      uint32(payloadLen),
		ItemCount:       1,
	}
}

func agreement(ack *protocol.HelloAck) Agreement {
	return Agreement{
		SelectedProfile:         ack.SelectedProfile,
		MaxRequestPayloadBytes:  ack.AgreedMaxRequestPayloadBytes,
		MaxRequestBatchItems:    ack.AgreedMaxRequestBatchItems,
		MaxResponsePayloadBytes: ack.AgreedMaxResponsePayloadBytes,
		MaxResponseBatchItems:   ack.AgreedMaxResponseBatchItems,
		PacketSize:              ack.AgreedPacketSize,
		SessionID:               ack.SessionID,
	}
}
