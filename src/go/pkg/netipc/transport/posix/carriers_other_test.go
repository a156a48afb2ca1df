//go:build unix && !linux

package posix

import "github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"

var carriers = map[string]carrierCase{"socket": {protocol.ProfileBaseline, anywhere}}
