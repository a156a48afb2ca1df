//go:build unix || windows

package service

import (
	"context"
	"errors"
)

func dialer(runDir, serviceName string, config Config) dialFunc {
	offer := clientConfig{
		SupportedProfiles:    config.SupportedProfiles,
		PreferredProfiles:    config.PreferredProfiles,
		MaxRequestBatchItems: config.MaxRequestBatchItems,
		AuthToken:            config.AuthToken,
		Spin:                 config.Spin,
	}
	return func(ctx context.Context, wish limits) (link, error) {
		offer.MaxRequestPayloadBytes, offer.MaxResponsePayloadBytes = wish.request, wish.response
		return linkOrNil(dialTransport(ctx, runDir, serviceName, &offer))
	}
}

// notFound tells whether a client failed to connect because nobody listens, as opposed
// to because this process or system is short of something.
func notFound(err error) bool {
	return errors.Is(err, errConnect) || errors.Is(err, errNoName)
}

// An endpointListener is the endpoint of a server, with the configuration of its sessions.
type endpointListener struct {
	*transportListener
	config serverConfig
}

func listenOn(runDir, serviceName string, config Config) func(limits) (listener, error) {
	return func(grant limits) (listener, error) {
		c := serverConfig{
			SupportedProfiles:       config.SupportedProfiles,
			PreferredProfiles:       config.PreferredProfiles,
			MaxRequestPayloadBytes:  grant.request,
			MaxRequestBatchItems:    config.MaxRequestBatchItems,
			MaxResponsePayloadBytes: grant.response,
			AuthToken:               config.AuthToken,
			Spin:                    config.Spin,
		}
		l, err := listenTransport(runDir, serviceName, c)
		if err != nil {
			return nil, err
		}
		l.SetResponseCeiling(orDefault(config.MaxResponsePayloadBytes, growthCeiling))
		return &endpointListener{l, c}, nil
	}
}

func (l *endpointListener) Accept() (newcomer, error) {
	pending, err := l.AcceptPending()
	if err != nil {
		return nil, err
	}
	return &pendingNewcomer{pending, l.config}, nil
}

type pendingNewcomer struct {
	*transportPending
	config serverConfig
}

func (n *pendingNewcomer) Handshake(grant limits) (link, error) {
	n.config.MaxRequestPayloadBytes, n.config.MaxResponsePayloadBytes = grant.request, grant.response
	return linkOrNil(n.transportPending.Accept(context.Background(), n.config))
}

// linkOrNil keeps a nil pointer from becoming a link that is not nil.
func linkOrNil(l *transportLink, err error) (link, error) {
	if err != nil {
		return nil, err
	}
	return l, nil
}
