package service_test

import "github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"

var carriers = []carrier{
	{"pipe", protocol.ProfileBaseline},
	{"shared memory", protocol.ProfileBaseline | protocol.ProfileSHMHybrid},
	{"busy waiting", protocol.ProfileBaseline | protocol.ProfileSHMHybrid | protocol.ProfileSHMFutex},
}
