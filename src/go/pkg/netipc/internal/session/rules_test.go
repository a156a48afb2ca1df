package session_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/session"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/vectors"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

func clientRules(packetSize uint32) *session.Rules {
	limits := session.Limits{PayloadBytes: 1 << 20, BatchItems: 16}
	return session.NewRules(true, packetSize, limits, limits)
}

func TestRefusesADuplicateIDBeforeALargePayload(t *testing.T) {
	rules := clientRules(100)
	h := protocol.Header{Kind: protocol.KindRequest, ItemCount: 1, MessageID: 7}
	if err := rules.Admit(&h, 10); err != nil {
		t.Fatal(err)
	}
	if err := rules.Admit(&h, 2<<20); !errors.Is(err, session.ErrDuplicateMsgID) {
		t.Fatalf("got %v", err)
	}
}

func TestReleasesTheIDOfARequestThatIsTooLarge(t *testing.T) {
	rules := clientRules(100)
	h := protocol.Header{Kind: protocol.KindRequest, ItemCount: 1, MessageID: 7}
	if err := rules.Admit(&h, 1<<20+1); !errors.Is(err, session.ErrLimitExceeded) {
		t.Fatalf("got %v", err)
	}
	if err := rules.Admit(&h, 1<<20); err != nil {
		t.Fatal(err)
	}
}

func TestAnIDMayBeUsedAgainAfterItsResponse(t *testing.T) {
	rules := clientRules(100)
	h := protocol.Header{Kind: protocol.KindRequest, ItemCount: 1, MessageID: 7}
	for range 3 {
		if err := rules.Admit(&h, 0); err != nil {
			t.Fatal(err)
		}
		response := h
		response.Kind = protocol.KindResponse
		var packet [protocol.HeaderSize]byte
		response.Encode(packet[:])
		if _, _, err := rules.Open(packet[:]); err != nil {
			t.Fatal(err)
		}
	}
}

func TestForgetsRequestsOnDisconnect(t *testing.T) {
	rules := clientRules(100)
	h := protocol.Header{Kind: protocol.KindRequest, ItemCount: 1, MessageID: 7}
	for range 2 {
		if err := rules.Admit(&h, 0); err != nil {
			t.Fatal(err)
		}
		rules.Disconnect()
	}
}

func TestLimitsApplyToRequestsOfClientsAndResponsesOfServersOnly(t *testing.T) {
	none := session.Limits{}
	for _, c := range []struct {
		isClient bool
		kind     uint16
		refused  bool
	}{
		{true, protocol.KindRequest, true}, {true, protocol.KindControl, false},
		{false, protocol.KindResponse, true}, {false, protocol.KindControl, false},
	} {
		rules := session.NewRules(c.isClient, 100, none, none)
		err := rules.Admit(&protocol.Header{Kind: c.kind, ItemCount: 1}, 0)
		if errors.Is(err, session.ErrLimitExceeded) != c.refused {
			t.Errorf("client %v, kind %d: got %v", c.isClient, c.kind, err)
		}
	}
}

func TestRefusesAMessageThatIsNotWhole(t *testing.T) {
	rules := session.NewRules(false, 100, session.Limits{PayloadBytes: 100, BatchItems: 1}, session.Limits{})
	h := protocol.Header{Magic: protocol.MagicMsg, Version: 1, HeaderLen: 32, Kind: protocol.KindRequest, PayloadLen: 3, ItemCount: 1}
	var message [protocol.HeaderSize + 4]byte
	h.Encode(message[:])
	for length, ok := range map[int]bool{34: false, 35: true, 36: false} {
		if _, _, err := rules.Open(message[:length]); (err == nil) != ok || err != nil && !errors.Is(err, session.ErrProtocol) {
			t.Errorf("%d bytes: got %v", length, err)
		}
	}
}

func TestPacketsWithoutRoomCarryOnlyEmptyMessages(t *testing.T) {
	for _, size := range []uint32{0, 31, 32} {
		h := protocol.Header{}
		if packets, err := cut(&h, nil, size); err != nil || len(packets) != 1 {
			t.Errorf("size %d: %d packets, %v", size, len(packets), err)
		}
		if _, err := cut(&h, []byte{1}, size); !errors.Is(err, session.ErrBadParam) {
			t.Errorf("size %d: got %v", size, err)
		}
	}
}

func TestJoinsWhatWasCut(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 2000 {
		size := 33 + random.Uint32N(200)
		payload := make([]byte, random.IntN(3000))
		for i := range payload {
			payload[i] = byte(random.Uint32())
		}
		sender := clientRules(size)
		header := protocol.Header{Kind: protocol.KindRequest, ItemCount: 1, MessageID: random.Uint64()}
		if err := sender.Admit(&header, len(payload)); err != nil {
			t.Fatal(err)
		}
		packets, err := cut(&header, payload, size)
		if err != nil {
			t.Fatal(err)
		}
		limits := session.Limits{PayloadBytes: uint32(len(payload)), BatchItems: 1}
		got, joined, err := receive(session.NewRules(false, size, limits, limits), packets)
		if err != nil || got != header || string(joined) != string(payload) {
			t.Fatalf("packet size %d, payload of %d bytes: %v", size, len(payload), err)
		}
	}
}

func TestCapacityNeverPassesAConfiguredCeiling(t *testing.T) {
	c := session.NewCapacity(5000, 1024, 1<<20)
	if c.Learn(math.MaxUint32) || c.Now() != 5000 {
		t.Fatalf("grew to %d", c.Now())
	}
}

func TestCapacityGrowsInPowersOfTwo(t *testing.T) {
	c := session.NewCapacity(0, 1024, 1<<20)
	for _, step := range []struct{ need, now uint32 }{{10, 1024}, {1024, 1024}, {1025, 2048}, {1 << 19, 1 << 19}, {math.MaxUint32, 1 << 20}} {
		c.Learn(step.need)
		if c.Now() != step.now {
			t.Fatalf("needing %d: %d, expected %d", step.need, c.Now(), step.now)
		}
	}
	if c.LearnDouble(math.MaxUint32) {
		t.Fatal("grew past the ceiling")
	}
}

func TestAServerWithoutAProfileHasNoneInCommon(t *testing.T) {
	offer := session.Terms{PacketSize: 1000}.WithDefaults()
	hello := offer.Hello()
	terms := offer
	terms.SupportedProfiles = 0
	if reply, _, err := terms.Answer(hello[:], 1); !errors.Is(err, session.ErrNoProfile) || reply == nil {
		t.Fatal(err)
	}
}

func TestAHintRaisesTheResponseLimitUpToItsCeiling(t *testing.T) {
	for hint, expected := range map[uint32]uint32{100: 1024, 4096: 4096, 1 << 30: 8192} {
		offer := session.Terms{MaxResponsePayloadBytes: hint, PacketSize: 1000}.WithDefaults()
		hello := offer.Hello()
		terms := session.Terms{PacketSize: 1000, ResponseCeiling: 8192}.WithDefaults()
		if _, agreed, err := terms.Answer(hello[:], 1); err != nil || agreed.MaxResponsePayloadBytes != expected {
			t.Errorf("hint %d: %+v, %v", hint, agreed, err)
		}
	}
}

func TestARequestLimitOf0IsTheDefaultAsFarAsTheServerAllowsIt(t *testing.T) {
	hello := session.Terms{SupportedProfiles: 1, PacketSize: 1000}.Hello()
	for limit, expected := range map[uint32]uint32{100: 100, 1 << 20: 1024} {
		terms := session.Terms{MaxRequestPayloadBytes: limit, PacketSize: 1000}.WithDefaults()
		if _, agreed, err := terms.Answer(hello[:], 1); err != nil || agreed.MaxRequestPayloadBytes != expected {
			t.Errorf("limit %d: %+v, %v", limit, agreed, err)
		}
	}
}

func FuzzHandshake(f *testing.F) {
	for _, v := range vectors.All(f) {
		if v.Target == "server_handshake" || v.Target == "client_handshake" {
			f.Add([]byte(v.Hex))
		}
	}
	terms := session.Terms{SupportedProfiles: 3, AuthToken: 7, PacketSize: 1000}.WithDefaults()
	f.Fuzz(func(t *testing.T, packet []byte) {
		reply, agreement, err := terms.Answer(packet, 1)
		if (err == nil) != (agreement != session.Agreement{}) || err == nil && reply == nil {
			t.Fatalf("%v with %+v", err, agreement)
		}
		if agreement, err := terms.Accept(packet); err == nil && agreement.PacketSize <= protocol.HeaderSize {
			t.Fatalf("accepted %+v", agreement)
		}
	})
}

func FuzzReceive(f *testing.F) {
	for _, v := range vectors.All(f) {
		if v.Target == "receive" && len(v.Packets) > 1 {
			f.Add([]byte(v.Packets[0]), []byte(v.Packets[1]))
		}
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		limits := session.Limits{PayloadBytes: 1000, BatchItems: 16}
		rules := session.NewRules(false, 100, limits, limits)
		header, join, err := rules.Begin(first, len(first))
		if err != nil {
			return
		}
		payload := append([]byte{}, first[protocol.HeaderSize:]...)
		if join.Missing() > 0 {
			n, err := join.Next(second, len(second))
			if err != nil {
				return
			}
			payload = append(payload, second[protocol.HeaderSize:][:n]...)
		}
		if len(payload)+join.Missing() != int(header.PayloadLen) {
			t.Fatalf("%d bytes here, %d missing, %d announced", len(payload), join.Missing(), header.PayloadLen)
		}
		if join.Missing() == 0 && rules.Finish(&header, payload) == nil && header.Flags&protocol.FlagBatch != 0 && header.ItemCount > 1 {
			for i := range header.ItemCount {
				if _, err := protocol.BatchItemGet(payload, header.ItemCount, i); err != nil {
					t.Fatalf("item %d of a checked batch: %v", i, err)
				}
			}
		}
	})
}
