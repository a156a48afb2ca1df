package protocol_test

import (
	"errors"
	"slices"
	"testing"

	. "github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

func TestBatchDirectoriesAreReadAsTheyAreWritten(t *testing.T) {
	entries := []BatchEntry{{0, 8}, {8, 3}, {16, 0}}
	b := make([]byte, 24)
	if n := BatchDirEncode(entries, b[:23]); n != 0 {
		t.Fatalf("wrote %d bytes into 23", n)
	}
	if n := BatchDirEncode(entries, b); n != 24 {
		t.Fatalf("wrote %d bytes", n)
	}
	got, err := BatchDirDecode(b, 3, 16)
	if err != nil || !slices.Equal(got, entries) {
		t.Fatalf("read %v, %v", got, err)
	}
	for _, c := range []struct {
		b      []byte
		n, len uint32
		err    error
	}{
		{b[:23], 3, 16, ErrTruncated}, {b, 1 << 31, 16, ErrTruncated}, {b, 3, 15, ErrOutOfBounds},
		{append([]byte{1}, b[1:]...), 3, 16, ErrBadAlignment},
	} {
		if _, err := BatchDirDecode(c.b, c.n, c.len); !errors.Is(err, c.err) {
			t.Errorf("%x: %v, expected %v", c.b, err, c.err)
		}
		if err := BatchDirValidate(c.b, c.n, c.len); !errors.Is(err, c.err) {
			t.Errorf("%x: %v, expected %v", c.b, err, c.err)
		}
	}
	if _, err := BatchItemGet(b, 3, 3); !errors.Is(err, ErrOutOfBounds) {
		t.Errorf("fourth item of three: %v", err)
	}
}

func TestABatchBuilderCanBeUsedAgain(t *testing.T) {
	buf := make([]byte, 64)
	b := NewBatchBuilder(buf[:8], 4)
	if err := b.Add([]byte("x")); !errors.Is(err, ErrOverflow) {
		t.Fatalf("without room for the directory: %v", err)
	}
	b.Reset(buf, 2)
	failing := errors.New("failing")
	if err := b.AddInPlace(func([]byte) (int, error) { return 0, failing }); err != failing {
		t.Fatal(err)
	}
	if err := b.AddInPlace(func(room []byte) (int, error) { return len(room) + 1, nil }); !errors.Is(err, ErrOverflow) {
		t.Fatal(err)
	}
	if err := b.AddInPlace(func(room []byte) (int, error) { return copy(room, "abc"), nil }); err != nil {
		t.Fatal(err)
	}
	n, count := b.Finish()
	if item, err := BatchItemGet(buf[:n], count, 0); err != nil || string(item) != "abc" || count != 1 || n != 16 {
		t.Fatalf("%q of %d items in %d bytes, %v", item, count, n, err)
	}
}
