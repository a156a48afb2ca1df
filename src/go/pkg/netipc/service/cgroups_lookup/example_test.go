package cgroups_lookup_test

import (
	"fmt"
	"os"
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/service/cgroups_lookup"
)

// Example asks a service for the cgroups of three paths.
func Example() {
	runDir, _ := os.MkdirTemp("", "netipc")
	defer os.RemoveAll(runDir)

	names := map[string]string{"/docker/abc": "web", "/docker/def": "db"}
	server := cgroups_lookup.NewServer(runDir, "cgroups-lookup", cgroups_lookup.ServerConfig{}, cgroups_lookup.Handler{
		Handle: func(req *protocol.CgroupsLookupRequestView, b *protocol.CgroupsLookupBuilder) bool {
			b.SetGeneration(1)
			for i := range req.ItemCount {
				path, err := req.Item(i)
				if err != nil {
					return false
				}
				if name, ok := names[path.String()]; ok {
					labels := []protocol.LookupLabel{{Key: []byte("image"), Value: []byte("nginx:1")}}
					err = b.AddRequestItem(req, i, protocol.CgroupLookupKnown, protocol.OrchestratorDocker, []byte(name), labels)
				} else {
					err = b.AddRequestItem(req, i, protocol.CgroupLookupUnknownPermanent, 0, nil, nil)
				}
				if err != nil {
					return false
				}
			}
			return true
		},
	})
	go server.Run()
	defer server.Drain(5 * time.Second)

	client := cgroups_lookup.NewClient(runDir, "cgroups-lookup", cgroups_lookup.ClientConfig{})
	defer client.Close()
	for client.Refresh(); !client.Ready(); client.Refresh() {
		time.Sleep(10 * time.Millisecond)
	}
	// As many paths as there are: the client asks in parts if it must.
	view, err := client.CallWithTimeout([][]byte{[]byte("/docker/abc"), []byte("/nobody"), []byte("/docker/def")}, 5000)
	if err != nil {
		fmt.Println(err)
		return
	}
	for i := range view.ItemCount {
		item, err := view.Item(i)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s status %d name %q", item.Path, item.Status, item.Name)
		for l := range uint32(item.LabelCount) {
			if label, err := item.Label(l); err == nil {
				fmt.Print(" ", label.Key, "=", label.Value)
			}
		}
		fmt.Println()
	}
	// Output:
	// /docker/abc status 0 name "web" image=nginx:1
	// /nobody status 2 name ""
	// /docker/def status 0 name "db" image=nginx:1
}
