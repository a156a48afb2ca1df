package session_test

import (
	"bytes"
	"testing"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/session"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/vectors"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

var classes = map[string]error{
	"BAD_PARAM":      session.ErrBadParam,
	"PROTOCOL":       session.ErrProtocol,
	"CHUNK":          session.ErrChunk,
	"LIMIT_EXCEEDED": session.ErrLimitExceeded,
	"UNKNOWN_MSG_ID": session.ErrUnknownMsgID,
	"AUTH_FAILED":    session.ErrAuthFailed,
	"NO_PROFILE":     session.ErrNoProfile,
	"INCOMPATIBLE":   session.ErrIncompatible,
	"HANDSHAKE":      session.ErrHandshake,
}

type config struct {
	SupportedProfiles       uint32 `json:"supported_profiles"`
	PreferredProfiles       uint32 `json:"preferred_profiles"`
	MaxRequestPayloadBytes  uint32 `json:"max_request_payload_bytes"`
	MaxRequestBatchItems    uint32 `json:"max_request_batch_items"`
	MaxResponsePayloadBytes uint32 `json:"max_response_payload_bytes"`
	MaxResponseBatchItems   uint32 `json:"max_response_batch_items"`
	AuthToken               uint64 `json:"auth_token"`
	PacketSize              uint32 `json:"packet_size"`
	SessionID               uint64 `json:"session_id"`
}

func (c config) terms() session.Terms {
	return session.Terms{
		SupportedProfiles:       c.SupportedProfiles,
		PreferredProfiles:       c.PreferredProfiles,
		MaxRequestPayloadBytes:  c.MaxRequestPayloadBytes,
		MaxRequestBatchItems:    c.MaxRequestBatchItems,
		MaxResponsePayloadBytes: c.MaxResponsePayloadBytes,
		MaxResponseBatchItems:   c.MaxResponseBatchItems,
		AuthToken:               c.AuthToken,
		PacketSize:              c.PacketSize,
	}.WithDefaults()
}

type agreed struct {
	SelectedProfile         uint32 `json:"selected_profile"`
	MaxRequestPayloadBytes  uint32 `json:"max_request_payload_bytes"`
	MaxRequestBatchItems    uint32 `json:"max_request_batch_items"`
	MaxResponsePayloadBytes uint32 `json:"max_response_payload_bytes"`
	MaxResponseBatchItems   uint32 `json:"max_response_batch_items"`
	PacketSize              uint32 `json:"packet_size"`
	SessionID               uint64 `json:"session_id"`
}

func TestServerHandshakeVectors(t *testing.T) {
	vectors.Each(t, "server_handshake", func(t *testing.T, v *vectors.Vector) {
		c := vectors.Decode[config](t, v.Config)
		packet := v.Hex[:min(len(v.Hex), session.HandshakeBuffer)]
		reply, agreement, err := c.terms().Answer(packet, c.SessionID)
		v.CheckError(t, err, classes)
		if alternative := v.Alternative.Reply; alternative != nil && bytes.Equal(reply, *alternative) {
			return
		}
		var expected []byte
		if v.Reply != nil {
			expected = *v.Reply
		}
		if !bytes.Equal(reply, expected) {
			t.Fatalf("reply\n%x, expected\n%x", reply, expected)
		}
		if got := agreed(agreement); v.Valid && got != vectors.Decode[agreed](t, v.Fields) {
			t.Fatalf("agreed on %+v, expected %s", got, v.Fields)
		}
	})
}

func TestClientHandshakeVectors(t *testing.T) {
	vectors.Each(t, "client_handshake", func(t *testing.T, v *vectors.Vector) {
		terms := vectors.Decode[config](t, v.Config).terms()
		if hello := terms.Hello(); !bytes.Equal(hello[:], v.Sends) {
			t.Fatalf("HELLO\n%x, expected\n%x", hello, v.Sends)
		}
		agreement, err := terms.Accept(v.Hex[:min(len(v.Hex), session.HandshakeBuffer)])
		v.CheckError(t, err, classes)
		if got := agreed(agreement); err == nil && got != vectors.Decode[agreed](t, v.Fields) {
			t.Fatalf("agreed on %+v, expected %s", got, v.Fields)
		}
	})
}

type message struct {
	Kind            uint16        `json:"kind"`
	Flags           uint16        `json:"flags"`
	Code            uint16        `json:"code"`
	TransportStatus uint16        `json:"transport_status"`
	PayloadLen      uint32        `json:"payload_len"`
	ItemCount       uint32        `json:"item_count"`
	MessageID       uint64        `json:"message_id"`
	Payload         vectors.Bytes `json:"payload"`
}

func (m *message) header() protocol.Header {
	return protocol.Header{
		Magic: protocol.MagicMsg, Version: protocol.Version, HeaderLen: protocol.HeaderLen,
		Kind: m.Kind, Flags: m.Flags, Code: m.Code, TransportStatus: m.TransportStatus,
		PayloadLen: m.PayloadLen, ItemCount: m.ItemCount, MessageID: m.MessageID,
	}
}

func TestReceiveVectors(t *testing.T) {
	vectors.Each(t, "receive", func(t *testing.T, v *vectors.Vector) {
		s := vectors.Decode[struct {
			Role       string
			PacketSize uint32   `json:"packet_size"`
			MaxPayload uint32   `json:"max_payload_bytes"`
			MaxItems   uint32   `json:"max_batch_items"`
			InFlight   []uint64 `json:"in_flight"`
		}](t, v.Session)
		generous := session.Limits{PayloadBytes: 1 << 20, BatchItems: 1 << 20}
		rules := session.NewRules(s.Role == "client", s.PacketSize, session.Limits{PayloadBytes: s.MaxPayload, BatchItems: s.MaxItems}, generous)
		for _, id := range s.InFlight {
			request := protocol.Header{Kind: protocol.KindRequest, MessageID: id}
			if err := rules.Admit(&request, 0); err != nil {
				t.Fatal(err)
			}
		}
		header, payload, err := receive(rules, v.Packets)
		v.CheckError(t, err, classes)
		if err != nil {
			return
		}
		expected := vectors.Decode[message](t, v.Fields)
		if header != expected.header() || !bytes.Equal(payload, expected.Payload) {
			t.Fatalf("received %+v %x, expected %s", header, payload, v.Fields)
		}
	})
}

// receive joins packets the way a transport does.
func receive(rules *session.Rules, packets []vectors.Bytes) (protocol.Header, []byte, error) {
	header, join, err := rules.Begin(packets[0], len(packets[0]))
	if err != nil {
		return header, nil, err
	}
	payload := bytes.Clone(packets[0][protocol.HeaderSize:])
	for packets = packets[1:]; join.Missing() > 0; packets = packets[1:] {
		n, err := join.Next(packets[0][:min(len(packets[0]), protocol.HeaderSize)], len(packets[0]))
		if err != nil {
			return header, nil, err
		}
		payload = append(payload, packets[0][protocol.HeaderSize:][:n]...)
	}
	return header, payload, rules.Finish(&header, payload)
}

func TestSendVectors(t *testing.T) {
	vectors.Each(t, "send", func(t *testing.T, v *vectors.Vector) {
		s := vectors.Decode[struct {
			PacketSize uint32 `json:"packet_size"`
		}](t, v.Session)
		m := vectors.Decode[message](t, v.Fields)
		generous := session.Limits{PayloadBytes: 1 << 20, BatchItems: 1 << 20}
		rules := session.NewRules(true, s.PacketSize, generous, generous)
		header := m.header()
		header.Magic, header.Version, header.HeaderLen, header.PayloadLen = 0, 0, 0, 0
		if err := rules.Admit(&header, len(m.Payload)); err != nil {
			t.Fatal(err)
		}
		packets, err := cut(&header, m.Payload, s.PacketSize)
		v.CheckError(t, err, classes)
		if len(packets) != len(v.Packets) {
			t.Fatalf("%d packets, expected %d", len(packets), len(v.Packets))
		}
		for i := range packets {
			if !bytes.Equal(packets[i], v.Packets[i]) {
				t.Fatalf("packet %d\n%x, expected\n%x", i, packets[i], v.Packets[i])
			}
		}
	})
}

func cut(header *protocol.Header, payload []byte, packetSize uint32) ([]vectors.Bytes, error) {
	cut, err := session.NewCut(header, payload, packetSize)
	if err != nil {
		return nil, err
	}
	var packets []vectors.Bytes
	var head [protocol.HeaderSize]byte
	for {
		part, ok := cut.Next(&head)
		if !ok {
			return packets, nil
		}
		packets = append(packets, append(bytes.Clone(head[:]), part...))
	}
}

func TestNextPow2Vectors(t *testing.T) {
	vectors.Each(t, "next_pow2", func(t *testing.T, v *vectors.Vector) {
		n := vectors.Decode[uint32](t, v.Input)
		if got := session.NextPow2(n); got != vectors.Decode[uint32](t, v.Output) {
			t.Fatalf("NextPow2(%d) = %d, expected %s", n, got, v.Output)
		}
	})
}
