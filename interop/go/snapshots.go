package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
	snapshot "github.com/netdata/plugin-ipc/go/pkg/netipc/service/cgroups_snapshot"
)

// Snapshots of cgroups: asked for, kept, asked for across a restart and without shared memory.

func serveSnapshots(m *meeting) error {
	handle := func(_ *protocol.CgroupsRequest, reply *protocol.CgroupsBuilder) bool {
		reply.SetHeader(1, m.generation)
		for i := range m.items {
			c := memberAt(i)
			if reply.Add(c.hash, c.options, c.enabled, []byte(c.name), []byte(c.path)) != nil {
				return false
			}
		}
		return true
	}
	config := snapshot.ServerConfig(m.config())
	return run(m, snapshot.NewServer(m.dir, m.service, config, snapshot.Handler{Handle: handle}))
}

// askSnapshot asks once.
func askSnapshot(m *meeting) error {
	client := snapshot.NewClient(m.dir, m.service, snapshot.ClientConfig(m.config()))
	defer client.Close()
	if err := m.connect(&client.Connection); err != nil {
		return err
	}
	return expectSnapshot(client, m.items, 1)
}

// surviveRestart asks, lets the server be replaced, and asks its successor without connecting first.
func surviveRestart(m *meeting) error {
	client := snapshot.NewClient(m.dir, m.service, snapshot.ClientConfig(m.config()))
	defer client.Close()
	if err := m.connect(&client.Connection); err != nil {
		return err
	}
	if err := expectSnapshot(client, m.items, 1); err != nil {
		return fmt.Errorf("before the restart: %w", err)
	}
	fmt.Println("NEXT")
	if !bufio.NewScanner(os.Stdin).Scan() {
		return errors.New("nobody said GO")
	}
	if err := expectSnapshot(client, m.items, 2); err != nil {
		return fmt.Errorf("after the restart: %w", err)
	}
	if n := client.Status().ReconnectCount; n != 1 {
		return fmt.Errorf("connected again %d times", n)
	}
	return nil
}

// keepSnapshot keeps a copy and looks things up in it.
func keepSnapshot(m *meeting) error {
	cache := snapshot.NewCache(m.dir, m.service, snapshot.ClientConfig(m.config()))
	defer cache.Close()
	for range 2 {
		if !cache.Refresh() {
			return fmt.Errorf("refresh: %w", cache.LastError())
		}
		if status := cache.Status(); status.ItemCount != m.items || status.Generation != 1 {
			return fmt.Errorf("%d items of generation %d are kept", status.ItemCount, status.Generation)
		}
		for i := range m.items {
			c := memberAt(i)
			wanted := snapshot.CacheItem{
				Hash: c.hash, Options: c.options, Enabled: c.enabled, Name: c.name, Path: c.path,
			}
			if found, ok := cache.Lookup(c.hash, c.name); !ok || found != wanted {
				return fmt.Errorf("%s leads to %v", c.name, found)
			}
			if found, ok := cache.Lookup(c.hash+1, c.name); ok {
				return fmt.Errorf("another hash leads to %v", found)
			}
		}
	}
	return nil
}

func expectSnapshot(client *snapshot.Client, items uint32, generation uint64) error {
	view, err := client.CallSnapshot()
	if err != nil {
		return err
	}
	if view.Generation != generation || view.SystemdEnabled != 1 || view.ItemCount != items {
		return fmt.Errorf("%d items of generation %d, systemd_enabled %d",
			view.ItemCount, view.Generation, view.SystemdEnabled)
	}
	for i := range items {
		item, err := view.Item(i)
		if err != nil {
			return err
		}
		found := member{
			item.Hash, item.Options, item.Enabled, item.Name.String(), item.Path.String(),
		}
		if found != memberAt(i) {
			return fmt.Errorf("item %d is %+v", i, found)
		}
	}
	return nil
}
