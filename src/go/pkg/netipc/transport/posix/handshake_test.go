//go:build unix

package posix

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/carrier"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/session"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/vectors"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

// handshakeErrors are the classes of the vectors.
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

func (c *vectorConfig) server() ServerConfig {
	return ServerConfig{c.Supported, c.Preferred, c.RequestBytes, c.RequestItems, c.ResponseBytes, c.ResponseItems, c.Token, c.PacketSize, 0, 0}
}

// mustDial connects a bare socket to the endpoint.
func mustDial(t testing.TB, path string) *conn {
	t.Helper()
	c, err := connect(context.Background(), path)
	noError(t, err)
	t.Cleanup(c.Close)
	return c
}

func soon() time.Time { return time.Now().Add(patience) }

func TestServerHandshakeVectorsOverSockets(t *testing.T) {
	l := mustListen(t, shortDir(t), ServerConfig{})
	vectors.Each(t, "server_handshake", func(t *testing.T, v *vectors.Vector) {
		config := vectors.Decode[vectorConfig](t, v.Config)
		client := mustDial(t, l.path)
		noError(t, client.Send(v.Hex, nil, soon()))
		s, err := l.AcceptWithConfig(config.SessionID, config.server())
		v.CheckError(t, err, handshakeErrors)
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

func TestClientHandshakeVectorsOverSockets(t *testing.T) {
	dir := shortDir(t)
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
		defer server.Close()
		hello, err := carrier.ReceiveHandshake(server.conn, soon())
		noError(t, err)
		if string(hello) != string(v.Sends) {
			t.Errorf("said %x, expected %x", hello, v.Sends)
		}
		noError(t, server.conn.Send(v.Hex, nil, soon()))
		v.CheckError(t, await(t, "Connect returns", result), handshakeErrors)
	})
}

func TestASilentClientKeepsNobodyWaiting(t *testing.T) {
	dir := shortDir(t)
	l := mustListen(t, dir, ServerConfig{Backlog: 200})
	go func() {
		for {
			pending, err := l.AcceptPending()
			if err != nil {
				return
			}
			go pending.Handshake(context.Background(), 1, ServerConfig{})
		}
	}()
	for range 100 {
		mustDial(t, l.path)
	}
	s, err := Connect(dir, "svc", nil)
	noError(t, err)
	s.Close()
}

func TestAHandshakeEndsAtItsDeadline(t *testing.T) {
	dir := shortDir(t)
	l := mustListen(t, dir, ServerConfig{})
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	_, err := ConnectContext(ctx, dir, "svc", nil) // nobody accepts
	wantError(t, err, ErrTimeout)

	pending, err := l.AcceptPending() // the one that gave up; it had said HELLO
	noError(t, err)
	pending.Close()
	mustDial(t, l.path)
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
	dir := shortDir(t)
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
	mustDial(t, l.path)
	pending, err = l.AcceptPending()
	noError(t, err)
	go func() {
		_, err := pending.Handshake(context.Background(), 1, ServerConfig{})
		result <- err
	}()
	pending.Interrupt()
	wantError(t, await(t, "Handshake returns", result), ErrAborted)
}

func TestACancelledHandshakeIsNoSuccess(t *testing.T) {
	client, _ := mustPair(t, generous(100))
	ctx, cancel := context.WithCancel(context.Background())
	err := carrier.During(ctx, client.conn, func(time.Time) error { cancel(); return nil })
	wantError(t, err, ErrAborted) // its connection is of no use: it is being interrupted
}

func TestConnectWaitsForRoomInTheBacklog(t *testing.T) {
	dir := shortDir(t)
	l := mustListen(t, dir, ServerConfig{Backlog: 1})
	fillBacklog(t, l.path)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	_, err := ConnectContext(ctx, dir, "svc", nil)
	wantError(t, err, ErrTimeout)

	result := make(chan error, 1)
	go func() {
		s, err := Connect(dir, "svc", nil)
		if err == nil {
			s.Close()
		}
		result <- err
	}()
	for {
		// Until it is the turn of the one that says HELLO.
		pending, err := l.AcceptPending()
		noError(t, err)
		if pending.conn.PeerGone() {
			pending.Close()
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		_, err = pending.Handshake(ctx, 1, ServerConfig{})
		cancel()
		if err == nil {
			break
		}
	}
	noError(t, await(t, "Connect returns", result))
}

func TestConnectSaysWhatItFoundThere(t *testing.T) {
	dir := shortDir(t)
	_, err := Connect(dir, "svc", nil)
	wantError(t, err, ErrConnect)
	wantError(t, err, syscall.ENOENT)
	if want := "connect to " + socketIn(dir) + ": no such file or directory"; err.Error() != want {
		t.Errorf("%q, expected %q", err, want)
	}
	noError(t, leaveDeadSocket(socketIn(dir)))
	_, err = Connect(dir, "svc", nil)
	wantError(t, err, syscall.ECONNREFUSED)
}

func TestAClientThatIsDroppedCouldNotConnect(t *testing.T) {
	dir := shortDir(t)
	l := mustListen(t, dir, ServerConfig{})
	result := make(chan error, 1)
	go func() {
		_, err := Connect(dir, "svc", nil)
		result <- err
	}()
	pending, err := l.AcceptPending()
	noError(t, err)
	pending.Close()
	err = await(t, "Connect returns", result)
	if !errors.Is(err, ErrRecv) && !errors.Is(err, ErrSend) {
		t.Errorf("got %v", err)
	}
}

func TestSessionsAreNumberedFromOne(t *testing.T) {
	l := mustListen(t, shortDir(t), ServerConfig{})
	for id := range uint64(3) {
		client, server := mustConnect(t, l, nil)
		if client.SessionID != id+1 || server.SessionID != id+1 {
			t.Errorf("session %d is %d here and %d there", id+1, client.SessionID, server.SessionID)
		}
	}
}

func TestLaterSessionsGetTheLaterLimits(t *testing.T) {
	l := mustListen(t, shortDir(t), ServerConfig{})
	l.SetPayloadLimits(4096, 70000)
	client, _ := mustConnect(t, l, &ClientConfig{MaxRequestPayloadBytes: 3000})
	if client.MaxRequestPayloadBytes != 3000 || client.MaxResponsePayloadBytes != 70000 {
		t.Errorf("agreed on %d and %d", client.MaxRequestPayloadBytes, client.MaxResponsePayloadBytes)
	}
}

func TestProposesPacketsThatTheSocketTakes(t *testing.T) {
	l := mustListen(t, shortDir(t), ServerConfig{PacketSize: 1 << 30})
	for _, configured := range []uint32{0, 1 << 30} {
		client, _ := mustConnect(t, l, &ClientConfig{PacketSize: configured})
		buffer, err := syscall.GetsockoptInt(client.Fd(), syscall.SOL_SOCKET, syscall.SO_SNDBUF)
		noError(t, err)
		want := min(uint32(buffer)-32, 65536)
		if configured != 0 {
			want = uint32(buffer) - 32
		}
		if client.PacketSize != want {
			t.Errorf("configured %d: packets of %d bytes, expected %d", configured, client.PacketSize, want)
		}
	}
}

// mustConnect makes the two ends of a session.
func mustConnect(t testing.TB, l *Listener, config *ClientConfig) (client, server *Session) {
	t.Helper()
	accepted := make(chan *Session, 1)
	go func() {
		s, err := l.Accept()
		if err != nil {
			t.Error(err)
		}
		accepted <- s
	}()
	client, err := Connect(l.endpoint.dir, l.endpoint.service, config)
	noError(t, err)
	server = await(t, "Accept returns", accepted)
	t.Cleanup(client.Close)
	t.Cleanup(server.Close)
	return client, server
}

// mustPair makes the two ends of a session without a handshake.
func mustPair(t testing.TB, agreement session.Agreement) (client, server *Session) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET, 0)
	noError(t, err)
	var ends [2]*conn
	for i, fd := range fds {
		noError(t, syscall.SetNonblock(fd, true))
		ends[i], err = newConn(fd, "pair")
		noError(t, err)
		t.Cleanup(ends[i].Close)
	}
	if agreement.SelectedProfile == 0 {
		agreement.SelectedProfile = protocol.ProfileBaseline
	}
	return newSession(RoleClient, "pair", ends[0], &agreement), newSession(RoleServer, "pair", ends[1], &agreement)
}
