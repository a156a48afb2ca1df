//go:build unix

package posix

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/carrier"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/session"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/vectors"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

var sessionErrors = map[string]error{
	"PROTOCOL":       ErrProtocol,
	"CHUNK":          ErrChunk,
	"LIMIT_EXCEEDED": ErrLimitExceeded,
	"UNKNOWN_MSG_ID": ErrUnknownMsgID,
}

// generous are limits no test of sockets runs into.
func generous(packetSize uint32) session.Agreement {
	const most = 1 << 30
	return session.Agreement{
		MaxRequestPayloadBytes: most, MaxRequestBatchItems: most,
		MaxResponsePayloadBytes: most, MaxResponseBatchItems: most,
		PacketSize: packetSize,
	}
}

func request(id uint64) *protocol.Header {
	return &protocol.Header{Kind: protocol.KindRequest, Code: protocol.MethodIncrement, ItemCount: 1, MessageID: id}
}

func response(id uint64) *protocol.Header {
	h := request(id)
	h.Kind = protocol.KindResponse
	return h
}

func TestReceiveVectorsOverSockets(t *testing.T) {
	vectors.Each(t, "receive", func(t *testing.T, v *vectors.Vector) {
		given := vectors.Decode[struct {
			Role         string
			PacketSize   uint32   `json:"packet_size"`
			PayloadBytes uint32   `json:"max_payload_bytes"`
			BatchItems   uint32   `json:"max_batch_items"`
			InFlight     []uint64 `json:"in_flight"`
		}](t, v.Session)
		agreement := generous(given.PacketSize)
		agreement.MaxRequestPayloadBytes, agreement.MaxResponsePayloadBytes = given.PayloadBytes, given.PayloadBytes
		agreement.MaxRequestBatchItems, agreement.MaxResponseBatchItems = given.BatchItems, given.BatchItems
		client, server := mustPair(t, agreement)
		receiver, peer := server, client
		if given.Role == "client" {
			receiver, peer = client, server
		}
		for _, id := range given.InFlight {
			noError(t, receiver.Send(request(id), nil))
			_, err := peer.conn.Receive(make([]byte, protocol.HeaderSize), nil, soon())
			noError(t, err)
		}
		for _, packet := range v.Packets {
			noError(t, peer.conn.Send(packet, nil, soon()))
		}
		peer.Close() // so that waiting for more than there is shows
		expected := vectors.Decode[struct {
			PayloadLen uint32 `json:"payload_len"`
			ItemCount  uint32 `json:"item_count"`
			MessageID  uint64 `json:"message_id"`
			Payload    vectors.Bytes
		}](t, v.Fields)
		h, payload, err := receiver.Receive(nil)
		v.CheckError(t, err, sessionErrors)
		if err != nil {
			return
		}
		if h.PayloadLen != expected.PayloadLen || h.ItemCount != expected.ItemCount || h.MessageID != expected.MessageID || !bytes.Equal(payload, expected.Payload) {
			t.Errorf("got %+v %x", h, payload)
		}
	})
}

func TestSendVectorsOverSockets(t *testing.T) {
	vectors.Each(t, "send", func(t *testing.T, v *vectors.Vector) {
		given := vectors.Decode[struct {
			PacketSize uint32 `json:"packet_size"`
		}](t, v.Session)
		message := vectors.Decode[struct {
			Kind, Flags, Code uint16
			Status            uint16 `json:"transport_status"`
			ItemCount         uint32 `json:"item_count"`
			MessageID         uint64 `json:"message_id"`
			Payload           vectors.Bytes
		}](t, v.Fields)
		client, server := mustPair(t, generous(given.PacketSize))
		h := protocol.Header{Kind: message.Kind, Flags: message.Flags, Code: message.Code,
			TransportStatus: message.Status, ItemCount: message.ItemCount, MessageID: message.MessageID}
		noError(t, client.Send(&h, message.Payload))
		client.Close()
		for i, expected := range v.Packets {
			packet := make([]byte, 10000)
			n, err := server.conn.Receive(packet, nil, soon())
			noError(t, err)
			if !bytes.Equal(packet[:n], expected) {
				t.Errorf("packet %d is %x, expected %x", i, packet[:n], expected)
			}
		}
		if _, err := server.conn.Receive(make([]byte, 1), nil, soon()); err != carrier.ErrPeerClosed {
			t.Errorf("more packets came (%v)", err)
		}
	})
}

func TestCarriesMessagesOfAnySize(t *testing.T) {
	l := mustListen(t, shortDir(t), ServerConfig{MaxRequestPayloadBytes: 1 << 30, MaxResponsePayloadBytes: 1 << 30})
	client, server := mustConnect(t, l, &ClientConfig{MaxRequestPayloadBytes: 1 << 30})
	for _, size := range []int{0, 1, 1024, 65504, 65505, 212928, 212929, 1 << 20, 64 << 20} {
		content := make([]byte, size)
		for i := range content {
			content[i] = byte(i * 7 >> 3)
		}
		failed := make(chan error, 1)
		go func() { failed <- client.Send(request(1), content) }()
		for _, roundTrip := range []struct {
			from, to *Session
			buf      []byte
		}{{client, server, nil}, {server, client, make([]byte, 100)}} {
			if roundTrip.from == server {
				go func() { failed <- server.Send(response(1), content) }()
			}
			h, payload, err := roundTrip.to.ReceiveTimeout(roundTrip.buf, 20000, nil)
			noError(t, err)
			noError(t, await(t, "Send returns", failed))
			if int(h.PayloadLen) != size || !bytes.Equal(payload, content) {
				t.Fatalf("%d bytes came as %d others", size, len(payload))
			}
		}
	}
}

func TestUsesTheCallersBufferIfItIsLargeEnough(t *testing.T) {
	client, server := mustPair(t, generous(100))
	for _, size := range []int{10, 500} {
		noError(t, client.Send(request(uint64(size)), make([]byte, size)))
		buf := make([]byte, 1000)
		_, payload, err := server.Receive(buf)
		noError(t, err)
		if &payload[0] != &buf[protocol.HeaderSize] {
			t.Errorf("%d bytes went elsewhere", size)
		}
	}
}

func TestAPacketThatIsCutOffIsNotAMessage(t *testing.T) {
	agreement := generous(200)
	client, server := mustPair(t, agreement)
	packet := make([]byte, 300)
	h := request(1)
	h.Magic, h.Version, h.HeaderLen, h.PayloadLen = protocol.MagicMsg, protocol.Version, protocol.HeaderLen, 268
	h.Encode(packet)
	noError(t, client.conn.Send(packet, nil, soon()))
	_, _, err := server.Receive(nil)
	wantError(t, err, ErrProtocol)
}

func TestRefusesToSendWhatWasNotAgreed(t *testing.T) {
	agreement := generous(100)
	agreement.MaxRequestPayloadBytes, agreement.MaxRequestBatchItems = 50, 2
	agreement.MaxResponsePayloadBytes = 60
	client, server := mustPair(t, agreement)
	wantError(t, client.Send(request(1), make([]byte, 51)), ErrLimitExceeded)
	batch := request(1)
	batch.Flags, batch.ItemCount = protocol.FlagBatch, 3
	wantError(t, client.Send(batch, make([]byte, 50)), ErrLimitExceeded)
	wantError(t, server.Send(response(1), make([]byte, 61)), ErrLimitExceeded)
	noError(t, client.Send(request(1), make([]byte, 50))) // the id was given back
	wantError(t, client.Send(request(1), make([]byte, 51)), ErrDuplicateMsgID)
	noError(t, server.Send(response(1), make([]byte, 60)))
	_, _, err := client.Receive(nil)
	noError(t, err)
	if h, _, err := server.Receive(nil); err != nil || h.PayloadLen != 50 {
		t.Errorf("something else was sent before: %+v (%v)", h, err)
	}
}

func TestRefusesToSendInPacketsThatHoldNothing(t *testing.T) {
	client, _ := mustPair(t, generous(32))
	wantError(t, client.Send(request(1), []byte{1}), ErrBadParam)
	noError(t, client.Send(request(1), nil)) // the id was given back, and a header fits
}

func TestSaysHowLargeARefusedRequestIs(t *testing.T) {
	agreement := generous(4096)
	agreement.MaxRequestPayloadBytes = 100
	client, server := mustPair(t, agreement)
	more := generous(4096)
	client = newSession(RoleClient, "pair", client.conn, &more)
	noError(t, client.Send(request(77), make([]byte, 3000)))
	h, _, err := server.Receive(nil)
	wantError(t, err, ErrLimitExceeded)
	if h.MessageID != 77 || h.PayloadLen != 3000 || h.Code != protocol.MethodIncrement {
		t.Errorf("header %+v", h)
	}
}

func TestForgetsRequestsInFlightWhenThePeerIsGone(t *testing.T) {
	client, server := mustPair(t, generous(100))
	noError(t, client.Send(request(1), nil))
	server.Close()
	_, _, err := client.Receive(nil)
	wantError(t, err, ErrRecv)
	if err := client.Send(request(1), nil); !errors.Is(err, ErrSend) || errors.Is(err, ErrDuplicateMsgID) {
		t.Errorf("got %v", err)
	}
}

func TestDeliversWhatWasSentBeforeThePeerHungUp(t *testing.T) {
	client, server := mustPair(t, generous(100))
	noError(t, client.Send(request(1), []byte("last")))
	client.Close()
	if server.PeerGone() {
		t.Error("gone, with a message to be received")
	}
	_, payload, err := server.Receive(nil)
	if err != nil || string(payload) != "last" {
		t.Errorf("received %q (%v)", payload, err)
	}
	if !server.PeerGone() {
		t.Error("not gone, with nothing to be received")
	}
	_, _, err = server.Receive(nil)
	wantError(t, err, ErrRecv)
}

func TestSeesThatAPeerIsThere(t *testing.T) {
	client, server := mustPair(t, generous(100))
	if client.PeerGone() {
		t.Error("gone")
	}
	server.Close()
	if !client.PeerGone() {
		t.Error("not gone")
	}
	client.Close()
	if !client.PeerGone() || client.Fd() != -1 {
		t.Error("a closed session has a peer or a descriptor")
	}
}

func TestRandomPacketsNeverDoMoreThanEndTheSession(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	agreement := generous(100)
	agreement.MaxRequestPayloadBytes = 1000
	for range 300 {
		client, server := mustPair(t, agreement)
		for range 1 + random.IntN(5) {
			packet := make([]byte, random.IntN(150))
			for i := range packet {
				packet[i] = byte(random.UintN(256))
			}
			if len(packet) >= protocol.HeaderSize && random.IntN(4) > 0 {
				h := request(uint64(random.IntN(2)))
				h.Magic, h.Version, h.HeaderLen = protocol.MagicMsg, protocol.Version, protocol.HeaderLen
				h.PayloadLen = uint32(random.IntN(300))
				h.Encode(packet)
				if random.IntN(2) == 0 {
					chunk := protocol.ChunkHeader{Magic: protocol.MagicChunk, Version: 1, TotalMessageLen: h.PayloadLen + 32,
						ChunkIndex: 1, ChunkCount: uint32(random.IntN(4)), ChunkPayloadLen: uint32(len(packet) - 32)}
					chunk.Encode(packet)
				}
			}
			noError(t, client.conn.Send(packet, nil, soon()))
		}
		client.Close()
		for {
			h, payload, err := server.ReceiveTimeout(nil, 20000, nil)
			if err != nil {
				if errors.Is(err, ErrTimeout) {
					t.Fatal("waited for something")
				}
				break
			}
			if int(h.PayloadLen) != len(payload) {
				t.Fatalf("%d bytes instead of %d", len(payload), h.PayloadLen)
			}
		}
		server.Close()
	}
}

func TestTellsWhoThePeerIs(t *testing.T) {
	l := mustListen(t, shortDir(t), ServerConfig{})
	client, server := mustConnect(t, l, nil)
	for _, s := range []*Session{client, server} {
		who, err := s.Credentials()
		if errors.Is(err, errors.ErrUnsupported) {
			t.Skip(err)
		}
		noError(t, err)
		if who.PID != syscall.Getpid() || who.UID != uint32(syscall.Getuid()) || who.GID != uint32(syscall.Getgid()) {
			t.Errorf("peer is %+v", who)
		}
	}
}

func TestSendAndReceiveAllocateNothing(t *testing.T) {
	client, server := mustPair(t, generous(4096))
	buf, payload := make([]byte, 4096), binary.NativeEndian.AppendUint64(nil, 1)
	ask, answer := request(1), response(1)
	per := testing.AllocsPerRun(100, func() {
		noError(t, client.Send(ask, payload))
		_, _, err := server.Receive(buf)
		noError(t, err)
		noError(t, server.Send(answer, payload))
		_, _, err = client.Receive(buf)
		noError(t, err)
	})
	if per > 0 {
		t.Errorf("%v allocations for a round trip", per)
	}
}
