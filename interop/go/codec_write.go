package main

import (
	"errors"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

// One writer for each kind of message, and for what was read of one.

// written cuts buf to what an encoder wrote, which is nothing if it failed.
func written(buf []byte, n int) ([]byte, error) {
	if n == 0 {
		return nil, errors.New("nothing was written")
	}
	return buf[:n], nil
}

func writeHeader(h protocol.Header) ([]byte, error) {
	buf := make([]byte, protocol.HeaderSize)
	return written(buf, h.Encode(buf))
}

func writeChunk(c protocol.ChunkHeader) ([]byte, error) {
	buf := make([]byte, protocol.HeaderSize)
	return written(buf, c.Encode(buf))
}

func writeHello(h protocol.Hello) ([]byte, error) {
	buf := make([]byte, 64)
	return written(buf, h.Encode(buf))
}

func writeAck(a protocol.HelloAck) ([]byte, error) {
	buf := make([]byte, 64)
	return written(buf, a.Encode(buf))
}

func writeBatch(items [][]byte) ([]byte, error) {
	buf := make([]byte, 1024)
	builder := protocol.NewBatchBuilder(buf, uint32(len(items)))
	for _, item := range items {
		if err := builder.Add(item); err != nil {
			return nil, err
		}
	}
	n, _ := builder.Finish()
	return written(buf, n)
}

func readBatch(b []byte) ([][]byte, error) {
	items := make([][]byte, len(batch))
	for i := range items {
		var err error
		if items[i], err = protocol.BatchItemGet(b, uint32(len(items)), uint32(i)); err != nil {
			return nil, err
		}
	}
	return items, nil
}

func writeIncrement(n uint64) ([]byte, error) {
	buf := make([]byte, protocol.IncrementPayloadSize)
	return written(buf, protocol.IncrementEncode(n, buf))
}

func writeString(s string) ([]byte, error) {
	buf := make([]byte, protocol.StringReverseHdrSize+len(s)+1)
	return written(buf, protocol.StringReverseEncode(s, buf))
}

func writeSnapshotRequest(r protocol.CgroupsRequest) ([]byte, error) {
	buf := make([]byte, 16)
	return written(buf, r.Encode(buf))
}

func writeSnapshot(enabled uint32, generation uint64, members []member) ([]byte, error) {
	buf := make([]byte, 4096)
	builder := protocol.NewCgroupsBuilder(buf, uint32(len(members)), enabled, generation)
	for _, c := range members {
		if err := builder.Add(c.hash, c.options, c.enabled, []byte(c.name), []byte(c.path)); err != nil {
			return nil, err
		}
	}
	return written(buf, builder.Finish())
}

func writeSnapshotView(v protocol.CgroupsResponseView) ([]byte, error) {
	var members []member
	for i := range v.ItemCount {
		c, err := v.Item(i)
		if err != nil {
			return nil, err
		}
		members = append(members,
			member{c.Hash, c.Options, c.Enabled, c.Name.String(), c.Path.String()})
	}
	return writeSnapshot(v.SystemdEnabled, v.Generation, members)
}

func writePaths(paths [][]byte) ([]byte, error) {
	buf := make([]byte, 4096)
	n, err := protocol.EncodeCgroupsLookupRequest(paths, buf)
	return buf[:n], err
}

func writePathsView(v *protocol.CgroupsLookupRequestView) ([]byte, error) {
	var paths [][]byte
	for i := range v.ItemCount {
		path, err := v.Item(i)
		if err != nil {
			return nil, err
		}
		paths = append(paths, path.Bytes())
	}
	return writePaths(paths)
}

func writeCgroups(generation uint64, paths []string, answers []cgroupAnswer) ([]byte, error) {
	buf := make([]byte, 4096)
	builder := protocol.NewCgroupsLookupBuilder(buf, uint32(len(paths)), generation)
	for i, a := range answers {
		err := builder.Add(a.status, a.orchestrator, []byte(paths[i]), []byte(a.name), a.labels)
		if err != nil {
			return nil, err
		}
	}
	return written(buf, builder.Finish())
}

func writeCgroupsView(v *protocol.CgroupsLookupResponseView) ([]byte, error) {
	var paths []string
	var answers []cgroupAnswer
	for i := range v.ItemCount {
		item, err := v.Item(i)
		if err != nil {
			return nil, err
		}
		labels, err := readLabels(uint32(item.LabelCount), item.Label)
		if err != nil {
			return nil, err
		}
		paths = append(paths, item.Path.String())
		answers = append(answers,
			cgroupAnswer{item.Status, item.Orchestrator, item.Name.String(), labels})
	}
	return writeCgroups(v.Generation, paths, answers)
}

func writePids(pids []uint32) ([]byte, error) {
	buf := make([]byte, 4096)
	n, err := protocol.EncodeAppsLookupRequest(pids, buf)
	return buf[:n], err
}

func writePidsView(v *protocol.AppsLookupRequestView) ([]byte, error) {
	var pids []uint32
	for i := range v.ItemCount {
		pid, err := v.Item(i)
		if err != nil {
			return nil, err
		}
		pids = append(pids, pid)
	}
	return writePids(pids)
}

func writeApps(generation uint64, pids []uint32, processes []process) ([]byte, error) {
	buf := make([]byte, 4096)
	builder := protocol.NewAppsLookupBuilder(buf, uint32(len(pids)), generation)
	for i, p := range processes {
		err := builder.Add(p.status, p.cgroupStatus, p.orchestrator, pids[i], p.ppid, p.uid,
			p.starttime, []byte(p.comm), []byte(p.path), []byte(p.name), p.labels)
		if err != nil {
			return nil, err
		}
	}
	return written(buf, builder.Finish())
}

func writeAppsView(v *protocol.AppsLookupResponseView) ([]byte, error) {
	var pids []uint32
	var processes []process
	for i := range v.ItemCount {
		item, err := v.Item(i)
		if err != nil {
			return nil, err
		}
		labels, err := readLabels(uint32(item.LabelCount), item.Label)
		if err != nil {
			return nil, err
		}
		pids = append(pids, item.Pid)
		processes = append(processes, process{
			status: item.Status, cgroupStatus: item.CgroupStatus, orchestrator: item.Orchestrator,
			ppid: item.Ppid, uid: item.Uid, starttime: item.Starttime, comm: item.Comm.String(),
			path: item.CgroupPath.String(), name: item.CgroupName.String(), labels: labels,
		})
	}
	return writeApps(v.Generation, pids, processes)
}

func readLabels(
	count uint32, label func(uint32) (protocol.LookupLabelView, error),
) ([]protocol.LookupLabel, error) {
	labels := make([]protocol.LookupLabel, count)
	for j := range labels {
		l, err := label(uint32(j))
		if err != nil {
			return nil, err
		}
		labels[j] = protocol.LookupLabel{Key: l.Key.Bytes(), Value: l.Value.Bytes()}
	}
	return labels, nil
}
