package service_test

import "github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"

var carriers = []carrier{
	{"socket", protocol.ProfileBaseline},
	{"shared memory", protocol.ProfileBaseline | protocol.ProfileSHMHybrid | protocol.ProfileSHMFutex},
	{"rings", protocol.ProfilesSharedMemory},
}
