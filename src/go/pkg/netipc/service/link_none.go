//go:build !unix && !windows

package service

import (
	"context"
	"errors"
	"fmt"
)

// There is no transport for this system.

func dialer(runDir, serviceName string, _ Config) dialFunc {
	return func(context.Context, limits) (link, error) {
		return nil, fmt.Errorf("connect to %s in %s: %w", serviceName, runDir, errors.ErrUnsupported)
	}
}

func notFound(error) bool { return false }

func listenOn(runDir, serviceName string, _ Config) func(limits) (listener, error) {
	return func(limits) (listener, error) {
		return nil, fmt.Errorf("listen on %s in %s: %w", serviceName, runDir, errors.ErrUnsupported)
	}
}
