package ring

import (
	"encoding/binary"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
	"unsafe"
)

// newRandom prints its seed, which NETIPC_SEED sets.
func newRandom(t *testing.T) *rand.Rand {
	seed, err := strconv.ParseUint(os.Getenv("NETIPC_SEED"), 10, 64)
	if err != nil {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("NETIPC_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

func TestMemoryLiesAsTheProtocolSays(t *testing.T) {
	memory := newMemory(testLengths)
	m := testLengths.On(memory)
	at := func(p unsafe.Pointer) int { return int(uintptr(p) - uintptr(unsafe.Pointer(&memory[0]))) }
	for what, c := range map[string][2]int{
		"client sleeps":   {at(unsafe.Pointer(m.ClientSleeps.word)), 128},
		"server sleeps":   {at(unsafe.Pointer(m.ServerSleeps.word)), 256},
		"requests taken":  {at(unsafe.Pointer(m.Requests.taken)), 384},
		"responses taken": {at(unsafe.Pointer(m.Responses.taken)), 512},
		"request slots":   {at(unsafe.Pointer(&m.Requests.slots[0])), 1024},
		"response slots":  {at(unsafe.Pointer(&m.Responses.slots[0])), 1024 + 8*64},
		"request bulk":    {at(unsafe.Pointer(&m.Requests.bulk[0])), 1024 + 16*64},
		"response bulk":   {at(unsafe.Pointer(&m.Responses.bulk[0])), 1024 + 16*64 + 512},
		"end":             {testLengths.Size(), 1024 + 16*64 + 1024},
		"start":           {at(unsafe.Pointer(&m.Requests.slots[1].start)), 1024 + 64 + 8},
	} {
		if c[0] != c[1] {
			t.Errorf("%s: at %d instead of %d", what, c[0], c[1])
		}
	}
}

func TestBulkIsForSixteenOfTheLongestMessagesOrAQuarterOfOneWithinLimits(t *testing.T) {
	for payload, bulk := range map[uint32]uint32{
		0: 4096, 100: 4096, 257: 8192, 1024: 16384, 2048: 32768, 1 << 17: 32768, 1<<17 + 4: 65536,
		1 << 20: 1 << 18, 1<<32 - 1: 1 << 18,
	} {
		l := LengthsFor(payload, payload)
		if l.request != (length{128, bulk}) || l.response != l.request || !l.request.isPossible() {
			t.Errorf("%d bytes: %+v", payload, l)
		}
	}
}

func TestReadsTheHeaderItWrites(t *testing.T) {
	want := LengthsFor(100, 5000)
	memory := newMemory(want)
	want.WriteHeader(memory)
	got, err := ReadHeader((*[HeaderLen]byte)(memory))
	if err != nil || got != want {
		t.Errorf("read %+v (%v)", got, err)
	}
}

func TestRefusesAHeaderThatCannotBe(t *testing.T) {
	for name, spoil := range map[string]func(h []byte){
		"magic":         func(h []byte) { h[0]++ },
		"version":       func(h []byte) { h[4]++ },
		"header length": func(h []byte) { h[6]++ },
		"no slots":      func(h []byte) { binary.NativeEndian.PutUint32(h[8:], 0) },
		"few slots":     func(h []byte) { binary.NativeEndian.PutUint32(h[8:], 2) },
		"odd slots":     func(h []byte) { binary.NativeEndian.PutUint32(h[8:], 100) },
		"many slots":    func(h []byte) { binary.NativeEndian.PutUint32(h[8:], 1<<17) },
		"little bulk":   func(h []byte) { binary.NativeEndian.PutUint32(h[12:], 128) },
		"much bulk":     func(h []byte) { binary.NativeEndian.PutUint32(h[12:], 1<<27) },
		"no answers":    func(h []byte) { binary.NativeEndian.PutUint32(h[16:], 0) },
		"odd bulk":      func(h []byte) { binary.NativeEndian.PutUint32(h[20:], 4095) },
	} {
		header := make([]byte, HeaderLen)
		testLengths.WriteHeader(header)
		spoil(header)
		if l, err := ReadHeader((*[HeaderLen]byte)(header)); err == nil {
			t.Errorf("%s: read %+v", name, l)
		}
	}
}
