package service_test

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/service/raw"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/transport/windows"
)

func TestRunSaysWhyThereIsNoEndpoint(t *testing.T) {
	failing := raw.NewServer(runDir(t), long("x", 300), raw.ServerConfig{}, protocol.MethodIncrement, nil)
	for range 2 {
		if err := failing.Run(); !errors.Is(err, windows.ErrPipeName) {
			t.Fatalf("ran with a name too long: %v", err)
		}
	}
	if !failing.Drain(0) {
		t.Fatal("a server that does not run takes time to drain")
	}
}

func TestASecondServerSaysWhoHasTheEndpoint(t *testing.T) {
	if syscall.NewLazyDLL("ntdll.dll").NewProc("wine_get_version").Find() == nil {
		t.Skip("Wine lets anybody make a first instance of a pipe")
	}
	dir := runDir(t)
	start(t, incrementServer(dir, raw.ServerConfig{}, 1))
	client := raw.NewIncrementClient(dir, "increment", raw.ClientConfig{})
	connect(t, client)
	err := incrementServer(dir, raw.ServerConfig{}, 1).Run()
	if !errors.Is(err, windows.ErrAddrInUse) || !strings.Contains(err.Error(), "-increment") {
		t.Fatalf("second server: %v", err)
	}
	if n, err := client.CallIncrement(1); err != nil || n != 2 {
		t.Fatalf("the first server after it: %d, %v", n, err)
	}
}
