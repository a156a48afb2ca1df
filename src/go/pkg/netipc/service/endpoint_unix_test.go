//go:build unix

package service_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/service/raw"
)

func TestRunSaysWhyThereIsNoEndpoint(t *testing.T) {
	dir := runDir(t)
	start(t, incrementServer(dir, raw.ServerConfig{}, 1))
	client := raw.NewIncrementClient(dir, "increment", raw.ClientConfig{})
	connect(t, client)
	err := incrementServer(dir, raw.ServerConfig{}, 1).Run()
	if err == nil || !strings.Contains(err.Error(), "increment.sock") {
		t.Fatalf("second server: %v", err)
	}
	if n, err := client.CallIncrement(1); err != nil || n != 2 {
		t.Fatalf("the first server after it: %d, %v", n, err)
	}
	failing := incrementServer(filepath.Join(dir, "none"), raw.ServerConfig{}, 1)
	for range 2 {
		if failing.Run() == nil {
			t.Fatal("ran in a directory that does not exist")
		}
	}
	if !failing.Drain(0) {
		t.Fatal("a server that does not run takes time to drain")
	}
}
