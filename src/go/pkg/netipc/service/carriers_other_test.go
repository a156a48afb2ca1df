//go:build !linux && !windows

package service_test

import "github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"

var carriers = []carrier{{"socket", protocol.ProfileBaseline}}
