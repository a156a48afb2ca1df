package protocol_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/vectors"
	. "github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

type label [2]vectors.Bytes

func labelViews(count uint16, at func(uint32) (LookupLabelView, error)) ([]label, error) {
	labels := []label{}
	for i := range uint32(count) {
		view, err := at(i)
		if err != nil {
			return nil, err
		}
		labels = append(labels, label{view.Key.Bytes(), view.Value.Bytes()})
	}
	return labels, nil
}

func labelArgs(labels []label) []LookupLabel {
	var args []LookupLabel
	for _, l := range labels {
		args = append(args, LookupLabel{Key: l[0], Value: l[1]})
	}
	return args
}

type cgroupsItem struct {
	Status, Orchestrator uint16
	Path, Name           vectors.Bytes
	Labels               []label
}

type cgroupsFields struct {
	Generation uint64
	Items      []cgroupsItem
}

type pathsFields struct{ Paths []vectors.Bytes }

func TestCgroupsLookupRequestVectors(t *testing.T) {
	eachDecoded(t, "cgroups_lookup_request", func(v *vectors.Vector) (pathsFields, error) {
		view, err := DecodeCgroupsLookupRequest(v.Hex)
		if err != nil {
			return pathsFields{}, err
		}
		fields := pathsFields{[]vectors.Bytes{}}
		for i := range view.ItemCount {
			path, err := view.Item(i)
			if err != nil {
				return fields, err
			}
			fields.Paths = append(fields.Paths, path.Bytes())
		}
		return fields, nil
	}, tight(func(f pathsFields, b []byte) int {
		var paths [][]byte
		for _, path := range f.Paths {
			paths = append(paths, path)
		}
		return length(EncodeCgroupsLookupRequest(paths, b))
	}))
}

func readCgroupsResponse(b []byte) (cgroupsFields, [][]byte, error) {
	view, err := DecodeCgroupsLookupResponse(b)
	if err != nil {
		return cgroupsFields{}, nil, err
	}
	fields := cgroupsFields{view.Generation, []cgroupsItem{}}
	var raw [][]byte
	for i := range view.ItemCount {
		item, err := view.Item(i)
		if err != nil {
			return fields, nil, err
		}
		labels, err := labelViews(item.LabelCount, item.Label)
		if err != nil {
			return fields, nil, err
		}
		fields.Items = append(fields.Items, cgroupsItem{item.Status, item.Orchestrator, item.Path.Bytes(), item.Name.Bytes(), labels})
		bytes, err := view.RawItem(i)
		if err != nil {
			return fields, nil, err
		}
		raw = append(raw, bytes)
	}
	return fields, raw, nil
}

func addCgroups(b *CgroupsLookupBuilder, item cgroupsItem) error {
	return b.Add(item.Status, item.Orchestrator, item.Path, item.Name, labelArgs(item.Labels))
}

func TestCgroupsLookupResponseVectors(t *testing.T) {
	eachDecoded(t, "cgroups_lookup_response", func(v *vectors.Vector) (cgroupsFields, error) {
		fields, raw, err := readCgroupsResponse(v.Hex)
		checkRaw(t, v, raw, fields.Generation, err, EncodeCgroupsLookupRawResponse)
		return fields, err
	}, func(f cgroupsFields, b []byte) int {
		// The builder wants the aligned end to fit too; only the bytes written count.
		room := make([]byte, Align8(len(b)))
		builder := NewCgroupsLookupBuilder(room, uint32(len(f.Items)), f.Generation)
		for _, item := range f.Items {
			if addCgroups(builder, item) != nil {
				return 0
			}
		}
		return copyExactly(b, room[:builder.Finish()])
	})
}

// checkRaw packs the items of a canonical response again.
func checkRaw(t *testing.T, v *vectors.Vector, raw [][]byte, generation uint64, err error, pack func([][]byte, uint64, []byte) (int, error)) {
	if err != nil || !v.Canonical {
		return
	}
	buf := make([]byte, len(v.Hex))
	if n, err := pack(raw, generation, buf); err != nil || !bytes.Equal(buf[:n], v.Hex) {
		t.Errorf("%s: packed again\n%x (%v), expected\n%x", v.ID, buf[:n], err, v.Hex)
	}
	if _, err := pack(raw, generation, buf[:len(buf)-1]); err == nil {
		t.Errorf("%s: packed again into one byte less", v.ID)
	}
}

// copyExactly returns 0 if the message has not the length of the buffer.
func copyExactly(b, message []byte) int {
	if len(message) != len(b) {
		return 0
	}
	return copy(b, message)
}

func TestCgroupsLookupDispatchVectors(t *testing.T) {
	dispatchVectors(t, "cgroups_lookup_dispatch", func(request, response []byte, generation uint64, answers []cgroupsItem) (int, error) {
		return DispatchCgroupsLookup(request, response, func(_ *CgroupsLookupRequestView, b *CgroupsLookupBuilder) bool {
			b.SetGeneration(generation)
			return addAll(answers, func(a cgroupsItem) error { return addCgroups(b, a) })
		})
	})
}

type appsItem struct {
	Status       uint16
	CgroupStatus uint16 `json:"cgroup_status"`
	Orchestrator uint16
	Pid, Ppid    uint32
	Uid          uint32
	Starttime    uint64
	Comm         vectors.Bytes
	CgroupPath   vectors.Bytes `json:"cgroup_path"`
	CgroupName   vectors.Bytes `json:"cgroup_name"`
	Labels       []label
}

type appsFields struct {
	Generation uint64
	Items      []appsItem
}

type pidsFields struct{ Pids []uint32 }

func TestAppsLookupRequestVectors(t *testing.T) {
	eachDecoded(t, "apps_lookup_request", func(v *vectors.Vector) (pidsFields, error) {
		view, err := DecodeAppsLookupRequest(v.Hex)
		if err != nil {
			return pidsFields{}, err
		}
		fields := pidsFields{[]uint32{}}
		for i := range view.ItemCount {
			pid, err := view.Item(i)
			if err != nil {
				return fields, err
			}
			fields.Pids = append(fields.Pids, pid)
		}
		return fields, nil
	}, tight(func(f pidsFields, b []byte) int { return length(EncodeAppsLookupRequest(f.Pids, b)) }))
}

func addApps(b *AppsLookupBuilder, a appsItem) error {
	return b.Add(a.Status, a.CgroupStatus, a.Orchestrator, a.Pid, a.Ppid, a.Uid, a.Starttime, a.Comm, a.CgroupPath, a.CgroupName, labelArgs(a.Labels))
}

func readAppsResponse(b []byte) (appsFields, [][]byte, error) {
	view, err := DecodeAppsLookupResponse(b)
	if err != nil {
		return appsFields{}, nil, err
	}
	fields := appsFields{view.Generation, []appsItem{}}
	var raw [][]byte
	for i := range view.ItemCount {
		item, err := view.Item(i)
		if err != nil {
			return fields, nil, err
		}
		labels, err := labelViews(item.LabelCount, item.Label)
		if err != nil {
			return fields, nil, err
		}
		fields.Items = append(fields.Items, appsItem{item.Status, item.CgroupStatus, item.Orchestrator, item.Pid, item.Ppid, item.Uid,
			item.Starttime, item.Comm.Bytes(), item.CgroupPath.Bytes(), item.CgroupName.Bytes(), labels})
		bytes, err := view.RawItem(i)
		if err != nil {
			return fields, nil, err
		}
		raw = append(raw, bytes)
	}
	return fields, raw, nil
}

func TestAppsLookupResponseVectors(t *testing.T) {
	eachDecoded(t, "apps_lookup_response", func(v *vectors.Vector) (appsFields, error) {
		fields, raw, err := readAppsResponse(v.Hex)
		checkRaw(t, v, raw, fields.Generation, err, EncodeAppsLookupRawResponse)
		return fields, err
	}, func(f appsFields, b []byte) int {
		room := make([]byte, Align8(len(b)))
		builder := NewAppsLookupBuilder(room, uint32(len(f.Items)), f.Generation)
		for _, item := range f.Items {
			if addApps(builder, item) != nil {
				return 0
			}
		}
		return copyExactly(b, room[:builder.Finish()])
	})
}

func TestAppsLookupDispatchVectors(t *testing.T) {
	dispatchVectors(t, "apps_lookup_dispatch", func(request, response []byte, generation uint64, answers []appsItem) (int, error) {
		return DispatchAppsLookup(request, response, func(_ *AppsLookupRequestView, b *AppsLookupBuilder) bool {
			b.SetGeneration(generation)
			return addAll(answers, func(a appsItem) error { return addApps(b, a) })
		})
	})
}

func addAll[Answer any](answers []Answer, add func(Answer) error) bool {
	for _, a := range answers {
		if add(a) != nil {
			return false
		}
	}
	return true
}

func dispatchVectors[Answer any](t *testing.T, target string, dispatch func(request, response []byte, generation uint64, answers []Answer) (int, error)) {
	vectors.Each(t, target, func(t *testing.T, v *vectors.Vector) {
		generation := v.Generation
		if v.Valid {
			generation = vectors.Decode[struct{ Generation uint64 }](t, v.Fields).Generation
		}
		buf := bytes.Repeat([]byte{0xEE}, v.Budget)
		n, err := dispatch(v.Request, buf, generation, vectors.Decode[[]Answer](t, v.Answers))
		v.CheckError(t, err, classes)
		if err != nil {
			return
		}
		accepted := [][]byte{v.Hex}
		if v.Alternative.Hex != nil {
			accepted = append(accepted, *v.Alternative.Hex)
		}
		if !slices.ContainsFunc(accepted, func(b []byte) bool { return bytes.Equal(b, buf[:n]) }) {
			t.Fatalf("answered\n%x, expected\n%x", buf[:n], v.Hex)
		}
	})
}
