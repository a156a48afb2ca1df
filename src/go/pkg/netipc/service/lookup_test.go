package service_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/service/apps_lookup"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/service/cgroups_lookup"
)

// cgroupsProvider knows every path: its name is what nameOf says.
func cgroupsProvider(request, response uint32, nameOf func(path []byte) []byte) *provider {
	p := &provider{method: protocol.MethodCgroupsLookup, request: request, response: response, ceiling: response}
	p.responder = func(request, out []byte) (int, error) {
		return protocol.DispatchCgroupsLookup(request, out, func(req *protocol.CgroupsLookupRequestView, b *protocol.CgroupsLookupBuilder) bool {
			p.mostKeys = max(p.mostKeys, int(req.ItemCount))
			b.SetGeneration(7)
			for i := range req.ItemCount {
				path, err := req.Item(i)
				if err != nil {
					return false
				}
				if b.AddRequestItem(req, i, protocol.CgroupLookupKnown, protocol.OrchestratorDocker, nameOf(path.Bytes()), nil) != nil {
					return false
				}
			}
			return true
		})
	}
	return p
}

func nameOf(path []byte) []byte { return append([]byte("name of "), path...) }

// lookupClient makes a client of p that proposes requests of the given size.
func lookupClient(t *testing.T, p *provider, config cgroups_lookup.ClientConfig) *cgroups_lookup.Client {
	client := cgroups_lookup.NewClient("", "lookup", config)
	client.DialWith(p.dial)
	connect(t, client)
	return client
}

func paths(n int) [][]byte {
	keys := make([][]byte, n)
	for i := range keys {
		keys[i] = fmt.Appendf(nil, "/system.slice/service-%d", i)
	}
	return keys
}

// checkNames fails the test unless every key has its name, in order.
func checkNames(t *testing.T, keys [][]byte, view *protocol.CgroupsLookupResponseView, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if int(view.ItemCount) != len(keys) || view.Generation != 7 {
		t.Fatalf("%d keys, view %+v", len(keys), view)
	}
	for i, key := range keys {
		item, err := view.Item(uint32(i))
		if err != nil || item.Status != protocol.CgroupLookupKnown || !bytes.Equal(item.Path.Bytes(), key) || !bytes.Equal(item.Name.Bytes(), nameOf(key)) {
			t.Fatalf("item %d: %+v, %v", i, item, err)
		}
	}
}

func TestLookupsOfAnySizeSucceedWithinEqualLimits(t *testing.T) {
	for _, limit := range []uint32{1024, 4096, 65536} {
		for _, n := range []int{0, 1, 2, 21, 100, 2000, 65536} {
			if n/int(limit/64) > 4000 {
				continue // more requests than a lookup may take
			}
			t.Run(fmt.Sprintf("%d keys within %d bytes", n, limit), func(t *testing.T) {
				p := cgroupsProvider(limit, limit, nameOf)
				client := lookupClient(t, p, cgroups_lookup.ClientConfig{MaxRequestPayloadBytes: limit, MaxResponsePayloadBytes: limit})
				keys := paths(n)
				view, err := client.Call(keys)
				checkNames(t, keys, view, err)
				if most := 3 + n*200/int(limit); p.asked > most {
					t.Errorf("took %d requests, more than %d", p.asked, most)
				}
			})
		}
	}
}

func TestOneRequestIsEnoughWhereEverythingFits(t *testing.T) {
	p := cgroupsProvider(1<<20, 1<<20, nameOf)
	client := lookupClient(t, p, cgroups_lookup.ClientConfig{MaxRequestPayloadBytes: 1 << 20})
	keys := paths(1000)
	view, err := client.Call(keys)
	checkNames(t, keys, view, err)
	if s := client.Status(); p.asked != 1 || s.CallCount != 1 {
		t.Fatalf("%d requests, status %+v", p.asked, s)
	}
}

func TestAnAnswerNoResponseHoldsIsOversizedAndTheOthersAreNot(t *testing.T) {
	p := cgroupsProvider(4096, 1024, func(path []byte) []byte {
		if bytes.Equal(path, []byte("/system.slice/service-3")) {
			return bytes.Repeat([]byte("n"), 2000)
		}
		return nameOf(path)
	})
	client := lookupClient(t, p, cgroups_lookup.ClientConfig{MaxRequestPayloadBytes: 4096, MaxResponsePayloadBytes: 1024})
	view, err := client.Call(paths(30))
	if err != nil {
		t.Fatal(err)
	}
	for i := range view.ItemCount {
		item, _ := view.Item(i)
		if oversized := item.Status == protocol.CgroupLookupOversizedItem; oversized != (i == 3) {
			t.Fatalf("item %d has status %d", i, item.Status)
		}
	}
}

func TestAFirstAnswerCalledOversizedIsAskedForAlone(t *testing.T) {
	p := cgroupsProvider(4096, 65536, nameOf)
	honest := p.responder
	p.responder = func(request, out []byte) (int, error) {
		n, err := honest(request, out)
		if view, _ := protocol.DecodeCgroupsLookupRequest(request); err == nil && view.ItemCount > 1 {
			path, _ := view.Item(0)
			return replaceFirst(out[:n], protocol.CgroupsLookupOversizedItem(path.Bytes()))
		}
		return n, err
	}
	client := lookupClient(t, p, cgroups_lookup.ClientConfig{MaxRequestPayloadBytes: 4096})
	keys := paths(3)
	view, err := client.Call(keys)
	checkNames(t, keys, view, err)
}

// replaceFirst replaces the first item of a response.
func replaceFirst(response, item []byte) (int, error) {
	view, err := protocol.DecodeCgroupsLookupResponse(bytes.Clone(response))
	if err != nil {
		return 0, err
	}
	raw := [][]byte{item}
	for i := uint32(1); i < view.ItemCount; i++ {
		other, err := view.RawItem(i)
		if err != nil {
			return 0, err
		}
		raw = append(raw, other)
	}
	return protocol.EncodeCgroupsLookupRawResponse(raw, view.Generation, response)
}

func TestAServiceThatRefusesManyKeysIsAskedForFewer(t *testing.T) {
	for _, ceiling := range []uint32{65536, 1 << 24} { // growing does not help
		p := cgroupsProvider(65536, 65536, nameOf)
		p.ceiling = ceiling
		honest := p.responder
		p.responder = func(request, out []byte) (int, error) {
			if view, _ := protocol.DecodeCgroupsLookupRequest(request); view.ItemCount > 5 {
				return 0, protocol.ErrOverflow
			}
			return honest(request, out)
		}
		client := lookupClient(t, p, cgroups_lookup.ClientConfig{MaxRequestPayloadBytes: 65536, MaxResponsePayloadBytes: 1 << 20})
		keys := paths(100)
		view, err := client.Call(keys)
		checkNames(t, keys, view, err)
		if p.mostKeys > 5 {
			t.Fatalf("answered %d keys at once", p.mostKeys)
		}
	}
}

func TestAPathTooLongForTheConfiguredRequestIsOversizedWithoutAsking(t *testing.T) {
	p := cgroupsProvider(1<<20, 65536, nameOf)
	client := lookupClient(t, p, cgroups_lookup.ClientConfig{MaxRequestPayloadBytes: 256})
	tooLong := []byte("/" + strings.Repeat("x", 300))
	keys := [][]byte{[]byte("/a"), tooLong, []byte("/b")}
	view, err := client.Call(keys)
	if err != nil {
		t.Fatal(err)
	}
	for i, expected := range []uint16{protocol.CgroupLookupKnown, protocol.CgroupLookupOversizedItem, protocol.CgroupLookupKnown} {
		if item, _ := view.Item(uint32(i)); item.Status != expected || !bytes.Equal(item.Path.Bytes(), keys[i]) {
			t.Fatalf("item %d: %+v", i, item)
		}
	}
	if view, err = client.Call([][]byte{tooLong}); err != nil || view.ItemCount != 1 || view.Generation != 7 {
		t.Fatalf("alone: %+v, %v", view, err)
	}
	if p.dials != 1 {
		t.Fatalf("%d sessions", p.dials)
	}
}

func TestALongPathGetsALargerSessionIfNothingElseIsConfigured(t *testing.T) {
	p := cgroupsProvider(1<<20, 65536, nameOf)
	client := lookupClient(t, p, cgroups_lookup.ClientConfig{})
	keys := [][]byte{[]byte("/a"), []byte("/" + strings.Repeat("x", 5000))}
	view, err := client.Call(keys)
	checkNames(t, keys, view, err)
	if s := client.Status(); s.ReconnectCount != 1 {
		t.Fatalf("status %+v", s)
	}
}

func TestALongPathIsOversizedIfTheServiceTakesNoLargerRequests(t *testing.T) {
	p := cgroupsProvider(2048, 65536, nameOf)
	client := lookupClient(t, p, cgroups_lookup.ClientConfig{})
	view, err := client.Call([][]byte{[]byte("/a"), []byte("/" + strings.Repeat("x", 5000)), []byte("/b")})
	if err != nil {
		t.Fatal(err)
	}
	if item, _ := view.Item(1); item.Status != protocol.CgroupLookupOversizedItem || !client.Ready() {
		t.Fatalf("%+v, %v", item, client.Status())
	}
}

func TestRandomLookupsAreAnsweredCompletely(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 300 {
		name := func(path []byte) []byte { return bytes.Repeat([]byte{'n'}, int(path[1])*int(path[len(path)-1])%400) }
		p := cgroupsProvider(1<<20, 500+random.Uint32N(4000), name)
		client := lookupClient(t, p, cgroups_lookup.ClientConfig{MaxRequestPayloadBytes: 300 + random.Uint32N(4000), MaxResponsePayloadBytes: p.response})
		keys := make([][]byte, random.IntN(200))
		for i := range keys {
			keys[i] = fmt.Appendf(nil, "/%d%s", random.Uint32(), strings.Repeat("x", random.IntN(100)))
		}
		view, err := client.Call(keys)
		if err != nil {
			t.Fatalf("%d keys: %v", len(keys), err)
		}
		for i, key := range keys {
			item, err := view.Item(uint32(i))
			if err != nil || !bytes.Equal(item.Path.Bytes(), key) {
				t.Fatalf("item %d: %+v, %v", i, item, err)
			}
			fits := 24+28+len(key)+1+len(name(key))+1 <= int(p.response)
			if known := item.Status == protocol.CgroupLookupKnown; known != fits || known && item.Name.Len() != uint32(len(name(key))) {
				t.Fatalf("item %d with a name of %d: %+v", i, len(name(key)), item)
			}
		}
	}
}

func TestAppsLookupsAreSplitLikeOthers(t *testing.T) {
	p := &provider{method: protocol.MethodAppsLookup, request: 1024, response: 1024, ceiling: 1024}
	p.responder = func(request, out []byte) (int, error) {
		return protocol.DispatchAppsLookup(request, out, func(req *protocol.AppsLookupRequestView, b *protocol.AppsLookupBuilder) bool {
			for i := range req.ItemCount {
				pid, _ := req.Item(i)
				if b.Add(protocol.PidLookupKnown, protocol.AppsCgroupHostRoot, 0, pid, pid-1, 1000, uint64(pid)*3, []byte("comm"), nil, nil, nil) != nil {
					return false
				}
			}
			return true
		})
	}
	client := apps_lookup.NewClient("", "apps", apps_lookup.ClientConfig{})
	client.DialWith(p.dial)
	connect(t, client)
	pids := make([]uint32, 1000)
	for i := range pids {
		pids[i] = uint32(i + 1)
	}
	view, err := client.Call(pids)
	if err != nil || int(view.ItemCount) != len(pids) {
		t.Fatalf("%+v, %v", view, err)
	}
	for i, pid := range pids {
		if item, err := view.Item(uint32(i)); err != nil || item.Pid != pid || item.Ppid != pid-1 || item.Starttime != uint64(pid)*3 || item.Comm.String() != "comm" {
			t.Fatalf("item %d: %+v, %v", i, item, err)
		}
	}
}
