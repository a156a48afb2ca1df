package cgroups_snapshot_test

import (
	"fmt"
	"os"
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/service/cgroups_snapshot"
)

// serve provides two cgroups until the function it returns is called.
func serve(runDir string) (stop func()) {
	server := cgroups_snapshot.NewServer(runDir, "cgroups-snapshot", cgroups_snapshot.ServerConfig{}, cgroups_snapshot.Handler{
		Handle: func(_ *protocol.CgroupsRequest, b *protocol.CgroupsBuilder) bool {
			b.SetHeader(1, 7)
			_ = b.Add(1, 0, 1, []byte("docker-web"), []byte("/docker/web")) // an overflow is noticed without our help
			_ = b.Add(2, 0, 1, []byte("systemd_nginx"), []byte("/system.slice/nginx.service"))
			return true
		},
	})
	ended := make(chan error, 1)
	go func() { ended <- server.Run() }()
	return func() {
		server.Drain(5 * time.Second)
		if err := <-ended; err != nil {
			fmt.Println(err)
		}
	}
}

// until calls refresh as a program does from time to time, until it succeeds.
func until(refresh func() bool) {
	for range 1000 {
		if refresh() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func ExampleClient() {
	runDir, _ := os.MkdirTemp("", "netipc")
	defer os.RemoveAll(runDir)
	defer serve(runDir)()

	client := cgroups_snapshot.NewClient(runDir, "cgroups-snapshot", cgroups_snapshot.ClientConfig{
		SupportedProfiles: protocol.ProfileBaseline | protocol.ProfileSHMHybrid,
		PreferredProfiles: protocol.ProfileSHMHybrid,
	})
	defer client.Close()

	// The service may not be there yet, or may restart: refresh from time to time.
	until(func() bool { client.Refresh(); return client.Ready() })

	snapshot, err := client.CallSnapshot()
	if err != nil {
		fmt.Println(err)
		return
	}
	for i := range snapshot.ItemCount {
		item, err := snapshot.Item(i)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(item.Hash, item.Name, item.Path) // valid until the next call
	}
	// Output:
	// 1 docker-web /docker/web
	// 2 systemd_nginx /system.slice/nginx.service
}

func ExampleCache() {
	runDir, _ := os.MkdirTemp("", "netipc")
	defer os.RemoveAll(runDir)
	stop := serve(runDir)

	cache := cgroups_snapshot.NewCache(runDir, "cgroups-snapshot", cgroups_snapshot.ClientConfig{})
	defer cache.Close()
	until(cache.Refresh)
	stop()

	// The service is gone; what it said stays.
	fmt.Println(cache.Refresh())
	if item, ok := cache.Lookup(2, "systemd_nginx"); ok {
		fmt.Println(item.Path)
	}
	for item := range cache.All() {
		fmt.Println(item.Name)
	}
	// Output:
	// false
	// /system.slice/nginx.service
	// docker-web
	// systemd_nginx
}

func ExampleServer() {
	runDir, _ := os.MkdirTemp("", "netipc")
	defer os.RemoveAll(runDir)

	server := cgroups_snapshot.NewServerWithWorkers(runDir, "cgroups-snapshot", cgroups_snapshot.ServerConfig{AuthToken: 1}, cgroups_snapshot.Handler{
		Handle: func(_ *protocol.CgroupsRequest, b *protocol.CgroupsBuilder) bool {
			return b.Add(1, 0, 1, []byte("docker-web"), []byte("/docker/web")) == nil
		},
	}, 4)
	server.OnError(func(err error) { fmt.Println("told:", err) }) // of clients we cannot serve
	ended := make(chan error)
	go func() { ended <- server.Run() }()

	fmt.Println("no session was cut off:", server.Drain(5*time.Second))
	fmt.Println("run:", <-ended)
	// Output:
	// no session was cut off: true
	// run: <nil>
}
