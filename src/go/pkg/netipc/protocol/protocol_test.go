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

func TestRoomIsKeptForPlaceholdersOfGivenSizes(t *testing.T) {
	path := []byte("/a")
	placeholder := CgroupsLookupPlaceholderSize(path)
	buf := make([]byte, 16+3*8+3*Align8(placeholder)+8)
	b := NewCgroupsLookupBuilder(buf, 3, 0)
	b.SetPayloadExceededItemLens([]int{placeholder}) // not one for each item: no effect
	b.SetPayloadExceededItemLens([]int{placeholder, placeholder, placeholder})
	if err := b.Add(CgroupLookupKnown, 0, path, []byte("n"), nil); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := b.Add(CgroupLookupKnown, 0, path, bytes.Repeat([]byte("n"), 60), nil); err != nil {
			t.Fatal(err)
		}
	}
	view, err := DecodeCgroupsLookupResponse(buf[:b.Finish()])
	if err != nil {
		t.Fatal(err)
	}
	for i, expected := range []uint16{CgroupLookupKnown, CgroupLookupPayloadExceeded, CgroupLookupPayloadExceeded} {
		if item, err := view.Item(uint32(i)); err != nil || item.Status != expected {
			t.Fatalf("item %d: %+v, %v", i, item, err)
		}
	}
}

func TestEstimatesRoundDownAndKnowEmptyBuffers(t *testing.T) {
	for name, c := range map[string]struct {
		estimate   func(int) uint32
		head, item int
	}{
		"snapshot": {EstimateCgroupsMaxItems, 24, 48},
		"cgroups":  {EstimateCgroupsLookupMaxItems, 16, 40},
		"apps":     {EstimateAppsLookupMaxItems, 16, 72},
	} {
		for size, expected := range map[int]uint32{-1: 0, 0: 0, c.head: 0, c.head + c.item - 1: 0, c.head + c.item: 1, c.head + 10*c.item: 10} {
			if got := c.estimate(size); got != expected {
				t.Errorf("%s: %d items in %d bytes, expected %d", name, got, size, expected)
			}
		}
	}
}

func TestDispatchTellsWhetherThereIsAnAnswer(t *testing.T) {
	response := make([]byte, 100)
	number, text := make([]byte, 8), make([]byte, 12)
	IncrementEncode(1, number)
	StringReverseEncode("abc", text)
	for name, c := range map[string]struct {
		dispatch func(response []byte, ok bool) (int, bool)
		size     int
	}{
		"increment": {func(r []byte, ok bool) (int, bool) {
			return DispatchIncrement(number, r, func(n uint64) (uint64, bool) { return n, ok })
		}, 8},
		"string reverse": {func(r []byte, ok bool) (int, bool) {
			return DispatchStringReverse(text, r, func(s string) (string, bool) { return s, ok })
		}, 12},
		"snapshot": {func(r []byte, ok bool) (int, bool) {
			return DispatchCgroupsSnapshot([]byte{1, 0, 0, 0}, r, 0, func(*CgroupsRequest, *CgroupsBuilder) bool { return ok })
		}, 24},
	} {
		if n, ok := c.dispatch(response, true); !ok || n != c.size {
			t.Errorf("%s: %d, %v", name, n, ok)
		}
		if _, ok := c.dispatch(response, false); ok {
			t.Errorf("%s: answered although the handler failed", name)
		}
		if _, ok := c.dispatch(response[:c.size-1], true); ok {
			t.Errorf("%s: answered into a buffer that is too short", name)
		}
	}
	if _, err := HandleIncrement(number[:7], response, nil); !errors.Is(err, ErrTruncated) {
		t.Error(err)
	}
	if _, err := HandleStringReverse(number, response, nil); !errors.Is(err, ErrBadLayout) {
		t.Error(err)
	}
}

func TestErrorsAndStringsAreForPeople(t *testing.T) {
	for status, expected := range map[uint16]string{
		StatusBadEnvelope:   "service answered: malformed request",
		StatusUnsupported:   "service answered: method not supported",
		StatusLimitExceeded: "service answered: limit exceeded",
		StatusInternalError: "service answered: handler failed",
		99:                  "service answered: status 99",
	} {
		if got := StatusError(status).Error(); got != expected {
			t.Errorf("%q, expected %q", got, expected)
		}
	}
	if got := fmt.Sprintf("%#v", NewCStringView([]byte("a\xffb\x00"), 3)); got != `CStringView("a\xffb")` {
		t.Error(got)
	}
}
