package main

import (
	"strconv"
	"strings"
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

// A task is what one case measures, as KEY=VALUE words.
type task struct {
	scenario string
	profile  uint32 // over which it is measured
	duration time.Duration
	count    uint64 // of calls in each part, at most; 0: no limit
	rate     uint64 // calls a second; 0: as fast as they go
	items    uint32
	depth    int // requests in flight
	sessions int
	threads  int // of the client
	workers  int // of the server
}

var transports = map[string]uint32{
	"socket": protocol.ProfileBaseline,
	"shm":    protocol.ProfileSHMHybrid,
	"ring":   protocol.ProfileRing,
}

// parseTask reads the words; false if one of them is not known here.
func parseTask(words []string) (task, bool) {
	t := task{profile: protocol.ProfileBaseline, items: 1, depth: 1, sessions: 1, threads: 1, workers: 1}
	for _, word := range words {
		key, value, _ := strings.Cut(word, "=")
		n, err := strconv.ParseUint(value, 10, 31)
		switch key {
		case "scenario":
			t.scenario, err = value, nil
		case "transport":
			var known bool
			if t.profile, known = transports[value]; !known {
				return t, false
			}
			err = nil
		case "duration_ms":
			t.duration = time.Duration(n) * time.Millisecond
		case "count":
			t.count = n
		case "items":
			t.items = uint32(n)
		case "rate":
			t.rate = n
		case "depth":
			t.depth = int(n)
		case "sessions":
			t.sessions = int(n)
		case "threads":
			t.threads = int(n)
		case "workers":
			t.workers = int(n)
		default:
			return t, false
		}
		if err != nil {
			return t, false
		}
	}
	return t, true
}
