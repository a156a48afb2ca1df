package cgroups_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/service/cgroups"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/service/cgroups_snapshot"
)

// These tests use the package just as the samples of the guide do: the same names, the
// same literals, the same order of calls. Where they stop compiling, programs do.

const patience = 10 * time.Second

func runDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "netipc")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// provide runs a server for the rest of the test.
func provide(t testing.TB, dir string, config cgroups.ServerConfig) {
	handler := cgroups.Handler{
		Handle: func(req protocol.CgroupsRequestView, b *protocol.CgroupsBuilder) bool {
			b.SetHeader(1, 42)
			return b.Add(12345, 0, 1, []byte("docker-abc"), []byte("/sys/fs/cgroup/docker/abc")) == nil
		},
	}
	server := cgroups.NewServerWithWorkers(dir, "cgroups-snapshot", config, handler, 4)
	ended := make(chan error, 1)
	go func() { ended <- server.Run() }()
	t.Cleanup(func() {
		server.Stop()
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(patience):
			t.Error("Run has not returned")
		}
	})
}

func TestGuideClient(t *testing.T) {
	runDir := runDir(t)
	provide(t, runDir, cgroups.ServerConfig{
		SupportedProfiles:       protocol.ProfileBaseline,
		MaxRequestBatchItems:    1,
		MaxResponsePayloadBytes: 65536,
		AuthToken:               0xDEADBEEFCAFEBABE,
	})
	answered := func() bool {
		// The sample begins.
		client := cgroups.NewClient(runDir, "cgroups-snapshot", cgroups.ClientConfig{
			SupportedProfiles:       protocol.ProfileBaseline,
			MaxRequestBatchItems:    1,
			MaxResponsePayloadBytes: 65536,
			AuthToken:               0xDEADBEEFCAFEBABE,
		})
		defer client.Close()

		client.Refresh()
		if client.Ready() {
			view, err := client.CallSnapshot()
			if err == nil {
				for i := uint32(0); i < view.ItemCount; i++ {
					item, _ := view.Item(i)
					_ = item // use item.Hash, item.Name, item.Path
				}
			}
			// The sample ends.
			item, itemErr := view.Item(0)
			if err != nil || itemErr != nil || item.Hash != 12345 || item.Name.String() != "docker-abc" || fmt.Sprint(item.Path) != "/sys/fs/cgroup/docker/abc" {
				t.Fatalf("%+v, %v, %v", item, err, itemErr)
			}
			return true
		}
		return false
	}
	eventually(t, "the service answers", answered)
}

func TestGuideServer(t *testing.T) {
	// The sample begins.
	handler := cgroups.Handler{
		Handle: func(req protocol.CgroupsRequestView, b *protocol.CgroupsBuilder) bool {
			b.Add(12345, 0, 1, []byte("docker-abc"), []byte("/sys/fs/cgroup/docker/abc"))
			return true
		},
	}
	server := cgroups.NewServerWithWorkers(runDir(t), "cgroups-snapshot",
		cgroups.ServerConfig{ /* ... */ }, handler, 4)
	go server.Run()
	// ... when done:
	server.Stop()
	// The sample ends: the goroutine may begin only now, and must end all the same.
	ended := make(chan error, 1)
	go func() { ended <- server.Run() }()
	select {
	case <-ended:
	case <-time.After(patience):
		t.Fatal("Run has not returned")
	}
}

func TestGuideCache(t *testing.T) {
	runDir := runDir(t)
	provide(t, runDir, cgroups.ServerConfig{ /* ... */ })
	hash := uint32(12345)
	config := cgroups.ClientConfig{}
	found := func() bool {
		// The sample begins.
		cache := cgroups.NewCache(runDir, "cgroups-snapshot", config)
		defer cache.Close()

		if cache.Refresh() {
			if item, ok := cache.Lookup(hash, "docker-abc"); ok {
				said := fmt.Sprintf("name=%s path=%s\n", item.Name, item.Path)
				// The sample ends.
				if said != "name=docker-abc path=/sys/fs/cgroup/docker/abc\n" {
					t.Fatal(said)
				}
				return true
			}
		}
		return false
	}
	eventually(t, "the cache is filled", found)
}

func TestLaterGuideWithGuards(t *testing.T) {
	runDir := runDir(t)
	provide(t, runDir, cgroups_snapshot.ServerConfig{MaxRequestPayloadBytes: 4096})
	cache := cgroups_snapshot.NewCache(runDir, "cgroups-snapshot", cgroups_snapshot.ClientConfig{
		SupportedProfiles:       protocol.ProfileBaseline | protocol.ProfileSHMHybrid,
		PreferredProfiles:       protocol.ProfileSHMHybrid,
		MaxRequestPayloadBytes:  4096,
		MaxResponsePayloadBytes: 65536,
		CallTimeoutMs:           5000,
	})
	defer cache.Close()
	eventually(t, "the cache is filled", cache.Refresh)
	guard := cache.ReadLock()
	var kept cgroups_snapshot.CacheItem
	if item := guard.Get(12345, "docker-abc"); item != nil {
		kept = guard.Dup(item)
	}
	guard.Unlock()
	if kept.Path != "/sys/fs/cgroup/docker/abc" {
		t.Fatalf("%+v", kept)
	}
	if status := cache.Status(); !status.Populated || status.Generation != 42 || status.ConnectionState != cgroups_snapshot.StateReady {
		t.Fatalf("%+v", status)
	}
}

func TestBothNamesOfTheHandlerCompile(t *testing.T) {
	// Programs name the request's type in either way.
	var _ cgroups.SnapshotHandler = func(*protocol.CgroupsRequest, *protocol.CgroupsBuilder) bool { return true }
	var _ cgroups.SnapshotHandler = func(protocol.CgroupsRequestView, *protocol.CgroupsBuilder) bool { return true }
	var _ func(string, string, cgroups.ClientConfig) *cgroups_snapshot.Client = cgroups.NewClient
	var _ cgroups.ClientConfig = cgroups_snapshot.ClientConfig{}
	if cgroups.StateReady != 2 || cgroups.StateBroken != 6 || cgroups.StateNotFound != 3 {
		t.Fatal("states have other numbers")
	}
}

func eventually(t *testing.T, what string, happened func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !happened() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v", what, patience)
		}
		time.Sleep(time.Millisecond)
	}
}
