package main

import (
	"fmt"
	"sync/atomic"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/service/apps_lookup"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/service/cgroups_lookup"
)

// Lookups of many keys with little room for the answers.

func serveCgroups(m *meeting) error {
	var requests atomic.Uint64
	handle := func(asked *protocol.CgroupsLookupRequestView, reply *protocol.CgroupsLookupBuilder) bool {
		requests.Add(1)
		reply.SetGeneration(m.generation)
		for index := range asked.ItemCount {
			path, err := asked.Item(index)
			if err != nil {
				return false
			}
			answer := cgroupAnswer{status: protocol.CgroupLookupUnknownPermanent}
			if i, ok := indexOf(path.String()); ok {
				answer = cgroupAt(i, m.responseBytes)
			}
			err = reply.AddRequestItem(asked, index, answer.status, answer.orchestrator,
				[]byte(answer.name), answer.labels)
			if err != nil {
				return false
			}
		}
		return true
	}
	config := cgroups_lookup.ServerConfig(m.config())
	config.MaxResponsePayloadBytes = m.responseBytes
	handler := cgroups_lookup.Handler{Handle: handle}
	err := run(m, cgroups_lookup.NewServer(m.dir, m.service, config, handler))
	fmt.Printf("requests=%d\n", requests.Load())
	return err
}

func askCgroups(m *meeting) error {
	client := cgroups_lookup.NewClient(m.dir, m.service, cgroups_lookup.ClientConfig(m.config()))
	defer client.Close()
	if err := m.connect(&client.Connection); err != nil {
		return err
	}
	keys := make([][]byte, m.keys)
	for i := range keys {
		keys[i] = []byte(pathAt(uint32(i)))
	}
	view, err := client.Call(keys)
	if err != nil {
		return err
	}
	if view.ItemCount != m.keys || view.Generation != m.generation {
		return fmt.Errorf("%d items of generation %d", view.ItemCount, view.Generation)
	}
	for i := range m.keys {
		item, err := view.Item(i)
		if err != nil {
			return err
		}
		wanted := cgroupAt(i, 0)
		if i == oversized {
			wanted = cgroupAnswer{status: protocol.CgroupLookupOversizedItem}
		}
		if item.Path.String() != pathAt(i) || item.Status != wanted.status ||
			item.Orchestrator != wanted.orchestrator || item.Name.String() != wanted.name {
			return fmt.Errorf("item %d is %+v", i, item)
		}
		if err := expectLabels(wanted.labels, uint32(item.LabelCount), item.Label); err != nil {
			return fmt.Errorf("item %d: %w", i, err)
		}
	}
	return nil
}

func serveApps(m *meeting) error {
	var requests atomic.Uint64
	handle := func(asked *protocol.AppsLookupRequestView, reply *protocol.AppsLookupBuilder) bool {
		requests.Add(1)
		reply.SetGeneration(m.generation)
		for index := range asked.ItemCount {
			pid, err := asked.Item(index)
			if err != nil {
				return false
			}
			p := process{status: protocol.PidLookupUnknown, uid: protocol.NipcUIDUnset}
			if pid > 0 {
				p = processAt(pid-1, m.responseBytes)
			}
			err = reply.Add(p.status, p.cgroupStatus, p.orchestrator, pid, p.ppid, p.uid, p.starttime,
				[]byte(p.comm), []byte(p.path), []byte(p.name), p.labels)
			if err != nil {
				return false
			}
		}
		return true
	}
	config := apps_lookup.ServerConfig(m.config())
	config.MaxResponsePayloadBytes = m.responseBytes
	handler := apps_lookup.Handler{Handle: handle}
	err := run(m, apps_lookup.NewServer(m.dir, m.service, config, handler))
	fmt.Printf("requests=%d\n", requests.Load())
	return err
}

func askApps(m *meeting) error {
	client := apps_lookup.NewClient(m.dir, m.service, apps_lookup.ClientConfig(m.config()))
	defer client.Close()
	if err := m.connect(&client.Connection); err != nil {
		return err
	}
	pids := make([]uint32, m.keys)
	for i := range pids {
		pids[i] = uint32(i) + 1
	}
	view, err := client.Call(pids)
	if err != nil {
		return err
	}
	if view.ItemCount != m.keys || view.Generation != m.generation {
		return fmt.Errorf("%d items of generation %d", view.ItemCount, view.Generation)
	}
	for i := range m.keys {
		item, err := view.Item(i)
		if err != nil {
			return err
		}
		wanted := processAt(i, 0)
		if i == oversized {
			wanted = process{status: protocol.PidLookupOversizedItem, uid: protocol.NipcUIDUnset}
		}
		if item.Pid != i+1 || item.Status != wanted.status ||
			item.CgroupStatus != wanted.cgroupStatus || item.Orchestrator != wanted.orchestrator ||
			item.Ppid != wanted.ppid || item.Uid != wanted.uid ||
			item.Starttime != wanted.starttime || item.Comm.String() != wanted.comm ||
			item.CgroupPath.String() != wanted.path || item.CgroupName.String() != wanted.name {
			return fmt.Errorf("item %d is %+v", i, item)
		}
		if err := expectLabels(wanted.labels, uint32(item.LabelCount), item.Label); err != nil {
			return fmt.Errorf("item %d: %w", i, err)
		}
	}
	return nil
}

type cgroupAnswer struct {
	status, orchestrator uint16
	name                 string
	labels               []protocol.LookupLabel
}

func cgroupAt(i, room uint32) cgroupAnswer {
	switch i % 8 {
	case 3:
		return cgroupAnswer{status: protocol.CgroupLookupUnknownRetryLater}
	case 5:
		return cgroupAnswer{status: protocol.CgroupLookupUnknownPermanent}
	}
	return cgroupAnswer{
		status: protocol.CgroupLookupKnown, orchestrator: uint16(i % 9),
		name: nameAt(i, room), labels: labelsAt(i, i%4),
	}
}

type process struct {
	status, cgroupStatus, orchestrator uint16
	ppid, uid                          uint32
	starttime                          uint64
	comm, path, name                   string
	labels                             []protocol.LookupLabel
}

func processAt(i, room uint32) process {
	if i%8 == 3 {
		return process{status: protocol.PidLookupUnknown, uid: protocol.NipcUIDUnset}
	}
	p := process{
		status: protocol.PidLookupKnown, ppid: i / 2, uid: 1000 + i%7,
		starttime: uint64(i) * 1000003, comm: fmt.Sprintf("comm-%d", i),
	}
	if i%5 == 0 {
		p.uid = protocol.NipcUIDUnset
	}
	switch i % 4 {
	case 0:
		p.cgroupStatus, p.orchestrator = protocol.AppsCgroupKnown, uint16(i%9)
		p.path, p.name = fmt.Sprintf("/interop/%d", i), nameAt(i, room)
		p.labels = labelsAt(i, i%3)
	case 1:
		p.cgroupStatus = protocol.AppsCgroupUnknownRetryLater
	case 2:
		p.cgroupStatus, p.path = protocol.AppsCgroupUnknownPermanent, fmt.Sprintf("/interop/%d", i)
	default:
		p.cgroupStatus = protocol.AppsCgroupHostRoot
	}
	return p
}

func expectLabels(
	wanted []protocol.LookupLabel, count uint32,
	label func(uint32) (protocol.LookupLabelView, error),
) error {
	if int(count) != len(wanted) {
		return fmt.Errorf("%d labels", count)
	}
	for j, w := range wanted {
		l, err := label(uint32(j))
		if err != nil {
			return err
		}
		if l.Key.String() != string(w.Key) || l.Value.String() != string(w.Value) {
			return fmt.Errorf("label %d is %s=%s", j, l.Key, l.Value)
		}
	}
	return nil
}
