package service_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/service"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/service/raw"
)

// peer connects to a service as a program that does not keep to the rules.
func peer(t *testing.T, dir, name string, config peerConfig) *peerSession {
	t.Helper()
	var session *peerSession
	eventually(t, "a peer is connected", func() (connected bool) {
		var err error
		session, err = connectPeer(dir, name, &config)
		return err == nil
	})
	t.Cleanup(session.Close)
	return session
}

func TestAPeerThatDoesNotTakeItsResponsesHoldsUpNobody(t *testing.T) {
	dir := runDir(t)
	big := long("x", 60000)
	handler := raw.StringReverseDispatch(func(string) (string, bool) { return big, true })
	server := raw.NewServerWithWorkers(dir, "reverse", raw.ServerConfig{}, protocol.MethodStringReverse, handler, 1)
	start(t, server)
	client := raw.NewStringReverseClient(dir, "reverse", raw.ClientConfig{})
	connect(t, client)
	greedy := peer(t, dir, "reverse", peerConfig{})
	request := make([]byte, 10)
	n := protocol.StringReverseEncode("x", request)
	for id := range uint64(1000) {
		h := protocol.Header{Kind: protocol.KindRequest, Code: protocol.MethodStringReverse, ItemCount: 1, MessageID: id}
		err := greedy.SendTimeout(&h, request[:n], 20, nil)
		if errors.Is(err, protocol.ErrTimeout) {
			break // the server waits for us, and we for it
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	within(t, patience, "another client is served", func() {
		if view, err := client.CallStringReverse("x"); err != nil || view.Str != big {
			t.Errorf("%v", err)
		}
	})
	within(t, patience, "Drain returns", func() {
		if server.Drain(10 * time.Millisecond) {
			t.Error("nobody had to be cut off")
		}
	})
}

func TestARequestOverTheLimitIsToldSoAndEndsTheSession(t *testing.T) {
	dir := runDir(t)
	start(t, incrementServer(dir, raw.ServerConfig{}, 1))
	for name, oversize := range map[string]protocol.Header{
		"payload": {PayloadLen: 5000, ItemCount: 1},
		"items":   {PayloadLen: 8, Flags: protocol.FlagBatch, ItemCount: 7},
	} {
		t.Run(name, func(t *testing.T) {
			s := barePeer(t, dir, "increment", peerConfig{MaxRequestPayloadBytes: 4096})
			packet := make([]byte, protocol.HeaderSize+int(oversize.PayloadLen))
			oversize.Magic, oversize.Version, oversize.HeaderLen = protocol.MagicMsg, protocol.Version, protocol.HeaderLen
			oversize.Kind, oversize.Code, oversize.MessageID = protocol.KindRequest, protocol.MethodIncrement, 9
			oversize.Encode(packet)
			// Our own rules would not let it out, so it goes past them.
			s.send(packet)
			reply := s.receive()
			h, err := protocol.DecodeHeader(reply)
			if err != nil || h.TransportStatus != protocol.StatusLimitExceeded || h.MessageID != 9 || h.PayloadLen != 0 || h.ItemCount != 1 {
				t.Fatalf("reply %+v, %v", h, err)
			}
			if rest := s.receive(); len(rest) != 0 {
				t.Fatalf("the session goes on with %x", rest)
			}
		})
	}
}

func TestAPeerThatBreaksTheProtocolLosesItsSessionOnly(t *testing.T) {
	dir := runDir(t)
	server := incrementServer(dir, raw.ServerConfig{}, 1)
	var mu sync.Mutex
	told := 0
	server.OnError(func(error) {
		mu.Lock()
		defer mu.Unlock()
		told++
	})
	start(t, server)
	client := raw.NewIncrementClient(dir, "increment", raw.ClientConfig{})
	connect(t, client)
	for _, packet := range [][]byte{{}, {1}, make([]byte, 32), make([]byte, 5000)} {
		s := barePeer(t, dir, "increment", peerConfig{})
		s.send(packet)
		if rest := s.receive(); len(rest) != 0 {
			t.Fatalf("answered %x", rest)
		}
	}
	if n, err := client.CallIncrement(1); err != nil || n != 2 {
		t.Fatalf("got %d, %v", n, err)
	}
	eventually(t, "the failures are told", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return told >= 4
	})
}

func TestTheResponseLimitIsLearnedFromWhatFitAndWhatDidNot(t *testing.T) {
	const response = 300000
	handler := raw.StringReverseDispatch(func(string) (string, bool) { return long("x", response), true })
	request := make([]byte, 10)
	n := protocol.StringReverseEncode("x", request)
	// ask returns the limit granted to a client with this hint, and how it is answered.
	ask := func(dir string, hint uint32) (uint32, uint16) {
		s := peer(t, dir, "reverse", peerConfig{MaxResponsePayloadBytes: hint})
		h := protocol.Header{Kind: protocol.KindRequest, Code: protocol.MethodStringReverse, ItemCount: 1}
		if err := s.Send(&h, request[:n]); err != nil {
			t.Fatal(err)
		}
		answer, _, err := s.ReceiveTimeout(nil, uint32(patience.Milliseconds()), nil)
		if err != nil {
			t.Fatal(err)
		}
		return s.MaxResponsePayloadBytes, answer.TransportStatus
	}
	t.Run("what did not fit", func(t *testing.T) {
		dir := runDir(t)
		start(t, raw.NewServer(dir, "reverse", raw.ServerConfig{}, protocol.MethodStringReverse, handler))
		for expected := uint32(65536); expected < response; expected *= 2 {
			if limit, status := ask(dir, 1); limit != expected || status != protocol.StatusLimitExceeded {
				t.Fatalf("limit %d, status %d", limit, status)
			}
		}
		if limit, status := ask(dir, 1); limit != 1<<19 || status != protocol.StatusOK {
			t.Fatalf("limit %d, status %d", limit, status)
		}
	})
	t.Run("what fit", func(t *testing.T) {
		dir := runDir(t)
		start(t, raw.NewServer(dir, "reverse", raw.ServerConfig{}, protocol.MethodStringReverse, handler))
		if limit, status := ask(dir, 400000); limit != 400000 || status != protocol.StatusOK {
			t.Fatalf("limit %d, status %d", limit, status)
		}
		if limit, status := ask(dir, 1); limit != 1<<19 || status != protocol.StatusOK {
			t.Fatalf("limit %d, status %d", limit, status)
		}
	})
}

func TestLargeMessagesPassWithDefaultPackets(t *testing.T) {
	eachCarrier(t, func(t *testing.T, c carrier) {
		const size = 8 << 20
		dir := runDir(t)
		server, client := c.server(), c.client()
		server.MaxRequestPayloadBytes, server.MaxResponsePayloadBytes = size+100, size+100
		client.MaxRequestPayloadBytes = size + 100
		handler := raw.StringReverseDispatch(func(s string) (string, bool) { return s, true })
		start(t, raw.NewServer(dir, "echo", server, protocol.MethodStringReverse, handler))
		calls := raw.NewStringReverseClient(dir, "echo", client)
		connect(t, calls)
		s := long("abcdefgh", size/8)
		view, err := calls.CallStringReverse(s)
		if err != nil || view.Str != s {
			t.Fatalf("%v", err)
		}
		if st := calls.Status(); st.ReconnectCount != 0 || st.State != service.StateReady {
			t.Fatalf("status %+v", st)
		}
	})
}
