package service_test

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/session"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/service"
)

// A provider is a server in memory that tests make misbehave: it answers a client's
// requests as they are sent, in sessions without a transport.
type provider struct {
	method    uint16
	responder service.Responder
	request   uint32 // most a client may propose
	response  uint32 // limit granted now
	ceiling   uint32 // to which it grows

	dials    int
	asked    int
	mostKeys int
	redial   func(context.Context) error // what dialing again fails with
	before   func(asked int) error       // a request
}

func (p *provider) dial(ctx context.Context, request, response uint32) (service.Link, error) {
	p.dials++
	if p.dials > 1 && p.redial != nil {
		if err := p.redial(ctx); err != nil {
			return nil, err
		}
	}
	if request > p.request {
		return nil, fmt.Errorf("connect: %w", session.ErrLimitExceeded)
	}
	a := session.Agreement{
		SelectedProfile: protocol.ProfileBaseline, MaxRequestPayloadBytes: request, MaxRequestBatchItems: 1,
		MaxResponsePayloadBytes: p.response, MaxResponseBatchItems: 1, PacketSize: 1 << 16, SessionID: uint64(p.dials),
	}
	return &memoryLink{provider: p, agreement: a, client: a.ClientRules(), server: a.ServerRules()}, nil
}

// A memoryLink is a session with a provider.
type memoryLink struct {
	provider       *provider
	agreement      session.Agreement
	client, server *session.Rules
	reply          []byte
	broken         error
}

func (l *memoryLink) Agreement() *session.Agreement { return &l.agreement }
func (l *memoryLink) Interrupt()                    {}
func (l *memoryLink) StopReceiving()                {}
func (l *memoryLink) Close()                        { l.broken = io.ErrClosedPipe }

func (l *memoryLink) Send(h *protocol.Header, payload []byte, _ time.Time) error {
	if l.broken != nil {
		return l.broken
	}
	if err := l.client.Admit(h, len(payload)); err != nil {
		return err
	}
	p := l.provider
	p.asked++
	if p.before != nil {
		if l.broken = p.before(p.asked); l.broken != nil {
			return nil // the request was sent; nothing will answer
		}
	}
	message := make([]byte, protocol.HeaderSize)
	h.Encode(message)
	request, payload, err := l.server.Open(append(message, payload...))
	if err != nil {
		return err
	}
	header, answer, hangUp := service.Respond(p.method, p.responder, &request, payload, make([]byte, l.agreement.MaxResponsePayloadBytes))
	if header.TransportStatus == protocol.StatusLimitExceeded && p.response < p.ceiling {
		p.response *= 2
	}
	if err := l.server.Admit(&header, len(answer)); err != nil {
		return err
	}
	l.reply = make([]byte, protocol.HeaderSize)
	header.Encode(l.reply)
	l.reply = append(l.reply, answer...)
	if hangUp {
		l.broken = io.EOF
	}
	return nil
}

func (l *memoryLink) Receive(time.Time) (protocol.Header, []byte, error) {
	if l.reply == nil {
		return protocol.Header{}, nil, l.broken
	}
	reply := l.reply
	l.reply = nil
	return l.client.Open(reply)
}
