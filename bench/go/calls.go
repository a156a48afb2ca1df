package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/service"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/service/apps_lookup"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/service/cgroups_lookup"
	snapshot "github.com/netdata/plugin-ipc/go/pkg/netipc/service/cgroups_snapshot"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/service/raw"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/transport/posix"
)

func serveIncrement(b *bench) error {
	next := raw.IncrementDispatch(func(n uint64) (uint64, bool) { return n + 1, true })
	config := raw.ServerConfig(b.config())
	return run(b, raw.NewServerWithWorkers(b.dir, b.service, config, protocol.MethodIncrement, next, b.workers))
}

func callIncrement(b *bench) error {
	step, err := b.increments()
	if err != nil {
		return err
	}
	return b.measure(step)
}

// increments makes a session, and returns what makes a call on it.
func (b *bench) increments() (func() error, error) {
	client := service.NewClient(raw.IncrementKind, b.dir, b.service, b.config())
	if err := b.connect(&client.Connection); err != nil {
		return nil, err
	}
	number := uint64(0)
	return func() error {
		next, err := client.Call(number)
		if err != nil {
			return err
		}
		if *next != number+1 {
			return fmt.Errorf("%d was answered with %d", number, *next)
		}
		number = *next
		return nil
	}, nil
}

func callSessions(b *bench) error {
	calls := make([]func() error, b.sessions)
	for i := range calls {
		var err error
		if calls[i], err = b.increments(); err != nil {
			return err
		}
	}
	var steps []func() error
	share := (b.sessions + b.threads - 1) / b.threads
	for own := range slices.Chunk(calls, share) {
		turn := 0
		steps = append(steps, func() error {
			call := own[turn]
			if turn++; turn == len(own) {
				turn = 0
			}
			return call()
		})
	}
	return b.measureAll(1, steps...)
}

func callPipeline(b *bench) error {
	config := b.config()
	link, err := posix.Dial(context.Background(), b.dir, b.service, &posix.ClientConfig{
		SupportedProfiles: config.SupportedProfiles, PreferredProfiles: config.PreferredProfiles,
	})
	if err != nil {
		return err
	}
	if selected := link.Session().SelectedProfile; selected != b.profile {
		return fmt.Errorf("the session has profile %#x", selected)
	}
	const patience = 10 * time.Second // longer than any message of a server that lives
	sent, received := uint64(0), uint64(0)
	ask := func() error {
		sent++
		var payload [8]byte
		binary.NativeEndian.PutUint64(payload[:], sent)
		h := protocol.Header{Kind: protocol.KindRequest, Code: protocol.MethodIncrement, ItemCount: 1, MessageID: sent}
		return link.Send(&h, payload[:], time.Now().Add(patience))
	}
	for range b.depth - 1 {
		if err := ask(); err != nil {
			return err
		}
	}
	return b.measure(func() error {
		if err := ask(); err != nil {
			return err
		}
		received++
		h, payload, err := link.Receive(time.Now().Add(patience))
		if err != nil {
			return err
		}
		if h.MessageID != received || h.TransportStatus != protocol.StatusOK || len(payload) < 8 ||
			binary.NativeEndian.Uint64(payload) != received+1 {
			return fmt.Errorf("%d was answered with %+v %x", received, h, payload)
		}
		return nil
	})
}

func serveSnapshot(b *bench) error {
	all := cgroups(b.items)
	var generation atomic.Uint64
	handle := func(_ *protocol.CgroupsRequest, reply *protocol.CgroupsBuilder) bool {
		// Another one each time, so that no cache may keep what it has.
		reply.SetHeader(1, generation.Add(1))
		for i := range all {
			if reply.Add(all[i].hash, 0, 1, all[i].name, all[i].path) != nil {
				return false
			}
		}
		return true
	}
	handler := snapshot.Handler{Handle: handle, SnapshotMaxItems: b.items}
	config := snapshot.ServerConfig(b.config())
	return run(b, snapshot.NewServerWithWorkers(b.dir, b.service, config, handler, b.workers))
}

func callSnapshot(b *bench) error {
	// A cache does not say what carries its messages; a client with the same configuration does.
	client := snapshot.NewClient(b.dir, b.service, snapshot.ClientConfig(b.config()))
	if err := b.connect(&client.Connection); err != nil {
		return err
	}
	client.Close()
	cache := snapshot.NewCache(b.dir, b.service, snapshot.ClientConfig(b.config()))
	all := cgroups(b.items)
	last := &all[len(all)-1]
	name := string(last.name)
	return b.measure(func() error {
		if !cache.Refresh() {
			return cache.LastError()
		}
		if _, ok := cache.Lookup(last.hash, name); !ok {
			return fmt.Errorf("%s is missing", name)
		}
		return nil
	})
}

// lookupsPerStep is how many lookups a step makes: one alone is as short as reading the clock.
const lookupsPerStep = 256

func callCache(b *bench) error {
	cache := snapshot.NewCache(b.dir, b.service, snapshot.ClientConfig(b.config()))
	if !cache.Refresh() {
		return cache.LastError()
	}
	type key struct {
		hash uint32
		name string
	}
	all := cgroups(b.items)
	keys := make([]key, len(all))
	for i := range all {
		keys[i] = key{all[i].hash, string(all[i].name)}
	}
	shuffle(keys)
	steps := make([]func() error, b.threads)
	for thread := range steps {
		next := thread * len(keys) / b.threads
		steps[thread] = func() error {
			// Those of all threads lie in one cache line, so it is written once a step.
			at := next
			for range lookupsPerStep {
				key := &keys[at]
				if at++; at == len(keys) {
					at = 0
				}
				if _, ok := cache.Lookup(key.hash, key.name); !ok {
					return fmt.Errorf("%s is missing", key.name)
				}
			}
			next = at
			return nil
		}
	}
	return b.measureAll(lookupsPerStep, steps...)
}

// shuffle brings all into an order without pattern, always the same.
func shuffle[T any](all []T) {
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
}

func serveCgroups(b *bench) error {
	all := cgroups(b.items)
	handle := func(asked *protocol.CgroupsLookupRequestView, reply *protocol.CgroupsLookupBuilder) bool {
		reply.SetGeneration(7)
		for at := range asked.ItemCount {
			path, err := asked.Item(at)
			if err != nil {
				return false
			}
			if i := indexOf(path.Bytes()); i < len(all) {
				err = reply.AddRequestItem(asked, at, protocol.CgroupLookupKnown,
					protocol.OrchestratorSystemd, all[i].name, all[i].labels)
			} else {
				err = reply.AddRequestItem(asked, at, protocol.CgroupLookupUnknownPermanent, 0, nil, nil)
			}
			if err != nil {
				return false
			}
		}
		return true
	}
	config := cgroups_lookup.ServerConfig(b.config())
	handler := cgroups_lookup.Handler{Handle: handle}
	return run(b, cgroups_lookup.NewServerWithWorkers(b.dir, b.service, config, handler, b.workers))
}

func callCgroups(b *bench) error {
	client := cgroups_lookup.NewClient(b.dir, b.service, cgroups_lookup.ClientConfig(b.config()))
	if err := b.connect(&client.Connection); err != nil {
		return err
	}
	all := cgroups(b.items)
	keys := make([][]byte, len(all))
	for i := range all {
		keys[i] = all[i].path
	}
	return b.measure(func() error {
		found, err := client.Call(keys)
		if err != nil {
			return err
		}
		for i := range found.ItemCount {
			item, err := found.Item(i)
			if err != nil {
				return err
			}
			if item.Status != protocol.CgroupLookupKnown {
				return fmt.Errorf("item %d is missing", i)
			}
		}
		return nil
	})
}

func serveApps(b *bench) error {
	all := processes(b.items)
	handle := func(asked *protocol.AppsLookupRequestView, reply *protocol.AppsLookupBuilder) bool {
		reply.SetGeneration(7)
		for at := range asked.ItemCount {
			pid, err := asked.Item(at)
			if err != nil {
				return false
			}
			if i := pid - 1; i < b.items { // pid 0 is beyond them all
				p := &all[i]
				err = reply.Add(protocol.PidLookupKnown, protocol.AppsCgroupKnown,
					protocol.OrchestratorSystemd, pid, 1, 1000, uint64(pid), p.comm, p.path, p.name, nil)
			} else {
				err = reply.Add(protocol.PidLookupUnknown, 0, 0, pid, 0, protocol.NipcUIDUnset, 0,
					nil, nil, nil, nil)
			}
			if err != nil {
				return false
			}
		}
		return true
	}
	config := apps_lookup.ServerConfig(b.config())
	handler := apps_lookup.Handler{Handle: handle}
	return run(b, apps_lookup.NewServerWithWorkers(b.dir, b.service, config, handler, b.workers))
}

func callApps(b *bench) error {
	client := apps_lookup.NewClient(b.dir, b.service, apps_lookup.ClientConfig(b.config()))
	if err := b.connect(&client.Connection); err != nil {
		return err
	}
	pids := make([]uint32, b.items)
	for i := range pids {
		pids[i] = uint32(i) + 1
	}
	return b.measure(func() error {
		found, err := client.Call(pids)
		if err != nil {
			return err
		}
		for i := range found.ItemCount {
			item, err := found.Item(i)
			if err != nil {
				return err
			}
			if item.Status != protocol.PidLookupKnown {
				return fmt.Errorf("item %d is missing", i)
			}
		}
		return nil
	})
}

// ---- What is served: the same as by the peer in Rust ----

type cgroup struct {
	hash       uint32
	name, path []byte
	labels     []protocol.LookupLabel
}

func cgroups(count uint32) []cgroup {
	all := make([]cgroup, count)
	for i := range all {
		name := fmt.Appendf(nil, "unit-%06d.service", i)
		all[i] = cgroup{
			hash: djb2(name), name: name, path: append([]byte("/system.slice/"), name...),
			labels: []protocol.LookupLabel{
				{Key: []byte("image"), Value: fmt.Appendf(nil, "registry/app-%03d", i%1000)},
				{Key: []byte("team"), Value: []byte("core")},
			},
		}
	}
	return all
}

type process struct{ comm, path, name []byte }

func processes(count uint32) []process {
	all := make([]process, count)
	for i := range all {
		all[i] = process{
			comm: fmt.Appendf(nil, "worker-%03d", i%1000),
			path: fmt.Appendf(nil, "/system.slice/unit-%06d.service", i),
			name: fmt.Appendf(nil, "unit-%06d", i),
		}
	}
	return all
}

// indexOf returns the index of the cgroup at path, or one beyond all.
func indexOf(path []byte) int {
	const none, digits = 1 << 30, 6
	end := len(path) - len(".service")
	if end < digits {
		return none
	}
	index := 0
	for _, digit := range path[end-digits : end] {
		if digit < '0' || digit > '9' {
			return none
		}
		index = index*10 + int(digit-'0')
	}
	return index
}

func djb2(name []byte) uint32 {
	hash := uint32(5381)
	for _, c := range name {
		hash = hash*33 + uint32(c)
	}
	return hash
}
