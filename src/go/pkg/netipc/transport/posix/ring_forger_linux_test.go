package posix

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/carrier"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/ring"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/session"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

// A ringForger is a client over rings that can write to memory what it likes.
type ringForger struct {
	conn   *conn
	bell   *bell
	mem    []byte
	memory ring.Memory
	out    ring.Writer
}

// mustForgeRings makes a link of which the client's end is in our hands.
func mustForgeRings(t *testing.T, in func(testing.TB, func())) (client *ringForger, server *Link) {
	t.Helper()
	l := mustListen(t, shortDir(t), ServerConfig{SupportedProfiles: turns})
	c := mustDial(t, l.path)
	pending, err := l.AcceptPending()
	noError(t, err)
	c.awaitHanded()
	hello := (&ClientConfig{SupportedProfiles: turns}).terms(c).Hello()
	noError(t, c.Send(hello[:], nil, soon()))
	in(t, func() { server, err = pending.Accept(context.Background(), l.currentConfig()) })
	noError(t, err)
	t.Cleanup(server.Close)
	_, err = carrier.ReceiveHandshake(c, soon())
	noError(t, err)
	opened, err := rings{}.Open(c, &session.Agreement{})
	noError(t, err)
	t.Cleanup(opened.Close)
	e := opened.(*ringEnd)
	lengths, err := ring.ReadHeader((*[ring.HeaderLen]byte)(e.mem))
	noError(t, err)
	return &ringForger{c, e.bell, e.mem, lengths.On(e.mem), e.out}, server
}

// put writes a record, whole, and rings.
func (f *ringForger) put(t *testing.T, record []byte) {
	t.Helper()
	if n, err := f.out.Push(nil, record); err != nil || n != len(record) {
		t.Fatalf("put %d bytes of %d (%v)", n, len(record), err)
	}
	noError(t, f.bell.ring())
}

// record is the first of a message of payload bytes, whose header was changed.
func record(size int, payload uint32, change func(*protocol.Header)) []byte {
	h := request(5)
	h.Magic, h.Version, h.HeaderLen, h.PayloadLen = protocol.MagicMsg, protocol.Version, protocol.HeaderLen, payload
	change(h)
	r := make([]byte, max(size, protocol.HeaderSize))
	h.Encode(r)
	return r[:size]
}

func TestARecordIsJudgedLikeAnyPacket(t *testing.T) {
	same := func(*protocol.Header) {}
	for name, c := range map[string]struct {
		records [][]byte
		want    error
	}{
		"short":               {[][]byte{make([]byte, 31)}, ErrProtocol},
		"magic":               {[][]byte{record(40, 8, func(h *protocol.Header) { h.Magic++ })}, ErrProtocol},
		"control":             {[][]byte{record(40, 8, func(h *protocol.Header) { h.Kind = protocol.KindControl })}, ErrProtocol},
		"says less":           {[][]byte{record(40, 7, same)}, ErrProtocol},
		"says too much":       {[][]byte{record(40, 1025, same)}, ErrLimitExceeded},
		"says very much":      {[][]byte{record(40, math.MaxUint32, same)}, ErrLimitExceeded},
		"is too much":         {[][]byte{record(4040, 4008, same)}, ErrLimitExceeded},
		"hides that it is":    {[][]byte{record(4040, 8, same)}, ErrProtocol},
		"goes on too long":    {[][]byte{record(40, 100, same), make([]byte, 93)}, ErrProtocol},
		"too many items":      {[][]byte{record(40, 8, func(h *protocol.Header) { h.ItemCount = 2 })}, ErrLimitExceeded},
		"in too many records": {[][]byte{record(40, 100, same), make([]byte, 92)}, ErrProtocol},
		"is as much as may":   {[][]byte{record(1056, 1024, same)}, nil},
		"header stands alone": {[][]byte{record(32, 8, same), make([]byte, 8)}, ErrProtocol},
	} {
		t.Run(name, func(t *testing.T) {
			client, server := mustForgeRings(t, anywhere)
			for _, r := range c.records {
				client.put(t, r)
			}
			h, _, err := server.Receive(soon())
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, expected %v", err, c.want)
			}
			if errors.Is(err, ErrLimitExceeded) && h.MessageID != 5 {
				t.Errorf("header %+v", h)
			}
		})
	}
}

// word names a word of the memory.
func (f *ringForger) word(at int) *uint64 { return word64(f.mem, at) }

func TestPlayingWithRingsEndsTheLink(t *testing.T) {
	receive := func(server *Link) error { _, _, err := server.Receive(soon()); return err }
	send := func(server *Link) error {
		for {
			if err := server.Send(response(1), make([]byte, 1000), soon()); err != nil {
				return err
			}
		}
	}
	for name, c := range map[string]struct {
		play func(t *testing.T, client *ringForger)
		do   func(server *Link) error
	}{
		"record of no bytes": {func(_ *testing.T, client *ringForger) {
			atomic.StoreUint64(client.word(ring.SlotsAt), 1)
		}, receive},
		"record of 4 GiB": {func(_ *testing.T, client *ringForger) {
			atomic.StoreUint64(client.word(ring.SlotsAt), math.MaxUint32<<32|1)
		}, receive},
		"more taken than sent": {func(_ *testing.T, client *ringForger) {
			atomic.StoreUint64(client.word(512), 1<<40)
		}, send},
		"packet on the side": {func(t *testing.T, client *ringForger) {
			noError(t, client.conn.Send([]byte("psst"), nil, soon()))
		}, receive},
	} {
		t.Run(name, func(t *testing.T) {
			client, server := mustForgeRings(t, anywhere)
			c.play(t, client)
			wantError(t, c.do(server), ErrProtocol)
		})
	}
}

func TestKnocksForNothingDoNoHarm(t *testing.T) {
	client, server := mustForgeRings(t, whereDescriptorsAreScarce)
	knocks := 0
	for ; knocks < 5000; knocks++ {
		if n, err := sendPacket(client.conn.fd, []byte{1}, nil); err == syscall.EAGAIN {
			break
		} else if err != nil || n != 1 {
			t.Fatalf("sent %d bytes (%v)", n, err)
		}
	}
	_, _, err := server.Receive(time.Now().Add(20 * time.Millisecond))
	if !errors.Is(err, ErrTimeout) && !errors.Is(err, ErrProtocol) {
		t.Errorf("after %d knocks: %v", knocks, err)
	}
	if errors.Is(err, ErrProtocol) != (knocks > mostKnocks) {
		t.Errorf("%d knocks: %v", knocks, err)
	}
	client.put(t, record(32, 0, func(*protocol.Header) {}))
	if _, _, again := server.Receive(soon()); errors.Is(err, ErrTimeout) && again != nil {
		t.Errorf("then: %v", again)
	}
}

func TestAPeerThatScribblesInMemoryHurtsNobodyElse(t *testing.T) {
	seed, err := strconv.ParseUint(os.Getenv("NETIPC_SEED"), 10, 64)
	if err != nil {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("NETIPC_SEED=%d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	outcomes := map[string]int{}
	for range 100 {
		in := anywhere
		if random.IntN(2) == 0 {
			in = whereDescriptorsAreScarce
		}
		client, server := mustForgeRings(t, in)
		ended := make(chan error, 1)
		go func() { ended <- answerAll(server, 1) }()
		for range random.IntN(300) {
			switch random.IntN(6) {
			case 0: // anything anywhere
				at := random.IntN(len(client.mem)/8) * 8
				atomic.StoreUint64(client.word(at), random.Uint64()>>random.IntN(64))
			case 1: // what somebody sleeps for, or has taken
				atomic.StoreUint64(client.word(128*(1+random.IntN(4))), random.Uint64N(300))
			case 2: // the next records
				at := ring.SlotsAt + 64*random.IntN(8)
				atomic.StoreUint64(client.word(at), random.Uint64N(5000)<<32|random.Uint64N(10))
			case 3: // a page is taken out
				const remove = 9 // MADV_REMOVE
				page := random.IntN(len(client.mem)/os.Getpagesize()) * os.Getpagesize()
				noError(t, syscall.Madvise(client.mem[page:][:os.Getpagesize()], remove))
			default:
				_, _ = client.out.Push(nil, record(32+random.IntN(100), random.Uint32N(200), func(h *protocol.Header) { h.MessageID = random.Uint64() }))
				noError(t, client.bell.ring())
			}
		}
		client.conn.Close()
		outcome := await(t, "the server's end is over", ended)
		outcomes[fmt.Sprint(errors.Is(outcome, ErrProtocol), errors.Is(outcome, ErrRecv), errors.Is(outcome, ErrSend), errors.Is(outcome, ErrLimitExceeded))]++
		server.Close()
	}
	t.Logf("protocol, gone, gone, too long: %v", outcomes)
	if len(outcomes) < 2 {
		t.Errorf("all went the same way: %v", outcomes)
	}
}
