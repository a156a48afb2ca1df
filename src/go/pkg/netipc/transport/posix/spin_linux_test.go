package posix

import (
	"testing"
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/carrier"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/session"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/spin"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

// learns makes calls until the spinner that waits for their answers finds that looking
// pays; false if it does not in so many.
func learns(t testing.TB, calls int, s *spin.Spinner, call func(id uint64) error) bool {
	t.Helper()
	for id := range uint64(calls) {
		noError(t, call(id))
		if s.Pays() {
			return true
		}
	}
	return false
}

// Whether waits are short depends on the machine: there are many chances.
const manyCalls, someCalls = 2_000_000, 1000

func TestASocketIsLookedAtIfThatPaysUnlessItIsSwitchedOff(t *testing.T) {
	dial := func(config ClientConfig) (*Link, func(uint64) error) {
		profiles := uint32(protocol.ProfileBaseline)
		config.SupportedProfiles = profiles
		l := mustListen(t, shortDir(t), ServerConfig{SupportedProfiles: profiles, Spin: -1})
		client, server := mustLink(t, l, &config)
		ended := make(chan bool, 1)
		go func() {
			for {
				h, _, err := server.Receive(time.Time{})
				if err != nil || server.Send(response(h.MessageID), nil, time.Time{}) != nil {
					ended <- server.conn.in.spinner != spin.New(-1) // which learns nothing
					return
				}
			}
		}()
		t.Cleanup(func() {
			client.Close()
			if await(t, "the server ends", ended) {
				t.Error("the server learns to look, which is switched off")
			}
		})
		return client, func(id uint64) error {
			if err := client.Send(request(id), nil, time.Time{}); err != nil {
				return err
			}
			_, _, err := client.Receive(time.Time{})
			return err
		}
	}
	client, call := dial(ClientConfig{})
	if !learns(t, manyCalls, &client.conn.in.spinner, call) {
		t.Error("it never looks")
	}
	client, call = dial(ClientConfig{Spin: -1})
	if learns(t, someCalls, &client.conn.in.spinner, call) {
		t.Error("it looks, which is switched off")
	}
}

func TestALinkLooksAtSharedMemoryIfThatPaysUnlessItIsSwitchedOff(t *testing.T) {
	attach := func(limit time.Duration) (region, func(uint64) error) {
		client, server := mustShare(t, 100, 100)
		go func() {
			for buf := make([]byte, 100); ; {
				n, err := server.ShmReceive(buf, 0)
				if err != nil || server.ShmSend(buf[:n]) != nil {
					return
				}
			}
		}()
		r := regions{spin: limit}.region(client)
		return r, func(uint64) error {
			if err := r.Send([]byte("x"), nil, time.Time{}); err != nil {
				return err
			}
			_, err := r.Next(time.Time{})
			return err
		}
	}
	r, call := attach(0)
	if !learns(t, manyCalls, &r.spinner, call) {
		t.Error("it never looks")
	}
	r, call = attach(-1)
	if learns(t, someCalls, &r.spinner, call) {
		t.Error("it looks, which is switched off")
	}
}

func TestRingsAreLookedAtIfThatPaysUnlessItIsSwitchedOff(t *testing.T) {
	join := func(limit time.Duration) (*ringEnd, func(uint64) error) {
		a, b := mustPair(t, generous(4096))
		agreed := session.Agreement{MaxRequestPayloadBytes: 100, MaxResponsePayloadBytes: 100}
		b.conn.awaitHanded()
		server, err := rings{-1}.Make(a.conn, &agreed)
		noError(t, err)
		t.Cleanup(server.Close)
		noError(t, a.conn.Send([]byte("x"), nil, soon()))
		_, err = carrier.ReceiveHandshake(b.conn, soon())
		noError(t, err)
		client, err := rings{limit}.Open(b.conn, &agreed)
		noError(t, err)
		t.Cleanup(client.Close)
		go func() {
			for buf := make([]byte, 32); ; {
				if _, err := server.Next(time.Time{}); err != nil {
					return
				}
				if server.CopyOut(buf) != nil || server.Send(buf, nil, time.Time{}) != nil {
					return
				}
			}
		}()
		message := make([]byte, 32)
		return client.(*ringEnd), func(uint64) error {
			if err := client.Send(message, nil, time.Time{}); err != nil {
				return err
			}
			if _, err := client.Next(time.Time{}); err != nil {
				return err
			}
			return client.CopyOut(message)
		}
	}
	e, call := join(0)
	if !learns(t, manyCalls, &e.spinner, call) {
		t.Error("it never looks")
	}
	e, call = join(-1)
	if learns(t, someCalls, &e.spinner, call) {
		t.Error("it looks, which is switched off")
	}
}
