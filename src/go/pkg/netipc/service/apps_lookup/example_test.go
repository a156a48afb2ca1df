package apps_lookup_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/service/apps_lookup"
)

// Example asks a service for two processes, under a context.
func Example() {
	runDir, _ := os.MkdirTemp("", "netipc")
	defer os.RemoveAll(runDir)

	server := apps_lookup.NewServer(runDir, "apps-lookup", apps_lookup.ServerConfig{}, apps_lookup.Handler{
		Handle: func(req *protocol.AppsLookupRequestView, b *protocol.AppsLookupBuilder) bool {
			for i := range req.ItemCount {
				pid, err := req.Item(i)
				if err != nil {
					return false
				}
				if pid == 1 {
					err = b.Add(protocol.PidLookupKnown, protocol.AppsCgroupKnown, protocol.OrchestratorSystemd,
						1, 0, 0, 77, []byte("init"), []byte("/init.scope"), []byte("init"), nil)
				} else {
					err = b.Add(protocol.PidLookupUnknown, 0, 0, pid, 0, protocol.NipcUIDUnset, 0, nil, nil, nil, nil)
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

	client := apps_lookup.NewClient(runDir, "apps-lookup", apps_lookup.ClientConfig{})
	defer client.Close()
	for client.Refresh(); !client.Ready(); client.Refresh() {
		time.Sleep(10 * time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	view, err := client.CallContext(ctx, []uint32{1, 4711})
	if err != nil {
		fmt.Println(err)
		return
	}
	for i := range view.ItemCount {
		if item, err := view.Item(i); err == nil {
			fmt.Printf("%d known %v %q %q\n", item.Pid, item.Status == protocol.PidLookupKnown, item.Comm, item.CgroupPath)
		}
	}
	cancel()
	_, err = client.CallContext(ctx, []uint32{1})
	fmt.Println(errors.Is(err, protocol.ErrAborted), errors.Is(err, context.Canceled))
	// Output:
	// 1 known true "init" "/init.scope"
	// 4711 known false "" ""
	// true true
}
