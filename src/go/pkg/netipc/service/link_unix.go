//go:build unix

package service

import (
	"context"
	"errors"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/session"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/transport/posix"
)

// A posixLink is a link of package posix.
type posixLink struct {
	*posix.Link
	agreement session.Agreement
}

func newPosixLink(l *posix.Link) *posixLink {
	s := l.Session()
	return &posixLink{l, session.Agreement{
		SelectedProfile:         s.SelectedProfile,
		MaxRequestPayloadBytes:  s.MaxRequestPayloadBytes,
		MaxRequestBatchItems:    s.MaxRequestBatchItems,
		MaxResponsePayloadBytes: s.MaxResponsePayloadBytes,
		MaxResponseBatchItems:   s.MaxResponseBatchItems,
		PacketSize:              s.PacketSize,
		SessionID:               s.SessionID,
	}}
}

func (l *posixLink) Agreement() *session.Agreement { return &l.agreement }

func dialer(runDir, serviceName string, config Config) dialFunc {
	offer := posix.ClientConfig{
		SupportedProfiles:    config.SupportedProfiles,
		PreferredProfiles:    config.PreferredProfiles,
		MaxRequestBatchItems: config.MaxRequestBatchItems,
		AuthToken:            config.AuthToken,
	}
	return func(ctx context.Context, wish limits) (link, error) {
		offer.MaxRequestPayloadBytes, offer.MaxResponsePayloadBytes = wish.request, wish.response
		l, err := posix.Dial(ctx, runDir, serviceName, &offer)
		if err != nil {
			return nil, err
		}
		return newPosixLink(l), nil
	}
}

// notFound tells whether a client failed to connect because nobody listens, as opposed
// to because this process or system is short of something.
func notFound(err error) bool {
	return errors.Is(err, posix.ErrConnect) || errors.Is(err, posix.ErrPathTooLong)
}

// backlog is how many clients may wait to be accepted, which takes next to no time.
const backlog = 128

// A posixListener is the endpoint of a server, with the configuration of its sessions.
type posixListener struct {
	*posix.Listener
	config posix.ServerConfig
}

func listenOn(runDir, serviceName string, config Config) func(limits) (listener, error) {
	return func(grant limits) (listener, error) {
		c := posix.ServerConfig{
			SupportedProfiles:       config.SupportedProfiles,
			PreferredProfiles:       config.PreferredProfiles,
			MaxRequestPayloadBytes:  grant.request,
			MaxRequestBatchItems:    config.MaxRequestBatchItems,
			MaxResponsePayloadBytes: grant.response,
			AuthToken:               config.AuthToken,
			Backlog:                 backlog,
		}
		l, err := posix.Listen(runDir, serviceName, c)
		if err != nil {
			return nil, err
		}
		l.SetResponseCeiling(orDefault(config.MaxResponsePayloadBytes, growthCeiling))
		return &posixListener{l, c}, nil
	}
}

func (l *posixListener) Accept() (newcomer, error) {
	pending, err := l.AcceptPending()
	if err != nil {
		return nil, err
	}
	return &posixNewcomer{pending, l.config}, nil
}

type posixNewcomer struct {
	*posix.Pending
	config posix.ServerConfig
}

func (n *posixNewcomer) Handshake(grant limits) (link, error) {
	n.config.MaxRequestPayloadBytes, n.config.MaxResponsePayloadBytes = grant.request, grant.response
	l, err := n.Pending.Accept(context.Background(), n.config)
	if err != nil {
		return nil, err
	}
	return newPosixLink(l), nil
}
