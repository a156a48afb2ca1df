package service_test

import (
	"sync/atomic"
	"testing"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/service"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/service/raw"
)

func TestGrowsUntilTheMessagesFit(t *testing.T) {
	eachCarrier(t, func(t *testing.T, c carrier) {
		dir := runDir(t)
		config := c.server()
		handler := raw.StringReverseDispatch(func(s string) (string, bool) { return reverse(s), true })
		start(t, raw.NewServer(dir, "reverse", config, protocol.MethodStringReverse, handler))
		client := raw.NewStringReverseClient(dir, "reverse", c.client())
		connect(t, client)
		for _, size := range []int{10, 5000, 70000, 300000, 1<<20 - 100} {
			s := long("abc", size/3)
			view, err := client.CallStringReverse(s)
			if err != nil {
				t.Fatalf("%d bytes: %v", size, err)
			}
			if view.Str != reverse(s) {
				t.Fatalf("%d bytes: wrong answer", size)
			}
		}
		_, err := client.CallStringReverse(long("x", 1<<20))
		mustFail(t, err, protocol.ErrOverflow)
		client.Refresh()
		if view, err := client.CallStringReverse("again"); err != nil || view.Str != "niaga" {
			t.Fatalf("after an overflow: %v", err)
		}
	})
}

func TestALargerResponseThanTheServerAllowsIsAnOverflow(t *testing.T) {
	dir := runDir(t)
	var asked atomic.Int32
	handler := raw.StringReverseDispatch(func(string) (string, bool) {
		asked.Add(1)
		return long("x", 5000), true
	})
	start(t, raw.NewServer(dir, "reverse", raw.ServerConfig{MaxResponsePayloadBytes: 4096}, protocol.MethodStringReverse, handler))
	client := raw.NewStringReverseClient(dir, "reverse", raw.ClientConfig{MaxResponsePayloadBytes: 1 << 20})
	connect(t, client)
	_, err := client.CallStringReverse("x")
	mustFail(t, err, protocol.ErrOverflow)
	if s := client.Status(); s.State != service.StateBroken || s.ErrorCount != 1 {
		t.Fatalf("status %+v", s)
	}
	if asked.Load() > 8 {
		t.Fatalf("asked %d times", asked.Load())
	}
}

func TestARefusedLargerLimitLeavesTheClientConnectable(t *testing.T) {
	dir := runDir(t)
	handler := raw.StringReverseDispatch(func(s string) (string, bool) { return reverse(s), true })
	start(t, raw.NewServer(dir, "reverse", raw.ServerConfig{MaxRequestPayloadBytes: 2048}, protocol.MethodStringReverse, handler))
	client := raw.NewStringReverseClient(dir, "reverse", raw.ClientConfig{})
	connect(t, client)
	if _, err := client.CallStringReverse(long("x", 1500)); err != nil {
		t.Fatal(err)
	}
	_, err := client.CallStringReverse(long("x", 3000))
	mustFail(t, err, protocol.ErrOverflow)
	client.Refresh()
	if view, err := client.CallStringReverse("abc"); err != nil || view.Str != "cba" {
		t.Fatalf("afterwards: %v", err)
	}
}
