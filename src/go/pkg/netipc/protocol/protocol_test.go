package protocol_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	. "github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

func TestNotReadyAlsoMatchesWhatWasReturnedBefore(t *testing.T) {
	err := fmt.Errorf("call: %w", ErrNotReady)
	if !errors.Is(err, ErrNotReady) || !errors.Is(err, ErrBadLayout) {
		t.Fatal("does not match")
	}
	if errors.Is(ErrBadLayout, ErrNotReady) {
		t.Fatal("a malformed layout counts as not ready")
	}
}

func TestStatusErrorsMatchTheSentinelsOfTheirStatus(t *testing.T) {
	for status, matches := range map[uint16][]error{
		StatusBadEnvelope:   {ErrBadLayout},
		StatusUnsupported:   {ErrBadLayout},
		StatusLimitExceeded: {ErrOverflow},
		StatusInternalError: {ErrBadLayout, ErrHandlerFailed},
		77:                  {ErrBadLayout},
	} {
		for _, sentinel := range []error{ErrBadLayout, ErrOverflow, ErrHandlerFailed, ErrTimeout} {
			expected := false
			for _, m := range matches {
				expected = expected || m == sentinel
			}
			if errors.Is(StatusError(status), sentinel) != expected {
				t.Errorf("status %d, %v: expected %v", status, sentinel, expected)
			}
		}
	}
}

func TestSnapshotThatOverflowsIsNoSnapshot(t *testing.T) {
	request := CgroupsRequest{LayoutVersion: 1}
	var asked [4]byte
	request.Encode(asked[:])
	for _, verdict := range []bool{true, false} {
		_, err := HandleCgroupsSnapshot(asked[:], make([]byte, 200), 3, func(_ *CgroupsRequest, b *CgroupsBuilder) bool {
			b.Add(1, 0, 1, []byte("fits"), nil)
			b.Add(2, 0, 1, bytes.Repeat([]byte("x"), 200), nil)
			if err := b.Add(3, 0, 1, []byte("fits"), nil); !errors.Is(err, ErrOverflow) {
				t.Errorf("after an overflow: %v", err)
			}
			return verdict
		})
		if !errors.Is(err, ErrOverflow) {
			t.Errorf("handler returned %v: %v", verdict, err)
		}
	}
}

func TestHandlerThatFailsIsNotAnOverflow(t *testing.T) {
	_, err := HandleCgroupsSnapshot([]byte{1, 0, 0, 0}, make([]byte, 100), 1, func(*CgroupsRequest, *CgroupsBuilder) bool { return false })
	if !errors.Is(err, ErrHandlerFailed) {
		t.Fatal(err)
	}
}

func TestOverflowOfALookupWinsOverWhatComesAfterIt(t *testing.T) {
	request := make([]byte, 100)
	n, err := EncodeCgroupsLookupRequest([][]byte{[]byte("/a"), []byte("/b")}, request)
	if err != nil {
		t.Fatal(err)
	}
	// Both placeholders fit, the first answer fits alone, but not with the second's.
	_, err = DispatchCgroupsLookup(request[:n], make([]byte, 100), func(_ *CgroupsLookupRequestView, b *CgroupsLookupBuilder) bool {
		b.Add(CgroupLookupKnown, 0, []byte("/a"), bytes.Repeat([]byte("n"), 30), nil)
		b.Add(CgroupLookupKnown, 0, []byte("/b"), nil, nil)
		return true
	})
	if !errors.Is(err, ErrOverflow) {
		t.Fatal(err)
	}
}

func TestARefusedAnswerMayBeCorrected(t *testing.T) {
	b := NewCgroupsLookupBuilder(make([]byte, 200), 1, 0)
	if err := b.Add(CgroupLookupUnknownPermanent, 0, []byte("/a"), []byte("name"), nil); !errors.Is(err, ErrBadLayout) || b.Error() == nil {
		t.Fatal(err)
	}
	if err := b.Add(CgroupLookupUnknownPermanent, 0, []byte("/a"), nil, nil); err != nil || b.Error() != nil || b.ItemCount() != 1 {
		t.Fatal(err)
	}
}

func TestAnAnswerForNoKeyFailsTheDispatch(t *testing.T) {
	request := make([]byte, 100)
	n, err := EncodeCgroupsLookupRequest([][]byte{[]byte("/a")}, request)
	if err != nil {
		t.Fatal(err)
	}
	_, err = DispatchCgroupsLookup(request[:n], make([]byte, 200), func(req *CgroupsLookupRequestView, b *CgroupsLookupBuilder) bool {
		b.AddRequestItem(req, 0, CgroupLookupKnown, 0, nil, nil)
		b.AddRequestItem(req, 1, CgroupLookupKnown, 0, nil, nil)
		return true
	})
	if !errors.Is(err, ErrOutOfBounds) {
		t.Fatal(err)
	}
}

func TestMoreLabelsThanAnItemCanCountMakeItOversized(t *testing.T) {
	labels := make([]LookupLabel, 1<<16)
	for i := range labels {
		labels[i] = LookupLabel{Key: []byte("k")}
	}
	buf := make([]byte, 4<<20)
	b := NewCgroupsLookupBuilder(buf, 1, 0)
	if err := b.Add(CgroupLookupKnown, 0, []byte("/a"), nil, labels); err != nil {
		t.Fatal(err)
	}
	view, err := DecodeCgroupsLookupResponse(buf[:b.Finish()])
	if err != nil {
		t.Fatal(err)
	}
	if item, err := view.Item(0); err != nil || item.Status != CgroupLookupOversizedItem {
		t.Fatalf("%+v, %v", item, err)
	}
}

func TestPanicsOnlyForABufferWithoutRoomForTheDirectory(t *testing.T) {
	const enough = 40 // a head and the entries of 2 items of a snapshot, 3 of a lookup
	for name, build := range map[string]func(buf []byte){
		"snapshot": func(buf []byte) { NewCgroupsBuilder(buf, 2, 0, 0) },
		"cgroups":  func(buf []byte) { NewCgroupsLookupBuilder(buf, 3, 0) },
		"apps":     func(buf []byte) { NewAppsLookupBuilder(buf, 3, 0) },
	} {
		panics := func(size int) (yes bool) {
			defer func() { yes = recover() != nil }()
			build(make([]byte, size))
			return false
		}
		if !panics(enough-1) || panics(enough) {
			t.Errorf("%s: panics at the wrong size", name)
		}
	}
}

func TestZeroViewsHoldNothing(t *testing.T) {
	if _, err := new(CgroupsResponseView).Item(0); !errors.Is(err, ErrOutOfBounds) {
		t.Error(err)
	}
	if _, err := new(CgroupsLookupResponseView).Item(0); !errors.Is(err, ErrOutOfBounds) {
		t.Error(err)
	}
	if _, err := new(AppsLookupItemView).Label(0); !errors.Is(err, ErrOutOfBounds) {
		t.Error(err)
	}
	if s := NewCStringView(nil, 5); s.Len() != 0 || s.String() != "" {
		t.Errorf("%#v", s)
	}
}

func TestDecodingAndBuildingDoNotAllocate(t *testing.T) {
	request, response := make([]byte, 200), make([]byte, 2000)
	paths := [][]byte{[]byte("/system.slice/a.service"), []byte("/docker/b")}
	labels := []LookupLabel{{Key: []byte("image"), Value: []byte("nginx")}}
	name := []byte("name")
	answerLookup := func(req *CgroupsLookupRequestView, b *CgroupsLookupBuilder) bool {
		for i := range req.ItemCount {
			if b.AddRequestItem(req, i, CgroupLookupKnown, OrchestratorDocker, name, labels) != nil {
				return false
			}
		}
		return true
	}
	answerSnapshot := func(_ *CgroupsRequest, b *CgroupsBuilder) bool { return b.Add(1, 2, 3, name, name) == nil }
	pids := []uint32{1, 2, 3}
	answerApps := func(req *AppsLookupRequestView, b *AppsLookupBuilder) bool {
		for i := range req.ItemCount {
			pid, _ := req.Item(i)
			if b.Add(PidLookupKnown, AppsCgroupKnown, 1, pid, 1, 2, 3, name, name, name, labels) != nil {
				return false
			}
		}
		return true
	}
	for task, f := range map[string]func() error{
		"snapshot": func() error {
			n, err := HandleCgroupsSnapshot([]byte{1, 0, 0, 0}, response, 4, answerSnapshot)
			if err != nil {
				return err
			}
			view, err := DecodeCgroupsResponse(response[:n])
			if err != nil {
				return err
			}
			_, err = view.Item(0)
			return err
		},
		"cgroups lookup": func() error {
			n, err := EncodeCgroupsLookupRequest(paths, request)
			if err != nil {
				return err
			}
			if n, err = DispatchCgroupsLookup(request[:n], response, answerLookup); err != nil {
				return err
			}
			view, err := DecodeCgroupsLookupResponse(response[:n])
			if err != nil {
				return err
			}
			item, err := view.Item(1)
			if err != nil {
				return err
			}
			_, err = item.Label(0)
			return err
		},
		"apps lookup": func() error {
			n, err := EncodeAppsLookupRequest(pids, request)
			if err != nil {
				return err
			}
			if n, err = DispatchAppsLookup(request[:n], response, answerApps); err != nil {
				return err
			}
			view, err := DecodeAppsLookupResponse(response[:n])
			if err != nil {
				return err
			}
			item, err := view.Item(1)
			if err != nil {
				return err
			}
			_, err = item.Label(0)
			return err
		},
		"envelope": func() error {
			h := Header{Magic: MagicMsg, Version: Version, HeaderLen: HeaderLen, Kind: KindRequest}
			h.Encode(request)
			_, err := DecodeHeader(request)
			return err
		},
	} {
		var failed error
		allocs := testing.AllocsPerRun(100, func() {
			if err := f(); err != nil {
				failed = err
			}
		})
		if failed != nil || allocs != 0 && !raceEnabled {
			t.Errorf("%s: %v allocations, %v", task, allocs, failed)
		}
	}
}
