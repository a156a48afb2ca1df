package protocol_test

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/vectors"
	. "github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

// seed adds the bytes of every vector of the targets.
func seed(f *testing.F, targets ...string) {
	for _, v := range vectors.All(f) {
		for _, target := range targets {
			if v.Target == target {
				f.Add([]byte(v.Hex))
			}
		}
	}
}

// reencodes fails the test unless a header that decodes is written as it was read.
func reencodes(t *testing.T, b []byte, encode func([]byte) int) {
	var again [64]byte
	if n := encode(again[:]); !bytes.Equal(again[:n], b[:n]) {
		t.Fatalf("read %x, wrote %x", b[:n], again[:n])
	}
}

func FuzzEnvelope(f *testing.F) {
	seed(f, "header", "chunk", "hello", "hello_ack")
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := DecodeHeader(b); err == nil {
			reencodes(t, b, h.Encode)
		}
		if c, err := DecodeChunkHeader(b); err == nil {
			reencodes(t, b, c.Encode)
		}
		if h, err := DecodeHello(b); err == nil {
			reencodes(t, b, h.Encode)
		}
		if a, err := DecodeHelloAck(b); err == nil && a.Encode(make([]byte, 48)) != 48 {
			t.Fatal("48 bytes do not hold a HELLO_ACK")
		}
	})
}

func FuzzBatch(f *testing.F) {
	for _, v := range vectors.All(f) {
		if v.Target == "batch" {
			f.Add([]byte(v.Hex), vectors.Decode[struct {
				ItemCount uint32 `json:"item_count"`
			}](f, v.Context).ItemCount)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, n uint32) {
		err := BatchPayloadValidate(b, n)
		for i := range min(n, uint32(len(b))) {
			if _, itemErr := BatchItemGet(b, n, i); err == nil && itemErr != nil {
				t.Fatalf("item %d of a checked batch: %v", i, itemErr)
			}
		}
	})
}

func FuzzTestMethods(f *testing.F) {
	seed(f, "increment", "string_reverse")
	f.Fuzz(func(t *testing.T, b []byte) {
		if v, err := IncrementDecode(b); err == nil {
			reencodes(t, b, func(again []byte) int { return IncrementEncode(v, again) })
		}
		if v, err := StringReverseDecode(b); err == nil {
			again := make([]byte, len(b))
			if n := StringReverseEncode(v.Str, again); !bytes.Equal(again[:n], b[:n]) {
				t.Fatalf("read %x, wrote %x", b, again[:n])
			}
		}
	})
}

func FuzzSnapshot(f *testing.F) {
	seed(f, "cgroups_snapshot_request", "cgroups_snapshot_response")
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := DecodeCgroupsRequest(b); err == nil {
			reencodes(t, b, r.Encode)
		}
		view, err := DecodeCgroupsResponse(b)
		if err != nil {
			return
		}
		for i := range view.ItemCount {
			if item, err := view.Item(i); err == nil && int(item.Name.Len()+item.Path.Len()) > len(b) {
				t.Fatal("strings longer than the message")
			}
		}
		if _, err := view.Item(view.ItemCount); err == nil {
			t.Fatal("read an item past the end")
		}
	})
}

func FuzzCgroupsLookup(f *testing.F) {
	seed(f, "cgroups_lookup_request", "cgroups_lookup_response")
	f.Fuzz(func(t *testing.T, b []byte) {
		if view, err := DecodeCgroupsLookupRequest(b); err == nil {
			var paths [][]byte
			for i := range view.ItemCount {
				path, err := view.Item(i)
				if err != nil {
					t.Fatalf("item %d of a checked request: %v", i, err)
				}
				paths = append(paths, path.Bytes())
			}
			if n, err := EncodeCgroupsLookupRequest(paths, make([]byte, len(b))); err != nil {
				t.Fatalf("does not encode again: %d, %v", n, err)
			}
		}
		checkRepacking(t, b, readCgroupsResponse, EncodeCgroupsLookupRawResponse)
	})
}

func FuzzAppsLookup(f *testing.F) {
	seed(f, "apps_lookup_request", "apps_lookup_response")
	f.Fuzz(func(t *testing.T, b []byte) {
		if view, err := DecodeAppsLookupRequest(b); err == nil {
			for i := range view.ItemCount {
				if _, err := view.Item(i); err != nil {
					t.Fatalf("item %d of a checked request: %v", i, err)
				}
			}
		}
		checkRepacking(t, b, readAppsResponse, EncodeAppsLookupRawResponse)
	})
}

// checkRepacking packs the items of a response again, which must read the same.
func checkRepacking[Fields any](t *testing.T, b []byte, read func([]byte) (Fields, [][]byte, error), pack func([][]byte, uint64, []byte) (int, error)) {
	fields, raw, err := read(b)
	if err != nil {
		if raw != nil {
			t.Fatalf("a checked response cannot be read: %v", err)
		}
		return
	}
	generation := reflect.ValueOf(fields).FieldByName("Generation").Uint()
	buf := make([]byte, len(b))
	n, err := pack(raw, generation, buf)
	if err != nil {
		t.Fatalf("items of a checked response do not pack again: %v", err)
	}
	again, _, err := read(buf[:n])
	if err != nil || !reflect.DeepEqual(again, fields) {
		t.Fatalf("packed again: %v\n%+v, read at first\n%+v", err, again, fields)
	}
}

func FuzzDispatchCgroupsLookup(f *testing.F) {
	for _, v := range vectors.All(f) {
		if v.Target == "cgroups_lookup_dispatch" {
			f.Add([]byte(v.Request), uint16(v.Budget), uint64(0))
		}
	}
	f.Fuzz(func(t *testing.T, request []byte, budget uint16, choice uint64) {
		random := rand.New(rand.NewPCG(choice, 0))
		buf := make([]byte, budget)
		n, err := DispatchCgroupsLookup(request, buf, func(req *CgroupsLookupRequestView, b *CgroupsLookupBuilder) bool {
			for i := range req.ItemCount {
				var labels []LookupLabel
				for range random.IntN(3) {
					labels = append(labels, LookupLabel{Key: make1s(random, 20), Value: make1s(random, 200)[1:]})
				}
				// A refusal must come out as the error of the dispatch, below.
				b.AddRequestItem(req, i, CgroupLookupKnown, 1, make1s(random, 300)[1:], labels)
			}
			return true
		})
		if err != nil {
			return
		}
		checkAnswers(t, request, buf[:n])
	})
}

// make1s returns a string of 1 to most bytes without a NUL.
func make1s(random *rand.Rand, most int) []byte {
	return bytes.Repeat([]byte{'1'}, 1+random.IntN(most))
}

// checkAnswers fails the test unless every key has its answer, and placeholders for
// more room stand at the end only.
func checkAnswers(t *testing.T, request, response []byte) {
	asked, err := DecodeCgroupsLookupRequest(request)
	if err != nil {
		t.Fatalf("answered a malformed request: %v", err)
	}
	view, err := DecodeCgroupsLookupResponse(response)
	if err != nil || view.ItemCount != asked.ItemCount {
		t.Fatalf("answered with %v, %+v", err, view)
	}
	cut := false
	for i := range view.ItemCount {
		item, _ := view.Item(i)
		key, _ := asked.Item(i)
		if !bytes.Equal(item.Path.Bytes(), key.Bytes()) {
			t.Fatalf("item %d echoes %q, not %q", i, item.Path, key)
		}
		exceeded := item.Status == CgroupLookupPayloadExceeded
		if cut && !exceeded || i == 0 && exceeded || i > 0 && item.Status == CgroupLookupOversizedItem {
			t.Fatalf("item %d has status %d", i, item.Status)
		}
		cut = cut || exceeded
	}
}
