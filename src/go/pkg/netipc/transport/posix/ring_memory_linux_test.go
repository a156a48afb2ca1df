package posix

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/ring"
)

var someLengths = ring.LengthsFor(100, 100)

// mustMemfd makes anonymous memory with a header and seals of the test's choice.
func mustMemfd(t *testing.T, size int64, seals int, header func([]byte)) int {
	t.Helper()
	fd, err := memfdCreate("netipc-test", memfdCloseOnExec|memfdAllowSealing)
	noError(t, err)
	t.Cleanup(func() { syscall.Close(fd) })
	noError(t, syscall.Ftruncate(fd, size))
	start := make([]byte, ring.HeaderLen)
	someLengths.WriteHeader(start)
	if header != nil {
		header(start)
	}
	_, err = syscall.Pwrite(fd, start, 0)
	noError(t, err)
	_, err = fcntl(fd, addSeals, seals)
	noError(t, err)
	return fd
}

func TestTakesTheMemoryItMakes(t *testing.T) {
	fd, mem, err := createRingMemory(someLengths)
	noError(t, err)
	defer syscall.Close(fd)
	defer syscall.Munmap(mem)
	if syscall.Ftruncate(fd, 0) == nil || syscall.Ftruncate(fd, 1<<20) == nil {
		t.Error("its size can be changed")
	}
	if _, err := fcntl(fd, addSeals, 0x8); err == nil {
		t.Error("it can be sealed against writing")
	}
	var stat syscall.Stat_t
	noError(t, syscall.Fstat(fd, &stat))
	if stat.Blocks*512 < int64(someLengths.Size()) {
		t.Errorf("of %d bytes there are %d", someLengths.Size(), stat.Blocks*512)
	}
	other, lengths, err := attachRingMemory(fd)
	noError(t, err)
	defer syscall.Munmap(other)
	if lengths != someLengths || len(other) != len(mem) {
		t.Errorf("%d bytes of %+v", len(other), lengths)
	}
	other[5000] = 7
	if mem[5000] != 7 {
		t.Error("it is not shared")
	}
}

func TestReservesMemoryThatItsMakerDidNot(t *testing.T) {
	fd := mustMemfd(t, int64(someLengths.Size()), sealsOfSize, nil)
	mem, _, err := attachRingMemory(fd)
	noError(t, err)
	defer syscall.Munmap(mem)
	var stat syscall.Stat_t
	noError(t, syscall.Fstat(fd, &stat))
	if stat.Blocks*512 < int64(someLengths.Size()) {
		t.Errorf("of %d bytes there are %d", someLengths.Size(), stat.Blocks*512)
	}
}

func TestRefusesMemoryThatCouldFailItsUser(t *testing.T) {
	size := int64(someLengths.Size())
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	noError(t, err)
	defer file.Close()
	noError(t, file.Truncate(size))
	pipe, other, err := os.Pipe()
	noError(t, err)
	defer pipe.Close()
	defer other.Close()
	for name, fd := range map[string]int{
		"a pipe":         int(pipe.Fd()),
		"no seals":       mustMemfd(t, size, 0, nil),
		"may shrink":     mustMemfd(t, size, sealGrow, nil),
		"may grow":       mustMemfd(t, size, sealShrink, nil),
		"empty":          mustMemfd(t, 0, 0, nil),
		"no header":      mustMemfd(t, ring.SlotsAt-1, sealsOfSize, nil),
		"zeroes":         mustMemfd(t, size, sealsOfSize, func(h []byte) { clear(h) }),
		"less than said": mustMemfd(t, size-64, sealsOfSize, nil),
		"more than said": mustMemfd(t, size+64, sealsOfSize, nil),
		"huge rings": mustMemfd(t, size, sealsOfSize, func(h []byte) {
			binary.NativeEndian.PutUint32(h[12:], 1<<26)
		}),
	} {
		mem, _, err := attachRingMemory(fd)
		if mem != nil {
			t.Errorf("%s: mapped %d bytes", name, len(mem))
		}
		t.Run(name, func(t *testing.T) { wantError(t, err, ErrProtocol) })
	}
	// A file elsewhere, or on a tmpfs, where it cannot be sealed.
	if _, _, err := attachRingMemory(int(file.Fd())); err == nil {
		t.Error("took an ordinary file")
	}
	if _, _, err := attachRingMemory(-1); err == nil {
		t.Error("took nothing")
	}
}
