package windows

import (
	"bytes"
	"errors"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/carrier"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/vectors"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

var sessionErrors = map[string]error{
	"PROTOCOL":       ErrProtocol,
	"CHUNK":          ErrChunk,
	"LIMIT_EXCEEDED": ErrLimitExceeded,
	"UNKNOWN_MSG_ID": ErrUnknownMsgID,
}

func TestReceiveVectorsOverPipes(t *testing.T) {
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

func TestSendVectorsOverPipes(t *testing.T) {
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
		if _, err := server.conn.Receive(make([]byte, 1), nil, soon()); !errors.Is(err, carrier.ErrPeerClosed) {
			t.Errorf("more packets came (%v)", err)
		}
	})
}

func TestCarriesMessagesOfAnySize(t *testing.T) {
	for _, packetSize := range []uint32{0, 1 << 20} {
		client, server := mustConnect(t, ServerConfig{MaxRequestPayloadBytes: 1 << 30, MaxResponsePayloadBytes: 1 << 30, PacketSize: packetSize},
			ClientConfig{MaxRequestPayloadBytes: 1 << 30, PacketSize: packetSize})
		for _, size := range []int{0, 1, 1024, 65504, 65505, 1 << 20, 1<<20 + 1, 16 << 20} {
			content := make([]byte, size)
			for i := range content {
				content[i] = byte(i * 7 >> 3)
			}
			failed := make(chan error, 1)
			go func() { failed <- client.Send(request(1), content) }()
			h, payload, err := server.ReceiveTimeout(nil, 20000, nil)
			noError(t, err)
			noError(t, await(t, "Send returns", failed))
			if int(h.PayloadLen) != size || !bytes.Equal(payload, content) {
				t.Fatalf("%d bytes came as %d others", size, len(payload))
			}
			go func() { failed <- server.Send(response(1), content) }()
			_, payload, err = client.ReceiveTimeout(make([]byte, 100), 20000, nil)
			noError(t, err)
			noError(t, await(t, "Send returns", failed))
			if !bytes.Equal(payload, content) {
				t.Fatalf("%d bytes came back as %d others", size, len(payload))
			}
		}
		if most := max(packetSize, usualPacket); len(server.conn.inBody) > int(most) {
			t.Errorf("a buffer of %d bytes for packets of %d", len(server.conn.inBody), most)
		}
	}
}

func TestThePacketAfterOneThatWasTooLongIsWhole(t *testing.T) {
	client, server := mustPipe(t)
	for _, waiting := range []bool{true, false} {
		result := make(chan error, 1)
		buf := make([]byte, 100)
		receive := func() {
			n, err := server.Receive(buf, nil, soon())
			if err == nil && n <= len(buf) {
				err = errors.New("taken for a whole packet")
			}
			result <- err
		}
		if waiting {
			go receive()
		}
		noError(t, client.Send(make([]byte, 20000), []byte("end"), soon()))
		noError(t, client.Send([]byte("next"), nil, soon()))
		if !waiting {
			receive()
		}
		noError(t, await(t, "Receive returns", result))
		n, err := server.Receive(buf[:2], buf[50:], soon())
		if err != nil || string(buf[:2])+string(buf[50:50+n-2]) != "next" {
			t.Errorf("received %d bytes, %q (%v)", n, buf, err)
		}
	}
}

func TestAnEmptyPacketEndsTheSession(t *testing.T) {
	client, server := mustPipe(t)
	noError(t, client.Send(nil, nil, soon()))
	_, err := server.Receive(make([]byte, 10), nil, soon())
	wantError(t, err, ErrDisconnected)
}

func TestWhatWasSentCanBeReceivedAfterTheSenderClosed(t *testing.T) {
	client, server := mustPipe(t)
	answer := bytes.Repeat([]byte("answer"), 5000)
	for _, ends := range [][2]*conn{{server, client}} {
		noError(t, ends[0].Send(answer, nil, soon()))
		noError(t, ends[0].Send([]byte("last"), nil, soon()))
		ends[0].Close()
		if ends[1].PeerGone() {
			t.Error("gone, with packets to be received")
		}
		buf := make([]byte, len(answer))
		for _, expected := range []string{string(answer), "last"} {
			n, err := ends[1].Receive(buf, nil, soon())
			if err != nil || string(buf[:n]) != expected {
				t.Fatalf("received %d bytes (%v)", n, err)
			}
		}
		if !ends[1].PeerGone() {
			t.Error("not gone, with nothing to be received")
		}
		_, err := ends[1].Receive(buf, nil, soon())
		wantError(t, err, ErrDisconnected)
		err = ends[1].Send([]byte("x"), nil, soon())
		wantError(t, err, ErrDisconnected)
	}
}

func TestReceiveEndsAtItsDeadline(t *testing.T) {
	client, server := mustPair(t, generous(100))
	for _, ms := range []uint32{1, 50} {
		start := time.Now()
		_, _, err := server.ReceiveTimeout(nil, ms, nil)
		wantError(t, err, ErrTimeout)
		if errors.Is(err, ErrRecv) {
			t.Errorf("%v looks like a lost connection", err)
		}
		if took := time.Since(start); took < time.Duration(ms)*time.Millisecond {
			t.Errorf("%d ms were over after %v", ms, took)
		}
	}
	received := make(chan error, 1)
	go func() {
		_, _, err := server.Receive(nil)
		received <- err
	}()
	noError(t, client.Send(request(1), nil))
	noError(t, await(t, "Receive returns", received))
}

// stuff sends until the peer, which does not receive, has no room for more.
func stuff(s *Session) error {
	for id := uint64(0); ; id++ {
		if err := s.SendTimeout(request(id), make([]byte, 4000), 20, nil); err != nil {
			return err
		}
	}
}

func TestWhatEndsAWaitToSend(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(client, server *Session)
		want error
	}{
		"interrupt":      {func(client, _ *Session) { client.Interrupt() }, ErrAborted},
		"close":          {func(client, _ *Session) { client.Close() }, ErrSend},
		"peer goes away": {func(_, server *Session) { server.Close() }, ErrSend},
	} {
		t.Run(name, func(t *testing.T) {
			client, server := mustPair(t, generous(4096))
			wantError(t, stuff(client), ErrTimeout)
			result := make(chan error, 1)
			go func() { result <- client.Send(request(1<<40), make([]byte, 4000)) }()
			c.end(client, server)
			wantError(t, await(t, "Send returns", result), c.want)
		})
	}
}

func TestWhatEndsAWaitToReceive(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(client, server *Session)
		want error
	}{
		"interrupt":      {func(_, server *Session) { server.Interrupt() }, ErrAborted},
		"stop receiving": {func(_, server *Session) { server.StopReceiving() }, ErrAborted},
		"close":          {func(_, server *Session) { server.Close() }, ErrRecv},
		"peer goes away": {func(client, _ *Session) { client.Close() }, ErrRecv},
	} {
		t.Run(name, func(t *testing.T) {
			client, server := mustPair(t, generous(4096))
			result := make(chan error, 1)
			go func() {
				_, _, err := server.Receive(nil)
				result <- err
			}()
			c.end(client, server)
			wantError(t, await(t, "Receive returns", result), c.want)
			_, _, err := server.Receive(nil) // it stays so
			wantError(t, err, c.want)
			readable, err := server.WaitReadable(1000)
			if readable || err == nil {
				t.Errorf("readable %v (%v)", readable, err)
			}
		})
	}
}

func TestAnAbortComesBeforeWhatIsThere(t *testing.T) {
	client, server := mustPair(t, generous(100))
	noError(t, client.Send(request(1), nil))
	abort := make(chan struct{})
	close(abort)
	_, _, err := server.ReceiveTimeout(nil, 1000, abort)
	wantError(t, err, ErrAborted)
	wantError(t, server.SendTimeout(response(1), nil, 1000, abort), ErrAborted)
}

func TestCanStillAnswerWhenItStoppedReceiving(t *testing.T) {
	client, server := mustPair(t, generous(100))
	noError(t, client.Send(request(1), nil))
	_, _, err := server.Receive(nil)
	noError(t, err)
	server.StopReceiving()
	noError(t, server.Send(response(1), []byte("done")))
	_, payload, err := client.Receive(nil)
	if err != nil || string(payload) != "done" {
		t.Errorf("received %q (%v)", payload, err)
	}
}

func TestTellsWhenAMessageCanBeReceived(t *testing.T) {
	client, server := mustPair(t, generous(100))
	if readable, err := server.WaitReadable(5); readable || err != nil {
		t.Errorf("readable %v (%v), with nothing sent", readable, err)
	}
	noError(t, client.Send(request(1), nil))
	client.Close()
	for range 2 { // it is still there
		if readable, err := server.WaitReadable(0); !readable || err != nil {
			t.Errorf("readable %v (%v), with a message", readable, err)
		}
	}
	_, _, err := server.Receive(nil)
	noError(t, err)
	_, err = server.WaitReadable(0)
	wantError(t, err, ErrRecv)
	wantError(t, err, ErrDisconnected)
}

func TestAClosedSessionHasNoHandle(t *testing.T) {
	client, server := mustPair(t, generous(100))
	if client.Handle() == syscall.InvalidHandle || client.GetRole() != RoleClient || server.GetRole() != RoleServer {
		t.Error("an open session lacks a handle, or plays another role")
	}
	client.Close()
	client.Close()
	if !client.PeerGone() || client.Handle() != syscall.InvalidHandle {
		t.Error("a closed session has a peer or a handle")
	}
}

func TestAbortsAndClosesInAnyOrder(t *testing.T) {
	for range 200 {
		client, server := mustPair(t, generous(100))
		abort := make(chan struct{})
		result := make(chan error, 1)
		go func() {
			_, _, err := client.ReceiveTimeout(nil, 0, abort)
			result <- err
		}()
		var group sync.WaitGroup
		for _, f := range []func(){func() { close(abort) }, client.Close, client.Close, client.Interrupt, server.Close} {
			group.Add(1)
			go func() { f(); group.Done() }()
		}
		group.Wait()
		if await(t, "Receive returns", result) == nil {
			t.Fatal("received something")
		}
	}
}

func TestSendAndReceiveAllocateNothing(t *testing.T) {
	client, server := mustPair(t, generous(4096))
	buf, payload := make([]byte, 4096), make([]byte, 8)
	ask, answer := request(1), response(1)
	allocatesNothing(t, func() {
		noError(t, client.Send(ask, payload))
		_, _, err := server.ReceiveTimeout(buf, 20000, nil)
		noError(t, err)
		noError(t, server.Send(answer, payload))
		_, _, err = client.ReceiveTimeout(buf, 20000, nil)
		noError(t, err)
	})
}
