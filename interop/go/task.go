package main

import (
	"strconv"
	"strings"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

// A task is what a peer is told to do, as KEY=VALUE words.
type task struct {
	scenario      string
	transport     transport
	items         uint32 // of a snapshot
	keys          uint32 // of a lookup
	responseBytes uint32 // the limit of the server's responses; 0: the usual one
	rounds        uint64
	depth         uint64 // requests in flight
	generation    uint64 // what the server says of its data
}

// A transport is what carries messages.
type transport struct {
	profiles uint32 // to offer
	selected uint32 // those of which one is to be agreed on
}

const shared = protocol.ProfileSHMHybrid | protocol.ProfileSHMFutex

var transports = map[string]transport{
	"socket": {protocol.ProfileBaseline, protocol.ProfileBaseline},
	"shm":    {protocol.ProfileBaseline | shared, shared},
	"ring":   {protocol.ProfilesSharedMemory | shared, protocol.ProfileRing},
}

// parseTask reads the words; false if one of them is not known here.
func parseTask(words []string) (task, bool) {
	t := task{scenario: "snapshot", transport: transports["socket"], items: 100, keys: 16, rounds: 5, depth: 16, generation: 1}
	for _, word := range words {
		key, value, _ := strings.Cut(word, "=")
		bits := 32
		var to32 *uint32
		var to64 *uint64
		switch key {
		case "scenario":
			t.scenario = value
			continue
		case "transport":
			var known bool
			if t.transport, known = transports[value]; !known {
				return t, false
			}
			continue
		case "items":
			to32 = &t.items
		case "keys":
			to32 = &t.keys
		case "response_bytes":
			to32 = &t.responseBytes
		case "rounds":
			to64 = &t.rounds
		case "depth":
			to64 = &t.depth
		case "generation":
			to64 = &t.generation
		default:
			return t, false
		}
		if to64 != nil {
			bits = 64
		}
		n, err := strconv.ParseUint(value, 10, bits)
		if err != nil {
			return t, false
		}
		if to64 != nil {
			*to64 = n
		} else {
			*to32 = uint32(n)
		}
	}
	return t, true
}
