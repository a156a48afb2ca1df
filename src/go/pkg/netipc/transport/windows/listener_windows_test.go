package windows

import (
	"strings"
	"syscall"
	"testing"
)

func TestNobodyListens(t *testing.T) {
	_, err := Connect(ownDir(t), "svc", nil)
	wantError(t, err, ErrConnect)
	wantError(t, err, syscall.ERROR_FILE_NOT_FOUND)
	if !strings.HasPrefix(err.Error(), `connect to \\.\pipe\netipc-`) {
		t.Errorf("says %v", err)
	}
	for _, name := range []string{"", "..", "a/b", strings.Repeat("x", 300)} {
		_, err := Connect(ownDir(t), name, nil)
		wantError(t, err, ErrBadParam)
		_, err = Listen(ownDir(t), name, ServerConfig{})
		wantError(t, err, ErrBadParam)
	}
}

func TestASecondServerIsRefused(t *testing.T) {
	if underWine() {
		t.Skip("Wine lets anybody make a first instance of a pipe")
	}
	dir := ownDir(t)
	l := mustListen(t, dir, ServerConfig{})
	_, err := Listen(dir, "svc", ServerConfig{})
	wantError(t, err, ErrAddrInUse)
	l.Close()
	mustListen(t, dir, ServerConfig{})
}

func TestClientsThatComeTogetherAreAllAccepted(t *testing.T) {
	const clients = 5 * backlog
	dir := ownDir(t)
	l := mustListen(t, dir, ServerConfig{})
	result := make(chan error, clients)
	for range clients {
		go func() {
			s, err := Connect(dir, "svc", nil)
			if err == nil {
				s.Close()
			}
			result <- err
		}()
	}
	ids := map[uint64]bool{}
	for range clients {
		s, err := l.Accept()
		noError(t, err)
		ids[s.SessionID] = true
		s.Close()
	}
	for range clients {
		noError(t, await(t, "Connect returns", result))
	}
	if len(ids) != clients || !ids[1] || !ids[clients] {
		t.Errorf("sessions are %v", ids)
	}
}

func TestClientsConnectBeforeAnybodyAccepts(t *testing.T) {
	l := mustListen(t, ownDir(t), ServerConfig{})
	// As many as there are instances, and one in the place of each.
	for range 2 * backlog {
		mustDial(t, l)
	}
	for range 2 * backlog {
		pending, err := l.AcceptPending()
		noError(t, err)
		pending.Close()
	}
}

func TestAnInstanceWhoseClientIsGoneWaitsForAnother(t *testing.T) {
	l := mustListen(t, ownDir(t), ServerConfig{})
	l.Close()
	// The same endpoint with one instance, for which nobody waits yet.
	l = &Listener{endpoint: l.endpoint, name: l.name, security: l.security, buffer: l.buffer, arrivals: make(chan arrival), done: make(chan struct{})}
	defer l.Close()
	instance, err := l.newInstance(fileFlagFirstPipeInstance)
	noError(t, err)
	l.add(instance)
	mustDial(t, l).Close()
	l.attending.Add(1)
	go l.attend(instance)
	client := mustDial(t, l)
	noError(t, client.Send([]byte("hello"), nil, soon()))
	pending, err := l.AcceptPending()
	noError(t, err)
	defer pending.Close()
	buf := make([]byte, 10)
	n, err := pending.conn.Receive(buf, nil, soon())
	if err != nil || string(buf[:n]) != "hello" {
		t.Errorf("received %q (%v)", buf[:n], err)
	}
}

func TestClientsThatAreSilentOrGoHarmNobody(t *testing.T) {
	dir := ownDir(t)
	l := mustListen(t, dir, ServerConfig{})
	go func() {
		for {
			pending, err := l.AcceptPending()
			if err != nil {
				return
			}
			go pending.Handshake(t.Context(), 1, ServerConfig{})
		}
	}()
	for range 5 * backlog {
		mustDial(t, l)
		mustDial(t, l).Close()
	}
	s, err := Connect(dir, "svc", nil)
	noError(t, err)
	s.Close()
}

func TestCloseEndsAcceptAndRefusesWhoWaits(t *testing.T) {
	dir := ownDir(t)
	l := mustListen(t, dir, ServerConfig{})
	if l.Handle() == syscall.InvalidHandle {
		t.Error("there is no pipe")
	}
	waiting := mustDial(t, l)
	pending, err := l.AcceptPending()
	noError(t, err)
	left := mustDial(t, l)
	result := make(chan error, 1)
	go func() {
		_, err := l.AcceptPending()
		for err == nil { // perhaps the other one
			_, err = l.AcceptPending()
		}
		result <- err
	}()
	l.Close()
	l.Close()
	wantError(t, await(t, "AcceptPending returns", result), ErrAccept)
	_, err = l.Accept()
	wantError(t, err, ErrAccept)
	if l.Handle() != syscall.InvalidHandle {
		t.Error("a closed listener has a handle")
	}
	_, err = Connect(dir, "svc", nil)
	wantError(t, err, ErrConnect)
	// Who was accepted is not concerned.
	noError(t, waiting.Send([]byte("hello"), nil, soon()))
	buf := make([]byte, 10)
	n, err := pending.conn.Receive(buf, nil, soon())
	if err != nil || string(buf[:n]) != "hello" {
		t.Errorf("received %q (%v)", buf[:n], err)
	}
	pending.Close()
	left.Close()
	_, err = Connect(dir, "svc", nil)
	wantError(t, err, ErrConnect)
	mustListen(t, dir, ServerConfig{})
}

func TestOnlyThisUserMayConnect(t *testing.T) {
	user, err := thisUser()
	noError(t, err)
	if !strings.HasPrefix(user, "S-1-") {
		t.Errorf("the user is %q", user)
	}
	if got := accessList("S-1-5-18"); got != "D:P(A;;GA;;;S-1-5-18)" {
		t.Errorf("the access list is %q", got)
	}
	attributes, err := onlyThisUser()
	noError(t, err)
	if attributes.SecurityDescriptor == 0 || attributes.InheritHandle != 0 || attributes.Length == 0 {
		t.Errorf("attributes %+v", attributes)
	}
}
