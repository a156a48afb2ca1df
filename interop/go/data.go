package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

// What servers serve and clients expect: the rules of interop/README.md.

// A member is a cgroup of a snapshot.
type member struct {
	hash, options, enabled uint32
	name, path             string
}

// memberAt returns cgroup i of a snapshot.
func memberAt(i uint32) member {
	return member{
		hash:    i * 2654435761,
		options: i % 7,
		enabled: i % 2,
		name:    fmt.Sprintf("cgroup-%d", i),
		path:    fmt.Sprintf("/sys/fs/cgroup/interop/%d%s", i, strings.Repeat("x", int(i%50))),
	}
}

// pathAt returns the key of lookup i.
func pathAt(i uint32) string {
	return fmt.Sprintf("/interop/%d/%s", i, strings.Repeat("x", int(i%40)))
}

// indexOf returns which lookup a key is of.
func indexOf(path string) (uint32, bool) {
	rest, ok := strings.CutPrefix(path, "/interop/")
	digits, _, cut := strings.Cut(rest, "/")
	i, err := strconv.ParseUint(digits, 10, 32)
	return uint32(i), ok && cut && err == nil
}

// oversized is the key whose answer fits in no response.
const oversized = 4

// nameAt returns the name of what lookup i finds, where a response takes room bytes.
func nameAt(i, room uint32) string {
	if i == oversized {
		return strings.Repeat("n", int(room))
	}
	return fmt.Sprintf("name-%d", i)
}

// labelsAt returns the first count labels of what lookup i finds.
func labelsAt(i, count uint32) []protocol.LookupLabel {
	labels := make([]protocol.LookupLabel, count)
	for j := range labels {
		labels[j].Key = fmt.Appendf(nil, "key-%d", j)
		labels[j].Value = fmt.Appendf(nil, "value-%d-%d", i, j)
	}
	return labels
}

// payloadOf returns the payload of message id, n bytes of it.
func payloadOf(id uint64, n int) []byte {
	payload := make([]byte, n)
	for at := range payload {
		payload[at] = byte(id*31 + uint64(at)*7)
	}
	return payload
}
