package service

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/session"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/vectors"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

// packetLink receives the packets of a vector and keeps what is sent.
type packetLink struct {
	link
	agreement session.Agreement
	rules     *session.Rules
	packets   []vectors.Bytes
	sent      []vectors.Bytes
}

var errNoMorePackets = errors.New("no more packets")

func (l *packetLink) Agreement() *session.Agreement { return &l.agreement }

func (l *packetLink) Receive(time.Time) (protocol.Header, []byte, error) {
	if len(l.packets) == 0 {
		return protocol.Header{}, nil, errNoMorePackets
	}
	packet := l.packets[0]
	l.packets = l.packets[1:]
	return l.rules.Open(packet)
}

func (l *packetLink) Send(h *protocol.Header, payload []byte, _ time.Time) error {
	if err := l.rules.Admit(h, len(payload)); err != nil {
		return err
	}
	packet := make([]byte, protocol.HeaderSize, protocol.HeaderSize+len(payload))
	h.Encode(packet)
	l.sent = append(l.sent, append(packet, payload...))
	return nil
}

// The responder of the vectors fails for 999 and has no room for 998.
func vectorResponder(request, response []byte) (int, error) {
	return protocol.HandleIncrement(request, response, func(n uint64) (uint64, bool) { return n + 1, n != 999 })
}

func respondWithOverflow(request, response []byte) (int, error) {
	if n, err := protocol.IncrementDecode(request); err == nil && n == 998 {
		return 0, protocol.ErrOverflow
	}
	return vectorResponder(request, response)
}

func TestServiceVectors(t *testing.T) {
	type limits struct {
		MaxRequest  uint32 `json:"max_request_payload_bytes"`
		MaxItems    uint32 `json:"max_batch_items"`
		MaxResponse uint32 `json:"max_response_payload_bytes"`
		PacketSize  uint32 `json:"packet_size"`
	}
	vectors.Each(t, "increment_service", func(t *testing.T, v *vectors.Vector) {
		agreed := vectors.Decode[limits](t, v.Session)
		agreement := session.Agreement{
			MaxRequestPayloadBytes: agreed.MaxRequest, MaxRequestBatchItems: agreed.MaxItems,
			MaxResponsePayloadBytes: agreed.MaxResponse, MaxResponseBatchItems: agreed.MaxItems,
			PacketSize: agreed.PacketSize,
		}
		l := &packetLink{agreement: agreement, rules: agreement.ServerRules(), packets: v.Packets}
		server := NewServer(protocol.MethodIncrement, "", "", Config{}, respondWithOverflow, 1)
		talk := conversation{server: server, link: l}
		err := talk.serve()
		if open := err == errNoMorePackets; open != (v.After == "open") {
			t.Fatalf("ended with %v, expected the session to be %s", err, v.After)
		}
		if len(l.sent) != len(v.Replies) {
			t.Fatalf("%d replies, expected %d", len(l.sent), len(v.Replies))
		}
		for i := range l.sent {
			if !bytes.Equal(l.sent[i], v.Replies[i]) {
				t.Fatalf("reply %d\n%x, expected\n%x", i, l.sent[i], v.Replies[i])
			}
		}
	})
}

func TestARequestForASnapshotIsNotSplit(t *testing.T) {
	request := []byte{1, 0, 0, 0}
	batch := protocol.NewBatchBuilder(make([]byte, 100), 1)
	if err := batch.Add(request); err != nil {
		t.Fatal(err)
	}
	n, _ := batch.Finish()
	split := make([]byte, n)
	for name, c := range map[string]struct {
		payload []byte
		want    []byte
	}{
		"one request": {request, request},
		"a directory": {split, split},
	} {
		var asked []byte
		responder := func(request, response []byte) (int, error) {
			asked = bytes.Clone(request)
			return copy(response, "snapshot"), nil
		}
		h := &protocol.Header{Kind: protocol.KindRequest, Code: protocol.MethodCgroupsSnapshot, Flags: protocol.FlagBatch, ItemCount: 1, MessageID: 5}
		a := respond(protocol.MethodCgroupsSnapshot, responder, h, c.payload, make([]byte, 100))
		if !bytes.Equal(asked, c.want) || string(a.payload) != "snapshot" {
			t.Errorf("%s: asked %x, answered %q", name, asked, a.payload)
		}
		if a.header.Flags != 0 || a.header.ItemCount != 1 || a.header.MessageID != 5 || a.header.TransportStatus != protocol.StatusOK || a.hangUp {
			t.Errorf("%s: answered with %+v", name, a.header)
		}
	}
}

func FuzzRespond(f *testing.F) {
	for _, v := range vectors.All(f) {
		if v.Target == "increment_service" {
			f.Add([]byte(v.Packets[0]))
		}
	}
	agreement := session.Agreement{
		MaxRequestPayloadBytes: 4096, MaxRequestBatchItems: 16, MaxResponsePayloadBytes: 8192,
		MaxResponseBatchItems: 16, PacketSize: 65536,
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		l := &packetLink{agreement: agreement, rules: agreement.ServerRules(), packets: []vectors.Bytes{packet}}
		server := NewServer(protocol.MethodIncrement, "", "", Config{}, respondWithOverflow, 1)
		talk := conversation{server: server, link: l}
		_ = talk.serve() // whatever comes, it must neither panic nor answer twice
		if len(l.sent) > 1 {
			t.Fatalf("%d replies to one packet", len(l.sent))
		}
		for _, reply := range l.sent {
			if h, err := protocol.DecodeHeader(reply); err != nil || h.Kind != protocol.KindResponse || int(h.PayloadLen) != len(reply)-protocol.HeaderSize {
				t.Fatalf("reply %x: %v", reply, err)
			}
		}
	})
}
