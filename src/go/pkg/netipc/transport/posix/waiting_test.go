//go:build unix

package posix

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

func TestReceiveEndsAtItsDeadline(t *testing.T) {
	_, server := mustPair(t, generous(100))
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
}

func TestADeadlineHoldsForOneWaitOnly(t *testing.T) {
	client, server := mustPair(t, generous(100))
	_, _, err := server.ReceiveTimeout(nil, 1, nil)
	wantError(t, err, ErrTimeout)
	received := make(chan error, 1)
	go func() {
		_, _, err := server.Receive(nil)
		received <- err
	}()
	awaitReceiver(t)
	noError(t, client.Send(request(1), nil))
	noError(t, await(t, "Receive returns", received))
}

func TestAResponseMayComeAfterADeadline(t *testing.T) {
	client, server := mustPair(t, generous(100))
	noError(t, client.Send(request(1), nil))
	_, _, err := client.ReceiveTimeout(nil, 1, nil)
	wantError(t, err, ErrTimeout)
	noError(t, server.Send(response(1), nil))
	_, _, err = client.Receive(nil)
	noError(t, err)
}

func TestOneDeadlineForAllPacketsOfAMessage(t *testing.T) {
	client, server := mustPair(t, generous(100))
	done := make(chan struct{})
	defer close(done)
	go func() { // a packet every few milliseconds, for ever
		h := request(1)
		h.Magic, h.Version, h.HeaderLen, h.PayloadLen = protocol.MagicMsg, protocol.Version, protocol.HeaderLen, 1<<20
		var head [protocol.HeaderSize]byte
		h.Encode(head[:])
		client.conn.Send(head[:], nil, soon())
		for index := uint32(1); ; index++ {
			chunk := protocol.ChunkHeader{Magic: protocol.MagicChunk, Version: 1, MessageID: 1, TotalMessageLen: 1<<20 + 32,
				ChunkIndex: index, ChunkCount: 1 + (1<<20+67)/68, ChunkPayloadLen: 1}
			chunk.Encode(head[:])
			if client.conn.Send(head[:], []byte{0}, soon()) != nil {
				return
			}
			select {
			case <-done:
				return
			case <-time.After(2 * time.Millisecond):
			}
		}
	}()
	_, _, err := server.ReceiveTimeout(nil, 60, nil)
	wantError(t, err, ErrTimeout)
}

func TestAnAbortComesBeforeEverythingElse(t *testing.T) {
	client, server := mustPair(t, generous(100))
	noError(t, client.Send(request(1), nil))
	abort := make(chan struct{})
	close(abort)
	_, _, err := server.ReceiveTimeout(nil, 1000, abort)
	wantError(t, err, ErrAborted)
	wantError(t, server.SendTimeout(response(1), nil, 1000, abort), ErrAborted)
}

func TestAnAbortEndsTheWait(t *testing.T) {
	_, server := mustPair(t, generous(100))
	abort, result := make(chan struct{}), make(chan error, 1)
	go func() {
		_, _, err := server.ReceiveTimeout(nil, 0, abort)
		result <- err
	}()
	close(abort)
	wantError(t, await(t, "ReceiveTimeout returns", result), ErrAborted)
}

// stuff sends until the peer, which does not receive, has no room for more.
func stuff(s *Session) error {
	for id := uint64(0); ; id++ {
		if err := s.SendTimeout(request(id), make([]byte, 4000), 20, nil); err != nil {
			return err
		}
	}
}

func TestSendEndsAtItsDeadline(t *testing.T) {
	client, _ := mustPair(t, generous(4096))
	err := stuff(client)
	wantError(t, err, ErrTimeout)
	if errors.Is(err, ErrSend) {
		t.Errorf("%v looks like a lost connection", err)
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
		})
	}
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

func TestInterruptsAndDeadlinesNeverLoseEachOther(t *testing.T) {
	// An interrupt that falls between a look at the flag and the poller's deadline must
	// not be lost; many tries make it likely to fall there.
	for range 300 {
		client, server := mustPair(t, generous(100))
		result := make(chan error, 2)
		for _, s := range []*Session{client, server} {
			go func() {
				for {
					if _, _, err := s.ReceiveTimeout(nil, 60000, nil); err != nil {
						result <- err
						return
					}
				}
			}()
		}
		var group sync.WaitGroup
		group.Add(2)
		go func() { client.Interrupt(); group.Done() }()
		go func() { server.StopReceiving(); group.Done() }()
		group.Wait()
		for range 2 {
			wantError(t, await(t, "Receive returns", result), ErrAborted)
		}
		client.Close()
		server.Close()
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
