package windows

import (
	"bytes"
	"sync/atomic"
	"testing"
)

func TestStartsFromWhatWasSaidBefore(t *testing.T) {
	dir := ownDir(t)
	server, err := WinShmServerCreate(dir, "svc", 42, 1, WinShmProfileHybrid, 100, 100)
	noError(t, err)
	defer server.WinShmClose()
	noError(t, server.WinShmSend([]byte("old")))
	client, err := WinShmClientAttach(dir, "svc", 42, 1, WinShmProfileHybrid)
	noError(t, err)
	defer client.WinShmClose()
	_, err = client.WinShmReceive(make([]byte, 10), 1)
	wantError(t, err, ErrWinShmTimeout)
}

func TestOnlyWhoKnowsTheNameFindsTheRegion(t *testing.T) {
	dir := ownDir(t)
	server, err := WinShmServerCreate(dir, "svc", 42, 1, WinShmProfileHybrid, 100, 100)
	noError(t, err)
	defer server.WinShmClose()
	for name, attach := range map[string]func() (*WinShmContext, error){
		"another token":     func() (*WinShmContext, error) { return WinShmClientAttach(dir, "svc", 43, 1, WinShmProfileHybrid) },
		"another session":   func() (*WinShmContext, error) { return WinShmClientAttach(dir, "svc", 42, 2, WinShmProfileHybrid) },
		"another service":   func() (*WinShmContext, error) { return WinShmClientAttach(dir, "other", 42, 1, WinShmProfileHybrid) },
		"another directory": func() (*WinShmContext, error) { return WinShmClientAttach(dir+"2", "svc", 42, 1, WinShmProfileHybrid) },
		"another profile":   func() (*WinShmContext, error) { return WinShmClientAttach(dir, "svc", 42, 1, WinShmProfileBusywait) },
	} {
		if _, err := attach(); err == nil || !bytes.Contains([]byte(err.Error()), []byte("shared memory Local")) {
			t.Errorf("%s: %v", name, err)
		} else {
			wantError(t, err, ErrWinShmOpenMapping)
		}
	}
}

func TestARegionIsMadeOnce(t *testing.T) {
	eachProfile(t, func(t *testing.T, profile uint32) {
		dir := ownDir(t)
		client, err := (*WinShmContext)(nil), error(nil)
		server, err := WinShmServerCreate(dir, "svc", 42, 1, profile, 100, 100)
		noError(t, err)
		_, err = WinShmServerCreate(dir, "svc", 42, 1, profile, 100, 100)
		wantError(t, err, ErrWinShmAddrInUse)
		client, err = WinShmClientAttach(dir, "svc", 42, 1, profile)
		noError(t, err)
		server.WinShmDestroy()
		_, err = WinShmServerCreate(dir, "svc", 42, 1, profile, 100, 100) // the client has it still
		wantError(t, err, ErrWinShmAddrInUse)
		client.WinShmClose()
		server, err = WinShmServerCreate(dir, "svc", 42, 1, profile, 100, 100)
		noError(t, err)
		server.WinShmClose()
	})
}

func TestARegionOfWhichAnEventIsTakenIsInUse(t *testing.T) {
	dir := ownDir(t)
	names, err := endpoint{dir, "svc"}.objects(42, 1, WinShmProfileHybrid)
	noError(t, err)
	for _, name := range []string{names.requestEvent, names.responseEvent} {
		event, err := createEvent(wide(name), false, nil)
		noError(t, err)
		_, err = WinShmServerCreate(dir, "svc", 42, 1, WinShmProfileHybrid, 100, 100)
		wantError(t, err, ErrWinShmAddrInUse)
		closeHandles(event)
	}
	server, err := WinShmServerCreate(dir, "svc", 42, 1, WinShmProfileHybrid, 100, 100) // nothing was left behind
	noError(t, err)
	server.WinShmClose()
}

func TestRefusesParametersThatCannotBe(t *testing.T) {
	for _, profile := range []uint32{0, 1, 6, 8} {
		_, err := WinShmServerCreate(ownDir(t), "svc", 42, 1, profile, 100, 100)
		wantError(t, err, ErrWinShmBadParam)
		_, err = WinShmClientAttach(ownDir(t), "svc", 42, 1, profile)
		wantError(t, err, ErrWinShmBadParam)
	}
	_, err := WinShmServerCreate(ownDir(t), "..", 42, 1, WinShmProfileHybrid, 100, 100)
	wantError(t, err, ErrWinShmBadParam)
	_, err = WinShmServerCreate(ownDir(t), "svc", 42, 1, WinShmProfileHybrid, 0, 100)
	wantError(t, err, ErrWinShmBadParam)
}

func TestAMappingThatIsNoRegionIsRefused(t *testing.T) {
	l, err := newLayout(100, 100)
	noError(t, err)
	for name, c := range map[string]struct {
		size  uint64
		write func(mem []byte)
		want  error
	}{
		"empty":        {4096, func([]byte) {}, ErrWinShmBadMagic},
		"too short":    {4096, func(mem []byte) { long, _ := newLayout(10000, 100); long.writeHeader(mem, WinShmProfileHybrid, 1) }, ErrWinShmBadHeader},
		"no events":    {4096, func(mem []byte) { l.writeHeader(mem, WinShmProfileHybrid, 1) }, ErrWinShmOpenEvent},
		"other inside": {4096, func(mem []byte) { l.writeHeader(mem, WinShmProfileBusywait, 1) }, ErrWinShmBadProfile},
	} {
		t.Run(name, func(t *testing.T) {
			dir := ownDir(t)
			names, err := endpoint{dir, "svc"}.objects(42, 1, WinShmProfileHybrid)
			noError(t, err)
			mapping, err := createFileMapping(wide(names.mapping), c.size, nil)
			noError(t, err)
			mem, err := mapView(mapping)
			noError(t, err)
			c.write(mem)
			_, err = WinShmClientAttach(dir, "svc", 42, 1, WinShmProfileHybrid)
			wantError(t, err, c.want)
			noError(t, unmapView(mem))
			closeHandles(mapping)
			server, err := WinShmServerCreate(dir, "svc", 42, 1, WinShmProfileHybrid, 100, 100) // nobody else has it open
			noError(t, err)
			server.WinShmClose()
		})
	}
}

func TestTheServerDoesNotSayHowLongToSpin(t *testing.T) {
	dir := ownDir(t)
	server, err := WinShmServerCreate(dir, "svc", 42, 1, WinShmProfileBusywait, 100, 100)
	noError(t, err)
	defer server.WinShmClose()
	atomic.StoreUint32(word[uint32](server.mem, offsetSpinTries), 1<<32-1)
	client, err := WinShmClientAttach(dir, "svc", 42, 1, WinShmProfileBusywait)
	noError(t, err)
	defer client.WinShmClose()
	if client.SpinTries > spinTries {
		t.Errorf("%d tries", client.SpinTries)
	}
}
