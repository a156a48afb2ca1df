package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

// Messages of any content: sessions without a service.

const (
	limit      = 20 * time.Second
	code       = 1000
	packetSize = 4096
	most       = 1 << 20 // the longest payload
)

// Lengths around those where a message takes another packet.
var lengths = []int{0, 1, 31, 4064, 4065, 8128, 8129, 65504, 300000, most}

// serveEcho echoes the messages of one client. depth requests of a pipeline are taken before any is
// answered, and the last is answered first.
func serveEcho(m *meeting) error {
	config := serverConfig{
		SupportedProfiles: m.transport.profiles, PreferredProfiles: m.transport.profiles,
		MaxRequestPayloadBytes: most, MaxResponsePayloadBytes: most,
		MaxRequestBatchItems: 16, MaxResponseBatchItems: 16, PacketSize: packetSize,
	}
	listener, err := listen(m.dir, m.service, config)
	if err != nil {
		return err
	}
	defer listener.Close()
	fmt.Println("READY")
	pending, err := listener.AcceptPending()
	if err != nil {
		return err
	}
	link, err := pending.Accept(context.Background(), config)
	if err != nil {
		return err
	}
	defer link.Close()
	depth := uint64(1)
	if m.scenario == "pipeline" {
		depth = m.depth
	}
	if err := echoAll(link, depth); !errors.Is(err, errGone) {
		return err
	}
	return waitForTheEnd()
}

func echoAll(link *messageLink, depth uint64) error {
	type message struct {
		header  protocol.Header
		payload []byte
	}
	for {
		var taken []message
		for range depth {
			header, payload, err := link.Receive(time.Now().Add(limit))
			if err != nil {
				return err
			}
			taken = append(taken, message{header, bytes.Clone(payload)})
		}
		for i := len(taken) - 1; i >= 0; i-- {
			header := taken[i].header
			header.Kind = protocol.KindResponse
			if err := link.Send(&header, taken[i].payload, time.Now().Add(limit)); err != nil {
				return err
			}
		}
	}
}

// echo sends one message after the other, of many lengths, and a batch.
func echo(m *meeting) error {
	link, err := connect(m)
	if err != nil {
		return err
	}
	defer link.Close()
	for at, n := range lengths {
		id := uint64(at + 1)
		header, payload := request(id), payloadOf(id, n)
		if err := link.Send(&header, payload, time.Now().Add(limit)); err != nil {
			return err
		}
		if err := expect(link, header, payload); err != nil {
			return err
		}
	}
	buf := make([]byte, 256)
	builder := protocol.NewBatchBuilder(buf, 3)
	for _, n := range []int{1, 7, 8} {
		if err := builder.Add(payloadOf(uint64(n), n)); err != nil {
			return err
		}
	}
	n, count := builder.Finish()
	header := request(100)
	header.Flags, header.ItemCount = protocol.FlagBatch, count
	if err := link.Send(&header, buf[:n], time.Now().Add(limit)); err != nil {
		return err
	}
	return expect(link, header, buf[:n])
}

// pipeline has many messages on their way at once, answered in another order.
func pipeline(m *meeting) error {
	link, err := connect(m)
	if err != nil {
		return err
	}
	defer link.Close()
	message := func(id uint64) (protocol.Header, []byte) {
		return request(id), payloadOf(id, int(id*523%9000))
	}
	for round := range m.rounds {
		first, last := round*m.depth+1, (round+1)*m.depth
		for id := first; id <= last; id++ {
			header, payload := message(id)
			if err := link.Send(&header, payload, time.Now().Add(limit)); err != nil {
				return err
			}
		}
		for id := last; id >= first; id-- {
			header, payload := message(id)
			if err := expect(link, header, payload); err != nil {
				return err
			}
		}
	}
	return nil
}

func connect(m *meeting) (*messageLink, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	link, err := dial(ctx, m.dir, m.service, &clientConfig{
		SupportedProfiles: m.transport.profiles, PreferredProfiles: m.transport.profiles,
		MaxRequestPayloadBytes: most, MaxResponsePayloadBytes: most,
		MaxRequestBatchItems: 16, MaxResponseBatchItems: 16, PacketSize: packetSize,
	})
	if err != nil {
		return nil, err
	}
	if s := link.Session(); s.SelectedProfile&m.transport.selected == 0 || s.PacketSize != packetSize {
		link.Close()
		return nil, errors.New("another transport or packet size was agreed on")
	}
	return link, nil
}

func request(id uint64) protocol.Header {
	return protocol.Header{
		Magic: protocol.MagicMsg, Version: protocol.Version, HeaderLen: protocol.HeaderLen,
		Kind: protocol.KindRequest, Code: code, ItemCount: 1, MessageID: id,
	}
}

func expect(link *messageLink, request protocol.Header, payload []byte) error {
	header, answer, err := link.Receive(time.Now().Add(limit))
	if err != nil {
		return fmt.Errorf("answer %d: %w", request.MessageID, err)
	}
	wanted := request
	wanted.Kind = protocol.KindResponse
	wanted.PayloadLen = uint32(len(payload))
	if header != wanted {
		return fmt.Errorf("%d was answered with %+v", request.MessageID, header)
	}
	if !bytes.Equal(answer, payload) {
		return fmt.Errorf("%d came back with another payload", request.MessageID)
	}
	return nil
}
