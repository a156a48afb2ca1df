package windows

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/carrier"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/vectors"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

var handshakeErrors = map[string]error{
	"RECV":           ErrRecv,
	"SEND":           ErrSend,
	"PROTOCOL":       ErrProtocol,
	"INCOMPATIBLE":   ErrIncompatible,
	"NO_PROFILE":     ErrNoProfile,
	"AUTH_FAILED":    ErrAuthFailed,
	"LIMIT_EXCEEDED": ErrLimitExceeded,
	"HANDSHAKE":      ErrHandshake,
}

type vectorConfig struct {
	Supported     uint32 `json:"supported_profiles"`
	Preferred     uint32 `json:"preferred_profiles"`
	RequestBytes  uint32 `json:"max_request_payload_bytes"`
	RequestItems  uint32 `json:"max_request_batch_items"`
	ResponseBytes uint32 `json:"max_response_payload_bytes"`
	ResponseItems uint32 `json:"max_response_batch_items"`
	Token         uint64 `json:"auth_token"`
	PacketSize    uint32 `json:"packet_size"`
	SessionID     uint64 `json:"session_id"`
}

func (c *vectorConfig) client() *ClientConfig {
	return &ClientConfig{c.Supported, c.Preferred, c.RequestBytes, c.RequestItems, c.ResponseBytes, c.ResponseItems, c.Token, c.PacketSize, 0}
}

func TestServerHandshakeVectorsOverPipes(t *testing.T) {
	l := mustListen(t, ownDir(t), ServerConfig{})
	vectors.Each(t, "server_handshake", func(t *testing.T, v *vectors.Vector) {
		config := vectors.Decode[vectorConfig](t, v.Config)
		client := mustDial(t, l)
		if len(v.Hex) == 0 {
			client.Close() // an empty packet cannot be told from this
		} else {
			noError(t, client.Send(v.Hex, nil, soon()))
		}
		s, err := l.AcceptWithConfig(config.SessionID, ServerConfig(*config.client()))
		v.CheckError(t, err, handshakeErrors)
		// The server has closed its end by now if it refused; what it said comes all the same.
		reply, err := carrier.ReceiveHandshake(client, soon())
		expected := v.Reply
		if alternative := v.Alternative.Reply; alternative != nil && (expected == nil || string(*expected) != string(reply)) {
			expected = alternative
		}
		switch {
		case expected == nil:
			if err == nil {
				t.Errorf("replied %x", reply)
			}
		case err != nil || string(reply) != string(*expected):
			t.Errorf("replied %x (%v), expected %x", reply, err, *expected)
		}
		if s != nil {
			s.Close()
		}
	})
}

func TestClientHandshakeVectorsOverPipes(t *testing.T) {
	dir := ownDir(t)
	l := mustListen(t, dir, ServerConfig{})
	vectors.Each(t, "client_handshake", func(t *testing.T, v *vectors.Vector) {
		config := vectors.Decode[vectorConfig](t, v.Config)
		result := make(chan error, 1)
		go func() {
			s, err := Connect(dir, "svc", config.client())
			if err == nil {
				s.Close()
			}
			result <- err
		}()
		server, err := l.AcceptPending()
		noError(t, err)
		hello, err := carrier.ReceiveHandshake(server.conn, soon())
		noError(t, err)
		if string(hello) != string(v.Sends) {
			t.Errorf("said %x, expected %x", hello, v.Sends)
		}
		if len(v.Hex) > 0 {
			noError(t, server.conn.Send(v.Hex, nil, soon()))
		}
		server.Close()
		v.CheckError(t, await(t, "Connect returns", result), handshakeErrors)
	})
}

// mustConnect makes the two ends of a session.
func mustConnect(t testing.TB, config ServerConfig, offer ClientConfig) (client, server *Session) {
	t.Helper()
	dir := ownDir(t)
	l := mustListen(t, dir, config)
	accepted := make(chan *Session, 1)
	go func() {
		s, err := l.Accept()
		if err != nil {
			t.Error(err)
		}
		accepted <- s
	}()
	client, err := Connect(dir, "svc", &offer)
	noError(t, err)
	t.Cleanup(client.Close)
	server = await(t, "Accept returns", accepted)
	t.Cleanup(server.Close)
	return client, server
}

func TestAHelloMayBeLongerThanIsLookedAt(t *testing.T) {
	l := mustListen(t, ownDir(t), ServerConfig{})
	client := mustDial(t, l)
	config := &ClientConfig{}
	hello := config.terms(client).Hello()
	noError(t, client.Send(hello[:], make([]byte, 1000), soon()))
	server, err := l.AcceptWithConfig(1, ServerConfig{})
	noError(t, err)
	defer server.Close()
	_, err = carrier.ReceiveHandshake(client, soon())
	noError(t, err)
	h := request(1)
	h.Magic, h.Version, h.HeaderLen = protocol.MagicMsg, protocol.Version, protocol.HeaderLen
	packet := make([]byte, protocol.HeaderSize)
	h.Encode(packet)
	noError(t, client.Send(packet, nil, soon()))
	if got, _, err := server.Receive(nil); err != nil || got.MessageID != 1 {
		t.Errorf("received %+v (%v)", got, err)
	}
}

func TestAHandshakeEndsAtItsDeadline(t *testing.T) {
	dir := ownDir(t)
	l := mustListen(t, dir, ServerConfig{})
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	_, err := ConnectContext(ctx, dir, "svc", nil) // nobody accepts
	wantError(t, err, ErrTimeout)

	pending, err := l.AcceptPending() // the one that gave up; it had said HELLO
	noError(t, err)
	pending.Close()
	mustDial(t, l)
	pending, err = l.AcceptPending()
	noError(t, err)
	ctx, cancel = context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	_, err = pending.Handshake(ctx, 1, ServerConfig{})
	wantError(t, err, ErrTimeout)
	if errors.Is(err, ErrRecv) {
		t.Errorf("%v looks like a lost connection", err)
	}
}

func TestAHandshakeCanBeCalledOff(t *testing.T) {
	dir := ownDir(t)
	l := mustListen(t, dir, ServerConfig{})
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() {
		_, err := ConnectContext(ctx, dir, "svc", nil)
		result <- err
	}()
	pending, err := l.AcceptPending()
	noError(t, err)
	cancel()
	wantError(t, await(t, "Connect returns", result), ErrAborted)

	pending.Close()
	mustDial(t, l)
	pending, err = l.AcceptPending()
	noError(t, err)
	go func() {
		_, err := pending.Handshake(context.Background(), 1, ServerConfig{})
		result <- err
	}()
	pending.Interrupt()
	wantError(t, await(t, "Handshake returns", result), ErrAborted)
}
