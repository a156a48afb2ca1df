package protocol_test

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/vectors"
	. "github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

var classes = map[string]error{
	"TRUNCATED":      ErrTruncated,
	"BAD_MAGIC":      ErrBadMagic,
	"BAD_VERSION":    ErrBadVersion,
	"BAD_HEADER_LEN": ErrBadHeaderLen,
	"BAD_KIND":       ErrBadKind,
	"BAD_LAYOUT":     ErrBadLayout,
	"OUT_OF_BOUNDS":  ErrOutOfBounds,
	"MISSING_NUL":    ErrMissingNul,
	"BAD_ALIGNMENT":  ErrBadAlignment,
	"BAD_ITEM_COUNT": ErrBadItemCount,
	"OVERFLOW":       ErrOverflow,
}

// eachDecoded runs read on the bytes of every vector of target: what it returns must
// be the vector's fields. Where an encoder must produce exactly those bytes, write is
// given the fields and a buffer that holds them and was not cleared.
func eachDecoded[Fields any](t *testing.T, target string, read func(*vectors.Vector) (Fields, error), write func(Fields, []byte) int) {
	vectors.Each(t, target, func(t *testing.T, v *vectors.Vector) {
		got, err := read(v)
		v.CheckError(t, err, classes)
		if err != nil {
			return
		}
		expected := vectors.Decode[Fields](t, v.Fields)
		if !reflect.DeepEqual(got, expected) {
			t.Fatalf("decoded\n%+v, expected\n%+v", got, expected)
		}
		if !v.Canonical {
			return
		}
		buf := bytes.Repeat([]byte{0xEE}, len(v.Hex))
		if n := write(expected, buf); n != len(v.Hex) || !bytes.Equal(buf, v.Hex) {
			t.Fatalf("encoded %d bytes\n%x, expected\n%x", n, buf, v.Hex)
		}
	})
}

// tight makes an encoder return -1 unless it fails with one byte less.
func tight[Fields any](write func(Fields, []byte) int) func(Fields, []byte) int {
	return func(f Fields, b []byte) int {
		if len(b) > 0 && write(f, make([]byte, len(b)-1)) != 0 {
			return -1
		}
		return write(f, b)
	}
}

// length returns what an encoder wrote, 0 if it failed.
func length(n int, err error) int {
	if err != nil {
		return 0
	}
	return n
}

type headerFields struct {
	Kind            uint16
	Flags           uint16
	Code            uint16
	TransportStatus uint16 `json:"transport_status"`
	PayloadLen      uint32 `json:"payload_len"`
	ItemCount       uint32 `json:"item_count"`
	MessageID       uint64 `json:"message_id"`
}

func TestHeaderVectors(t *testing.T) {
	eachDecoded(t, "header", func(v *vectors.Vector) (headerFields, error) {
		h, err := DecodeHeader(v.Hex)
		return headerFields{h.Kind, h.Flags, h.Code, h.TransportStatus, h.PayloadLen, h.ItemCount, h.MessageID}, err
	}, tight(func(f headerFields, b []byte) int {
		h := Header{MagicMsg, Version, HeaderLen, f.Kind, f.Flags, f.Code, f.TransportStatus, f.PayloadLen, f.ItemCount, f.MessageID}
		return h.Encode(b)
	}))
}

type chunkFields struct {
	MessageID       uint64 `json:"message_id"`
	TotalMessageLen uint32 `json:"total_message_len"`
	ChunkIndex      uint32 `json:"chunk_index"`
	ChunkCount      uint32 `json:"chunk_count"`
	ChunkPayloadLen uint32 `json:"chunk_payload_len"`
}

func TestChunkVectors(t *testing.T) {
	eachDecoded(t, "chunk", func(v *vectors.Vector) (chunkFields, error) {
		c, err := DecodeChunkHeader(v.Hex)
		return chunkFields{c.MessageID, c.TotalMessageLen, c.ChunkIndex, c.ChunkCount, c.ChunkPayloadLen}, err
	}, tight(func(f chunkFields, b []byte) int {
		c := ChunkHeader{MagicChunk, Version, 0, f.MessageID, f.TotalMessageLen, f.ChunkIndex, f.ChunkCount, f.ChunkPayloadLen}
		return c.Encode(b)
	}))
}

type helloFields struct {
	LayoutVersion           uint16 `json:"layout_version"`
	Flags                   uint16
	SupportedProfiles       uint32 `json:"supported_profiles"`
	PreferredProfiles       uint32 `json:"preferred_profiles"`
	MaxRequestPayloadBytes  uint32 `json:"max_request_payload_bytes"`
	MaxRequestBatchItems    uint32 `json:"max_request_batch_items"`
	MaxResponsePayloadBytes uint32 `json:"max_response_payload_bytes"`
	MaxResponseBatchItems   uint32 `json:"max_response_batch_items"`
	AuthToken               uint64 `json:"auth_token"`
	PacketSize              uint32 `json:"packet_size"`
}

func TestHelloVectors(t *testing.T) {
	eachDecoded(t, "hello", func(v *vectors.Vector) (helloFields, error) {
		h, err := DecodeHello(v.Hex)
		return helloFields(h), err
	}, tight(func(f helloFields, b []byte) int {
		h := Hello(f)
		return h.Encode(b)
	}))
}

type ackFields struct {
	LayoutVersion                 uint16 `json:"layout_version"`
	Flags                         uint16
	ServerSupportedProfiles       uint32 `json:"server_supported_profiles"`
	IntersectionProfiles          uint32 `json:"intersection_profiles"`
	SelectedProfile               uint32 `json:"selected_profile"`
	AgreedMaxRequestPayloadBytes  uint32 `json:"agreed_max_request_payload_bytes"`
	AgreedMaxRequestBatchItems    uint32 `json:"agreed_max_request_batch_items"`
	AgreedMaxResponsePayloadBytes uint32 `json:"agreed_max_response_payload_bytes"`
	AgreedMaxResponseBatchItems   uint32 `json:"agreed_max_response_batch_items"`
	AgreedPacketSize              uint32 `json:"agreed_packet_size"`
	SessionID                     uint64 `json:"session_id"`
}

func TestHelloAckVectors(t *testing.T) {
	eachDecoded(t, "hello_ack", func(v *vectors.Vector) (ackFields, error) {
		a, err := DecodeHelloAck(v.Hex)
		return ackFields(a), err
	}, tight(func(f ackFields, b []byte) int {
		a := HelloAck(f)
		return a.Encode(b)
	}))
}

type valueFields struct{ Value uint64 }

func TestIncrementVectors(t *testing.T) {
	eachDecoded(t, "increment", func(v *vectors.Vector) (valueFields, error) {
		value, err := IncrementDecode(v.Hex)
		return valueFields{value}, err
	}, tight(func(f valueFields, b []byte) int { return IncrementEncode(f.Value, b) }))
}

type stringFields struct{ Str vectors.Bytes }

func TestStringReverseVectors(t *testing.T) {
	eachDecoded(t, "string_reverse", func(v *vectors.Vector) (stringFields, error) {
		view, err := StringReverseDecode(v.Hex)
		return stringFields{vectors.Bytes(view.Str)}, err
	}, tight(func(f stringFields, b []byte) int { return StringReverseEncode(string(f.Str), b) }))
}

type batchFields struct{ Items []vectors.Bytes }

func TestBatchVectors(t *testing.T) {
	type count struct {
		ItemCount uint32 `json:"item_count"`
	}
	eachDecoded(t, "batch", func(v *vectors.Vector) (batchFields, error) {
		n := vectors.Decode[count](t, v.Context).ItemCount
		if err := BatchPayloadValidate(v.Hex, n); err != nil {
			return batchFields{}, err
		}
		fields := batchFields{[]vectors.Bytes{}}
		for i := range n {
			item, err := BatchItemGet(v.Hex, n, i)
			if err != nil {
				return fields, err
			}
			fields.Items = append(fields.Items, item)
		}
		return fields, nil
	}, func(f batchFields, b []byte) int {
		builder := NewBatchBuilder(b, uint32(len(f.Items)))
		for _, item := range f.Items {
			if builder.Add(item) != nil {
				return 0
			}
		}
		n, _ := builder.Finish()
		return n
	})
}

func TestBatchBuildVectors(t *testing.T) {
	type input struct {
		Budget   int
		MaxItems uint32 `json:"max_items"`
		Items    []vectors.Bytes
	}
	vectors.Each(t, "batch_build", func(t *testing.T, v *vectors.Vector) {
		in := vectors.Decode[input](t, v.Input)
		buf := bytes.Repeat([]byte{0xEE}, in.Budget)
		builder := NewBatchBuilder(buf, in.MaxItems)
		var failed error
		for _, item := range in.Items {
			failed = errors.Join(failed, builder.Add(item))
		}
		v.CheckError(t, failed, classes)
		if n, _ := builder.Finish(); failed == nil && !bytes.Equal(buf[:n], v.Hex) {
			t.Fatalf("built\n%x, expected\n%x", buf[:n], v.Hex)
		}
	})
}

type snapshotItem struct {
	Hash, Options, Enabled uint32
	Name, Path             vectors.Bytes
}

type snapshotFields struct {
	Systemd    uint32 `json:"systemd_enabled"`
	Generation uint64
	Items      []snapshotItem
}

func TestSnapshotRequestVectors(t *testing.T) {
	type fields struct {
		LayoutVersion uint16 `json:"layout_version"`
		Flags         uint16
	}
	eachDecoded(t, "cgroups_snapshot_request", func(v *vectors.Vector) (fields, error) {
		r, err := DecodeCgroupsRequest(v.Hex)
		return fields(r), err
	}, tight(func(f fields, b []byte) int {
		r := CgroupsRequest(f)
		return r.Encode(b)
	}))
}

func TestSnapshotResponseVectors(t *testing.T) {
	eachDecoded(t, "cgroups_snapshot_response", func(v *vectors.Vector) (snapshotFields, error) {
		view, err := DecodeCgroupsResponse(v.Hex)
		if (err == nil) != (v.Valid || v.Context != nil) {
			t.Errorf("%s: the payload decodes with %v", v.ID, err)
		}
		fields := snapshotFields{view.SystemdEnabled, view.Generation, []snapshotItem{}}
		for i := uint32(0); err == nil && i < view.ItemCount; i++ {
			var item CgroupsItemView
			item, err = view.Item(i)
			fields.Items = append(fields.Items, snapshotItem{item.Hash, item.Options, item.Enabled, item.Name.Bytes(), item.Path.Bytes()})
		}
		return fields, err
	}, tight(func(f snapshotFields, b []byte) int {
		if least, ok := CgroupsBuilderMinBytes(uint32(len(f.Items))); !ok || len(b) < least {
			return 0
		}
		return length(buildSnapshot(f, b, uint32(len(f.Items))))
	}))
}

func buildSnapshot(f snapshotFields, b []byte, maxItems uint32) (int, error) {
	builder := NewCgroupsBuilder(b, maxItems, 0, 0)
	builder.SetHeader(f.Systemd, f.Generation)
	for _, item := range f.Items {
		if err := builder.Add(item.Hash, item.Options, item.Enabled, item.Name, item.Path); err != nil {
			return 0, err
		}
	}
	return builder.Finish(), builder.Error()
}

func TestSnapshotBuildVectors(t *testing.T) {
	type input struct {
		snapshotFields
		Budget   int
		MaxItems uint32 `json:"max_items"`
	}
	vectors.Each(t, "snapshot_build", func(t *testing.T, v *vectors.Vector) {
		in := vectors.Decode[input](t, v.Input)
		buf := bytes.Repeat([]byte{0xEE}, in.Budget)
		n, err := buildSnapshot(in.snapshotFields, buf, in.MaxItems)
		v.CheckError(t, err, classes)
		if err == nil && !bytes.Equal(buf[:n], v.Hex) {
			t.Fatalf("built\n%x, expected\n%x", buf[:n], v.Hex)
		}
	})
}
