package posix

import (
	"context"
	"errors"
	"os"
	"sync/atomic"
	"testing"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

// mustDialForger makes a client's link to a server that can write to shared memory what
// it likes, in an area larger than what was agreed on.
func mustDialForger(t *testing.T) (client *Link, server *ShmContext) {
	t.Helper()
	dir := shortDir(t)
	server, err := ShmServerCreate(dir, "svc", 9, 5000, 5000)
	noError(t, err)
	t.Cleanup(server.ShmDestroy)
	l := mustListen(t, dir, ServerConfig{})
	accepted := make(chan *Session, 1)
	go func() {
		s, err := l.AcceptWithConfig(9, ServerConfig{SupportedProfiles: shares})
		if err != nil {
			t.Error(err)
		}
		accepted <- s
	}()
	client, err = Dial(context.Background(), dir, "svc", &ClientConfig{SupportedProfiles: shares})
	noError(t, err)
	t.Cleanup(client.Close)
	t.Cleanup(await(t, "Accept returns", accepted).Close)
	return client, server
}

func TestAMessageThroughSharedMemoryIsJudgedLikeAnyOther(t *testing.T) {
	message := func(size int, change func(*protocol.Header)) []byte {
		h := response(5)
		h.Magic, h.Version, h.HeaderLen, h.PayloadLen = protocol.MagicMsg, protocol.Version, protocol.HeaderLen, 8
		change(h)
		m := make([]byte, size)
		h.Encode(m)
		return m
	}
	for name, c := range map[string]struct {
		message []byte
		want    error
	}{
		"short":             {make([]byte, 31), ErrProtocol},
		"magic":             {message(40, func(h *protocol.Header) { h.Magic++ }), ErrProtocol},
		"control":           {message(40, func(h *protocol.Header) { h.Kind = protocol.KindControl }), ErrProtocol},
		"request":           {message(40, func(h *protocol.Header) { h.Kind = protocol.KindRequest }), ErrProtocol},
		"unasked":           {message(40, func(h *protocol.Header) { h.MessageID = 6 }), ErrUnknownMsgID},
		"says less":         {message(40, func(h *protocol.Header) { h.PayloadLen = 7 }), ErrProtocol},
		"says more":         {message(40, func(h *protocol.Header) { h.PayloadLen = 9 }), ErrProtocol},
		"says too much":     {message(40, func(h *protocol.Header) { h.PayloadLen = 1025 }), ErrLimitExceeded},
		"is too much":       {message(4040, func(h *protocol.Header) { h.PayloadLen = 4008 }), ErrLimitExceeded},
		"hides that it is":  {message(4040, func(*protocol.Header) {}), ErrProtocol},
		"says the most":     {message(4040, func(h *protocol.Header) { h.PayloadLen = 1024 }), ErrProtocol},
		"too many items":    {message(40, func(h *protocol.Header) { h.ItemCount = 2 }), ErrLimitExceeded},
		"is as much as may": {message(1056, func(h *protocol.Header) { h.PayloadLen = 1024 }), nil},
	} {
		t.Run(name, func(t *testing.T) {
			client, server := mustDialForger(t)
			noError(t, client.Send(request(5), nil, soon()))
			noError(t, server.ShmSend(c.message))
			h, _, err := client.Receive(soon())
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, expected %v", err, c.want)
			}
			if errors.Is(err, ErrLimitExceeded) && h.MessageID != 5 {
				t.Errorf("header %+v", h)
			}
		})
	}
}

// mustConnectForger makes a link of which the client's end is in our hands: the session
// that negotiated it, and the shared memory.
func mustConnectForger(t *testing.T) (client *Session, shared *ShmContext, server *Link) {
	t.Helper()
	dir := shortDir(t)
	l := mustListen(t, dir, ServerConfig{SupportedProfiles: shares})
	accepted := make(chan *Link, 1)
	go func() {
		pending, err := l.AcceptPending()
		if err == nil {
			server, err = pending.Accept(context.Background(), l.currentConfig())
		}
		if err != nil {
			t.Error(err)
		}
		accepted <- server
	}()
	client, err := Connect(dir, "svc", &ClientConfig{SupportedProfiles: shares})
	noError(t, err)
	t.Cleanup(client.Close)
	server = await(t, "Accept returns", accepted)
	t.Cleanup(server.Close)
	shared, err = ShmClientAttach(dir, "svc", client.SessionID)
	noError(t, err)
	t.Cleanup(shared.ShmClose)
	return client, shared, server
}

func TestAClientCanBeToldThatItAskedTooMuch(t *testing.T) {
	_, client, server := mustConnectForger(t)
	h := request(5)
	h.Magic, h.Version, h.HeaderLen, h.PayloadLen = protocol.MagicMsg, protocol.Version, protocol.HeaderLen, 1025
	message := make([]byte, protocol.HeaderSize+1025)
	h.Encode(message)
	noError(t, client.ShmSend(message))
	got, _, err := server.Receive(soon())
	wantError(t, err, ErrLimitExceeded)
	refusal := response(got.MessageID)
	refusal.TransportStatus = protocol.StatusLimitExceeded
	noError(t, server.Send(refusal, nil, soon()))
	n, err := client.ShmReceive(message, uint32(patience.Milliseconds()))
	noError(t, err)
	if got, err = protocol.DecodeHeader(message[:n]); err != nil || got.TransportStatus != protocol.StatusLimitExceeded {
		t.Errorf("received %+v (%v)", got, err)
	}
}

func TestPlayingWithSharedMemoryEndsTheLink(t *testing.T) {
	for name, play := range map[string]func(s *Session, c *ShmContext){
		"length of 0":        func(_ *Session, c *ShmContext) { forge(c, 0) },
		"length of 4 GiB":    func(_ *Session, c *ShmContext) { forge(c, 1<<32-1) },
		"cut short":          func(_ *Session, c *ShmContext) { os.Truncate(c.path, 0) },
		"packet on the side": func(s *Session, _ *ShmContext) { s.conn.Send([]byte("psst"), nil, soon()) },
	} {
		t.Run(name, func(t *testing.T) {
			client, shared, server := mustConnectForger(t)
			play(client, shared)
			_, _, err := server.Receive(soon())
			wantError(t, err, ErrProtocol)
		})
	}
}

func forge(c *ShmContext, length uint32) {
	atomic.StoreUint32(c.out.length, length)
	atomic.AddUint64(c.out.sequence, 1)
	c.out.ring(1)
}
