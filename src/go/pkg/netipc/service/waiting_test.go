package service_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/service"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/service/raw"
)

func TestACallThatTakesTooLongTimesOut(t *testing.T) {
	eachCarrier(t, func(t *testing.T, c carrier) {
		dir := runDir(t)
		stuckServerOf(t, dir, c.server())
		client := raw.NewIncrementClient(dir, "increment", c.client())
		connect(t, client)
		began := time.Now()
		_, err := client.CallIncrementWithTimeout(1, 60)
		mustFail(t, err, protocol.ErrTimeout)
		if took := time.Since(began); took < 60*time.Millisecond || took > patience {
			t.Fatalf("took %v", took)
		}
		if s := client.Status(); s.State != service.StateBroken || s.ErrorCount != 1 || s.ReconnectCount != 0 {
			t.Fatalf("status %+v", s)
		}
	})
}

func TestAbortEndsACallFromAnotherGoroutine(t *testing.T) {
	eachCarrier(t, func(t *testing.T, c carrier) {
		dir := runDir(t)
		stuck, asked := stuckServerOf(t, dir, c.server())
		client := raw.NewIncrementClient(dir, "increment", c.client())
		connect(t, client)
		go func() {
			<-asked
			client.Abort()
		}()
		within(t, patience, "abort", func() {
			_, err := client.CallIncrement(1)
			mustFail(t, err, protocol.ErrAborted)
		})
		if s := client.Status(); s.State != service.StateBroken || s.ErrorCount != 1 {
			t.Fatalf("status %+v", s)
		}
		if client.Refresh() {
			t.Fatal("connected while an abort is set")
		}
		client.ClearAbort()
		stuck.now()
		connect(t, client)
		if n, err := client.CallIncrement(1); err != nil || n != 2 {
			t.Fatalf("afterwards: %d, %v", n, err)
		}
	})
}

func TestAnAbortWhileNothingIsOutstandingKeepsTheSession(t *testing.T) {
	eachCarrier(t, func(t *testing.T, c carrier) {
		dir := runDir(t)
		start(t, incrementServer(dir, c.server(), 1))
		client := raw.NewIncrementClient(dir, "increment", c.client())
		connect(t, client)
		client.Abort()
		_, err := client.CallIncrement(1)
		mustFail(t, err, protocol.ErrAborted)
		client.ClearAbort()
		if n, err := client.CallIncrement(1); err != nil || n != 2 {
			t.Fatalf("afterwards: %d, %v", n, err)
		}
		if s := client.Status(); s.ReconnectCount != 0 {
			t.Fatalf("status %+v", s)
		}
	})
}

func TestACancelledContextEndsItsCallOnly(t *testing.T) {
	eachCarrier(t, func(t *testing.T, c carrier) {
		dir := runDir(t)
		config := c.server()
		held := make(chan struct{})
		entered := make(chan struct{}, 10)
		handler := func(r *protocol.CgroupsRequest, b *protocol.CgroupsBuilder) bool {
			entered <- struct{}{}
			<-held
			return true
		}
		start(t, raw.NewServer(dir, "snapshot", config, protocol.MethodCgroupsSnapshot, raw.SnapshotDispatch(handler, 0)))
		t.Cleanup(func() { close(held) })
		kind := service.Kind[uint64, uint64]{
			Name: "snapshot", Method: protocol.MethodCgroupsSnapshot,
			Size: func(uint64) int { return 4 },
			Encode: func(_ uint64, b []byte) (int, error) {
				return copy(b, []byte{1, 0, 0, 0}), nil
			},
			Decode: func([]byte, *uint64) error { return nil },
		}
		client := service.NewClient(kind, dir, "snapshot", service.Config(c.client()))
		connect(t, client)
		ctx, cancel := context.WithCancel(context.Background())
		go func() {
			<-entered
			cancel()
		}()
		_, err := client.CallContext(ctx, 0)
		mustFail(t, err, protocol.ErrAborted)
		mustFail(t, err, context.Canceled)

		connect(t, client)
		ctx, cancel = context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		_, err = client.CallContext(ctx, 0)
		mustFail(t, err, protocol.ErrTimeout)
		mustFail(t, err, context.DeadlineExceeded)
		connect(t, client)
	})
}

func TestAbortsAtAnyTimeDoNoHarm(t *testing.T) {
	eachCarrier(t, func(t *testing.T, c carrier) {
		dir := runDir(t)
		start(t, incrementServer(dir, c.server(), 2))
		client := raw.NewIncrementClient(dir, "increment", c.client())
		connect(t, client)
		ended, storm := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(storm)
			for {
				select {
				case <-ended:
					return
				default:
					client.Abort()
					client.ClearAbort()
					_, _, _ = client.Ready(), client.Status(), client.LastError()
				}
			}
		}()
		for i := range 300 {
			client.Refresh()
			n, err := client.CallIncrement(uint64(i))
			if err == nil && n != uint64(i)+1 || err != nil && !errors.Is(err, protocol.ErrAborted) && !errors.Is(err, protocol.ErrNotReady) {
				t.Errorf("got %d, %v", n, err)
			}
			if i%50 == 49 {
				client.Close()
			}
		}
		close(ended)
		<-storm
		client.ClearAbort()
		connect(t, client)
		if n, err := client.CallIncrement(1); err != nil || n != 2 {
			t.Fatalf("afterwards: %d, %v", n, err)
		}
	})
}

// lossyProvider answers increments in sessions that break at the first request.
func lossyProvider(redial func(context.Context) error) (*provider, *service.Client[uint64, uint64]) {
	p := &provider{method: protocol.MethodIncrement, request: 1024, response: 1024, ceiling: 1024, redial: redial}
	p.responder = raw.IncrementDispatch(increment)
	p.before = func(asked int) error {
		if asked == 1 {
			return io.EOF
		}
		return nil
	}
	client := service.NewClient(raw.IncrementKind, "", "increment", service.Config{})
	client.DialWith(p.dial)
	return p, client
}

func TestTheDeadlineOfACallIncludesConnectingAgain(t *testing.T) {
	p, client := lossyProvider(func(ctx context.Context) error {
		<-ctx.Done()
		return protocol.ErrTimeout
	})
	connect(t, client)
	_, err := client.CallWithTimeout(1, 30)
	mustFail(t, err, protocol.ErrTimeout)
	if s := client.Status(); s.State != service.StateBroken || p.dials != 2 || s.ReconnectCount != 0 {
		t.Fatalf("%d dials, status %+v", p.dials, s)
	}
	p.redial = nil
	connect(t, client)
	if s := client.Status(); s.ConnectCount != 1 || s.ReconnectCount != 1 {
		t.Fatalf("after a refresh: status %+v", s)
	}
}

func TestAnAbortEndsConnectingAgain(t *testing.T) {
	dialing := make(chan struct{})
	_, client := lossyProvider(func(ctx context.Context) error {
		close(dialing)
		<-ctx.Done()
		return protocol.ErrAborted
	})
	connect(t, client)
	go func() {
		<-dialing
		client.Abort()
	}()
	_, err := client.Call(1)
	mustFail(t, err, protocol.ErrAborted)
	if s := client.Status(); s.State != service.StateBroken {
		t.Fatalf("status %+v", s)
	}
}

func TestWhatBrokeTheSessionIsToldIfThereIsNoOther(t *testing.T) {
	refused := errors.New("refused")
	_, client := lossyProvider(func(context.Context) error { return refused })
	connect(t, client)
	_, err := client.Call(1)
	mustFail(t, err, protocol.ErrTruncated)
	mustFail(t, err, io.EOF)
	if errors.Is(err, refused) {
		t.Fatalf("got %v", err)
	}
}

func TestGrowingEnds(t *testing.T) {
	p := &provider{method: protocol.MethodIncrement, request: 1024, response: 1024, ceiling: 1 << 30}
	p.responder = func(_, _ []byte) (int, error) { return 0, protocol.ErrOverflow }
	client := service.NewClient(raw.IncrementKind, "", "increment", service.Config{})
	client.DialWith(p.dial)
	connect(t, client)
	_, err := client.Call(1)
	mustFail(t, err, protocol.ErrOverflow)
	if s := client.Status(); p.asked != 8 || s.State != service.StateBroken {
		t.Fatalf("asked %d times, status %+v", p.asked, s)
	}
}
