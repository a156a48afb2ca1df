package service_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/service"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/service/cgroups_lookup"
)

func TestAChangeOfGenerationStartsTheLookupAgainOnce(t *testing.T) {
	for changes, succeeds := range map[int]bool{1: true, 2: false} {
		p := cgroupsProvider(1024, 1024, nameOf)
		honest := p.responder
		generation, seen := uint64(7-changes), 0
		p.responder = func(request, out []byte) (int, error) {
			n, err := honest(request, out)
			if seen++; seen%3 == 0 && generation < 7 {
				generation++
			}
			view, decodeErr := protocol.DecodeCgroupsLookupResponse(bytes.Clone(out[:n]))
			if err != nil || decodeErr != nil {
				return n, err
			}
			var raw [][]byte
			for i := range view.ItemCount {
				item, _ := view.RawItem(i)
				raw = append(raw, item)
			}
			return protocol.EncodeCgroupsLookupRawResponse(raw, generation, out)
		}
		client := lookupClient(t, p, cgroups_lookup.ClientConfig{})
		keys := paths(100)
		view, err := client.Call(keys)
		if succeeds {
			checkNames(t, keys, view, err)
			continue
		}
		mustFail(t, err, protocol.ErrBadLayout)
		if s := client.Status(); s.State != service.StateReady || s.ErrorCount != 1 {
			t.Fatalf("status %+v", s)
		}
	}
}

func TestAnswersThatDoNotFitTheKeysFailTheLookupAndKeepTheSession(t *testing.T) {
	item := func(status uint16, path string) []byte {
		b := protocol.CgroupsLookupOversizedItem([]byte(path))
		b[2] = byte(status)
		return b
	}
	const known, exceeded = protocol.CgroupLookupKnown, protocol.CgroupLookupPayloadExceeded
	for name, c := range map[string]struct {
		items [][]byte
		kind  error
	}{
		"too few":            {[][]byte{item(known, "/a")}, protocol.ErrBadItemCount},
		"too many":           {[][]byte{item(known, "/a"), item(known, "/b"), item(known, "/c")}, protocol.ErrBadItemCount},
		"other order":        {[][]byte{item(known, "/b"), item(known, "/a")}, protocol.ErrBadLayout},
		"left out, then not": {[][]byte{item(exceeded, "/a"), item(known, "/b")}, protocol.ErrOverflow},
		"nothing answered":   {[][]byte{item(exceeded, "/a"), item(exceeded, "/b")}, protocol.ErrOverflow},
		"another's left out": {[][]byte{item(known, "/a"), item(exceeded, "/c")}, protocol.ErrBadLayout},
	} {
		t.Run(name, func(t *testing.T) {
			p := cgroupsProvider(1024, 1024, nameOf)
			p.responder = func(_, out []byte) (int, error) {
				return protocol.EncodeCgroupsLookupRawResponse(c.items, 7, out)
			}
			client := lookupClient(t, p, cgroups_lookup.ClientConfig{})
			_, err := client.Call([][]byte{[]byte("/a"), []byte("/b")})
			mustFail(t, err, c.kind)
			if s := client.Status(); s.State != service.StateReady || s.ReconnectCount != 0 || s.ErrorCount != 1 {
				t.Fatalf("status %+v", s)
			}
		})
	}
}

func TestLookupsHaveLimits(t *testing.T) {
	p := cgroupsProvider(1024, 1024, nameOf)
	for name, config := range map[string]cgroups_lookup.ClientConfig{
		"keys":     {MaxLogicalLookupItems: 99},
		"requests": {MaxLogicalLookupSubcalls: 3},
		"bytes":    {MaxLogicalLookupResponseBytes: 3000},
	} {
		client := lookupClient(t, p, config)
		if _, err := client.Call(paths(100)); err == nil {
			t.Errorf("%s: no limit", name)
		} else {
			mustFail(t, err, protocol.ErrOverflow)
		}
	}
}

func TestARequestIsSentTwiceAtMostForALostSession(t *testing.T) {
	p := cgroupsProvider(1024, 1024, nameOf)
	lost := fmt.Errorf("lost")
	p.before = func(asked int) error {
		if asked == 3 || asked == 5 {
			return lost // one request each, and not its repetition
		}
		return nil
	}
	client := lookupClient(t, p, cgroups_lookup.ClientConfig{})
	keys := paths(100)
	view, err := client.Call(keys)
	checkNames(t, keys, view, err)
	if s := client.Status(); s.ReconnectCount != 2 {
		t.Fatalf("status %+v", s)
	}
	p.asked, p.before = 0, func(int) error { return lost }
	_, err = client.Call(keys)
	mustFail(t, err, protocol.ErrTruncated)
	if s := client.Status(); p.asked != 2 || s.State != service.StateBroken {
		t.Fatalf("asked %d times, status %+v", p.asked, s)
	}
}

func TestAnAbortBetweenRequestsOfALookupKeepsTheSession(t *testing.T) {
	p := cgroupsProvider(1024, 1024, nameOf)
	client := lookupClient(t, p, cgroups_lookup.ClientConfig{})
	p.before = func(asked int) error {
		if asked == 2 {
			client.Abort() // too late for this request, and in time for the next
		}
		return nil
	}
	_, err := client.Call(paths(100))
	mustFail(t, err, protocol.ErrAborted)
	if s := client.Status(); p.asked != 2 || s.State != service.StateReady || s.ErrorCount != 0 {
		t.Fatalf("asked %d times, status %+v", p.asked, s)
	}
	client.ClearAbort()
	keys := paths(100)
	view, err := client.Call(keys)
	checkNames(t, keys, view, err)
}

func TestAnEmptyOrUnwritablePathIsTheCallersError(t *testing.T) {
	p := cgroupsProvider(1024, 1024, nameOf)
	client := lookupClient(t, p, cgroups_lookup.ClientConfig{})
	for _, path := range []string{"", "a\x00b"} {
		_, err := client.Call([][]byte{[]byte(path)})
		mustFail(t, err, protocol.ErrBadLayout)
	}
	if p.asked != 0 || !client.Ready() {
		t.Fatal("asked all the same")
	}
}
