package main

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

// Messages as files: written from their values, read and written again. Their names are those of
// the vectors they equal.

// writeMessages is the server's part: it writes every message.
func writeMessages(m *meeting) error {
	var lines strings.Builder
	for _, message := range messages {
		bytes, err := message.write()
		if err != nil {
			return fmt.Errorf("%s: %w", message.name, err)
		}
		fmt.Fprintf(&lines, "%s %x\n", message.name, bytes)
	}
	if err := os.WriteFile(m.file("server"), []byte(lines.String()), 0o600); err != nil {
		return err
	}
	fmt.Println("READY")
	return waitForTheEnd()
}

// writeMessagesAgain is the client's part: it reads them, and writes what it read.
func writeMessagesAgain(m *meeting) error {
	text, err := os.ReadFile(m.file("server"))
	if err != nil {
		return err
	}
	var lines strings.Builder
	for scanner := bufio.NewScanner(bytes.NewReader(text)); scanner.Scan(); {
		name, digits, _ := strings.Cut(scanner.Text(), " ")
		message, err := hex.DecodeString(digits)
		if err == nil {
			message, err = again(name, message)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		fmt.Fprintf(&lines, "%s %x\n", name, message)
	}
	return os.WriteFile(m.file("client"), []byte(lines.String()), 0o600)
}

func (m *meeting) file(side string) string { return filepath.Join(m.dir, m.service+"."+side) }

type message struct {
	name  string
	write func() ([]byte, error)
}

var batch = [][]byte{[]byte("a"), []byte("1234567"), []byte("12345678"), []byte("123456789")}

var messages = []message{
	{"hdr-batch-3", func() ([]byte, error) {
		return writeHeader(protocol.Header{
			Magic: protocol.MagicMsg, Version: protocol.Version, HeaderLen: protocol.HeaderLen,
			Kind: protocol.KindRequest, Flags: protocol.FlagBatch, Code: protocol.MethodIncrement,
			PayloadLen: 48, ItemCount: 3, MessageID: 9,
		})
	}},
	{"chk-last", func() ([]byte, error) {
		return writeChunk(protocol.ChunkHeader{
			Magic: protocol.MagicChunk, Version: protocol.Version, MessageID: 5,
			TotalMessageLen: 1000, ChunkIndex: 11, ChunkCount: 12, ChunkPayloadLen: 8,
		})
	}},
	{"hel-shm", func() ([]byte, error) {
		return writeHello(protocol.Hello{
			LayoutVersion: 1, SupportedProfiles: 3, PreferredProfiles: 2,
			MaxRequestPayloadBytes: 4096, MaxRequestBatchItems: 16,
			MaxResponsePayloadBytes: 65536, MaxResponseBatchItems: 16,
			AuthToken: 0x1122334455667788, PacketSize: 65536,
		})
	}},
	{"ack-shm", func() ([]byte, error) {
		return writeAck(protocol.HelloAck{
			LayoutVersion: 1, ServerSupportedProfiles: 7, IntersectionProfiles: 3,
			SelectedProfile: 2, AgreedMaxRequestPayloadBytes: 4096, AgreedMaxRequestBatchItems: 16,
			AgreedMaxResponsePayloadBytes: 65536, AgreedMaxResponseBatchItems: 16,
			AgreedPacketSize: 65536, SessionID: 42,
		})
	}},
	{"bat-odd-lengths", func() ([]byte, error) { return writeBatch(batch) }},
	{"inc-9223372036854775808", func() ([]byte, error) { return writeIncrement(1 << 63) }},
	{"str-inner-nul", func() ([]byte, error) { return writeString("a\x00b") }},
	{"snq", func() ([]byte, error) {
		return writeSnapshotRequest(protocol.CgroupsRequest{LayoutVersion: 1})
	}},
	{"snr-same-name-twice", func() ([]byte, error) {
		docker := member{3381825264, 3, 1, "docker-abc", "/sys/fs/cgroup/docker/abc"}
		return writeSnapshot(0, 1, []member{docker, docker})
	}},
	{"cgq-lengths", func() ([]byte, error) {
		return writePaths([][]byte{[]byte("/"), []byte("/123456"), []byte("/1234567"), []byte("/12345678")})
	}},
	{"cgr-labels", func() ([]byte, error) {
		labels := []protocol.LookupLabel{
			{Key: []byte("ns"), Value: []byte("default")}, {Key: []byte("app"), Value: []byte("web")},
		}
		known := cgroupAnswer{protocol.CgroupLookupKnown, protocol.OrchestratorK8s, "pod1", labels}
		return writeCgroups(9, []string{"/kubepods/pod1"}, []cgroupAnswer{known})
	}},
	{"cgr-status-1", func() ([]byte, error) {
		later := cgroupAnswer{status: protocol.CgroupLookupUnknownRetryLater}
		return writeCgroups(1, []string{"/unknown/1"}, []cgroupAnswer{later})
	}},
	{"apq-extremes", func() ([]byte, error) {
		return writePids([]uint32{0, 1, 1<<31 - 1, 1<<32 - 1})
	}},
	{"apr-full", func() ([]byte, error) {
		return writeApps(3, []uint32{1234}, []process{{
			orchestrator: protocol.OrchestratorDocker, ppid: 1, uid: 1000, starttime: 987654321,
			comm: "nginx", path: "/docker/abc", name: "web",
			labels: []protocol.LookupLabel{
				{Key: []byte("image"), Value: []byte("nginx:1")}, {Key: []byte("env")},
			},
		}})
	}},
	{"apr-host-root", func() ([]byte, error) {
		sshd := process{cgroupStatus: protocol.AppsCgroupHostRoot, starttime: 5, comm: "sshd"}
		return writeApps(0, []uint32{2}, []process{sshd})
	}},
	{"apr-status-1", func() ([]byte, error) {
		unknown := process{status: protocol.PidLookupUnknown, uid: protocol.NipcUIDUnset}
		return writeApps(1, []uint32{41}, []process{unknown})
	}},
}

// again returns the message called name, read and written.
func again(name string, b []byte) ([]byte, error) {
	switch name {
	case "hdr-batch-3":
		return readAndWrite(b, protocol.DecodeHeader, writeHeader)
	case "chk-last":
		return readAndWrite(b, protocol.DecodeChunkHeader, writeChunk)
	case "hel-shm":
		return readAndWrite(b, protocol.DecodeHello, writeHello)
	case "ack-shm":
		return readAndWrite(b, protocol.DecodeHelloAck, writeAck)
	case "bat-odd-lengths":
		return readAndWrite(b, readBatch, writeBatch)
	case "inc-9223372036854775808":
		return readAndWrite(b, protocol.IncrementDecode, writeIncrement)
	case "str-inner-nul":
		return readAndWrite(b, protocol.StringReverseDecode, func(v protocol.StringReverseView) ([]byte, error) {
			return writeString(v.Str)
		})
	case "snq":
		return readAndWrite(b, protocol.DecodeCgroupsRequest, writeSnapshotRequest)
	case "snr-same-name-twice":
		return readAndWrite(b, protocol.DecodeCgroupsResponse, writeSnapshotView)
	case "cgq-lengths":
		return readAndWrite(b, protocol.DecodeCgroupsLookupRequest, writePathsView)
	case "cgr-labels", "cgr-status-1":
		return readAndWrite(b, protocol.DecodeCgroupsLookupResponse, writeCgroupsView)
	case "apq-extremes":
		return readAndWrite(b, protocol.DecodeAppsLookupRequest, writePidsView)
	case "apr-full", "apr-host-root", "apr-status-1":
		return readAndWrite(b, protocol.DecodeAppsLookupResponse, writeAppsView)
	}
	return nil, errors.New("not known here")
}

func readAndWrite[T any](
	b []byte, read func([]byte) (T, error), write func(T) ([]byte, error),
) ([]byte, error) {
	value, err := read(b)
	if err != nil {
		return nil, err
	}
	return write(value)
}
