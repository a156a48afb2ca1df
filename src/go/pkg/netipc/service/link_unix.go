//go:build unix

package service

import (
	"context"
	"errors"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/transport/posix"
)

func dialer(runDir, serviceName string, config Config) dialFunc {
	offer := posix.ClientConfig{
		SupportedProfiles:    config.SupportedProfiles,
		PreferredProfiles:    config.PreferredProfiles,
		MaxRequestBatchItems: config.MaxRequestBatchItems,
		AuthToken:            config.AuthToken,
	}
	return func(ctx context.Context, wish limits) (link, error) {
		offer.MaxRequestPayloadBytes, offer.MaxResponsePayloadBytes = wish.request, wish.response
		return linkOrNil(posix.Dial(ctx, runDir, serviceName, &offer))
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
	return linkOrNil(n.Pending.Accept(context.Background(), n.config))
}

// linkOrNil keeps a nil pointer from becoming a link that is not nil.
func linkOrNil(l *posix.Link, err error) (link, error) {
	if err != nil {
		return nil, err
	}
	return l, nil
}
