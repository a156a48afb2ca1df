package posix

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/vectors"
)

func init() {
	// Makes a region, says under which number, and stays until it is killed.
	children["own a region"] = func(dir string, args []string) error {
		id, err := strconv.ParseUint(args[0], 16, 64)
		if err != nil {
			return err
		}
		c, err := ShmServerCreate(dir, "svc", id, 4096, 4096)
		if err != nil {
			return err
		}
		fmt.Println(args[0])
		stay(c)
		return nil
	}
	// Makes a region under a umask, and says which mode it has.
	children["create under umask"] = func(dir string, args []string) error {
		mask, err := strconv.ParseUint(args[0], 8, 32)
		if err != nil {
			return err
		}
		syscall.Umask(int(mask))
		c, err := ShmServerCreate(dir, "svc", 1, 64, 64)
		if err != nil {
			return err
		}
		defer c.ShmDestroy()
		entry, err := fileAt(c.path)
		fmt.Printf("%o\n", entry.mode&0o777)
		return err
	}
	// Says, as a user who may not signal it, whether the owner of a region is alive.
	children["inspect as another user"] = func(dir string, args []string) error {
		user, err := strconv.Atoi(args[0])
		if err != nil {
			return err
		}
		if err := syscall.Setuid(user); err != nil {
			return err
		}
		_, live, err := inspectRegion(filepath.Join(dir, "svc-0000000000000001.ipcshm"))
		fmt.Println(live, err)
		return nil
	}
	// Makes a region with no descriptor left for a look at the one that is there.
	children["create without descriptors"] = func(dir string, _ []string) error {
		limit := uint64(lowestFree())
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: limit, Max: limit}); err != nil {
			return err
		}
		_, _, err := inspectRegion(filepath.Join(dir, "svc-0000000000000001.ipcshm"))
		fmt.Println(err)
		err = reclaimRegion(filepath.Join(dir, "svc-0000000000000001.ipcshm"))
		fmt.Println(err)
		return nil
	}
}

var attachErrors = map[string]error{
	"NOT_READY":   ErrShmNotReady,
	"BAD_MAGIC":   ErrShmBadMagic,
	"BAD_VERSION": ErrShmBadVersion,
	"BAD_HEADER":  ErrShmBadHeader,
	"BAD_SIZE":    ErrShmBadSize,
}

func TestRegionPathVectors(t *testing.T) {
	vectors.Each(t, "posix_paths", func(t *testing.T, v *vectors.Vector) {
		input := vectors.Decode[struct {
			RunDir    string `json:"run_dir"`
			Service   string `json:"service"`
			SessionID uint64 `json:"session_id"`
		}](t, v.Input)
		output := vectors.Decode[struct{ Region string }](t, v.Output)
		_, path, err := resolveRegion(input.RunDir, input.Service, input.SessionID)
		noError(t, err)
		if v.Valid && path != output.Region {
			t.Errorf("region %s, expected %s", path, output.Region)
		}
	})
}

func TestRegionVectors(t *testing.T) {
	vectors.Each(t, "posix_region", func(t *testing.T, v *vectors.Vector) {
		input := vectors.Decode[struct {
			Request    uint32 `json:"request_payload"`
			Response   uint32 `json:"response_payload"`
			PID        int32  `json:"owner_pid"`
			Generation uint32 `json:"owner_generation"`
		}](t, v.Input)
		output := vectors.Decode[struct {
			RequestOffset    uint32        `json:"request_offset"`
			RequestCapacity  uint32        `json:"request_capacity"`
			ResponseOffset   uint32        `json:"response_offset"`
			ResponseCapacity uint32        `json:"response_capacity"`
			Size             uint64        `json:"region_size"`
			Header           vectors.Bytes `json:"initial_header"`
		}](t, v.Output)
		l, err := newLayout(32+input.Request, 32+input.Response)
		noError(t, err)
		want := regionLayout{output.RequestOffset, output.RequestCapacity, output.ResponseOffset, output.ResponseCapacity}
		if l != want || l.size() != output.Size {
			t.Errorf("layout %+v of %d bytes, expected %+v of %d", l, l.size(), want, output.Size)
		}
		region := make([]byte, l.size())
		l.writeHeader(region, input.PID, input.Generation)
		if got := region[:regionHeaderLen]; hex.EncodeToString(got) != hex.EncodeToString(output.Header) {
			t.Errorf("header\n%x, expected\n%x", got, output.Header)
		}
		if read, err := readLayout(region); err != nil || read != l {
			t.Errorf("reads as %+v (%v)", read, err)
		}
	})
}

func TestAttachVectors(t *testing.T) {
	dir := shortDir(t)
	path := filepath.Join(dir, "svc-0000000000000001.ipcshm")
	vectors.Each(t, "posix_region_attach", func(t *testing.T, v *vectors.Vector) {
		input := vectors.Decode[struct {
			FileSize int64 `json:"file_size"`
			Header   vectors.Bytes
		}](t, v.Input)
		noError(t, os.WriteFile(path, input.Header, 0o600))
		noError(t, os.Truncate(path, input.FileSize))
		before := lowestFree()
		c, err := ShmClientAttach(dir, "svc", 1)
		v.CheckError(t, err, attachErrors)
		if c != nil {
			c.ShmDestroy() // a client's leaves the file
		}
		if lowestFree() != before {
			t.Error("a descriptor was lost")
		}
		if _, err := os.Stat(path); err != nil {
			t.Error("the file is gone")
		}
	})
}

func TestRefusesCapacitiesThatDoNotFitTheHeader(t *testing.T) {
	dir := shortDir(t)
	for _, c := range [][2]uint32{
		{0, 64}, {64, 0}, {math.MaxUint32, 64}, {64, math.MaxUint32}, {0xFFFFFFC1, 64}, {64, 0xFFFFFFC1},
		{0xFFFFFFC0, 64}, {0x80000000, 0x80000000}, {0x80000000, 0x7FFFFFC0},
	} {
		_, err := ShmServerCreate(dir, "svc", 1, c[0], c[1])
		wantError(t, err, ErrShmBadParam)
	}
	if l, err := newLayout(0x7FFFFFC0, 0x7FFFFFC0); err != nil || l.size() != 0xFFFFFFC0 {
		t.Errorf("largest region is %+v (%v)", l, err)
	}
	if names := namesIn(t, dir); names != "" {
		t.Errorf("left behind: %s", names)
	}
}

func TestARegionIsMadeOnce(t *testing.T) {
	dir := shortDir(t)
	c, err := ShmServerCreate(dir, "svc", 1, 100, 100)
	noError(t, err)
	_, err = ShmServerCreate(dir, "svc", 1, 100, 100)
	wantError(t, err, ErrShmAddrInUse)
	if inodeAt(t, c.path) != c.file {
		t.Error("the live region was replaced")
	}
	if !c.OwnerAlive() || c.Role() != ShmRoleServer || c.Fd() < 0 {
		t.Errorf("alive %v, role %d, descriptor %d", c.OwnerAlive(), c.Role(), c.Fd())
	}
	other, err := ShmServerCreate(dir, "svc", 2, 100, 100)
	noError(t, err)
	other.ShmClose() // the server's close leaves the file, too
	c.ShmDestroy()
	c.ShmDestroy()
	if names := namesIn(t, dir); names != "svc-0000000000000002.ipcshm" {
		t.Errorf("left behind: %s", names)
	}
	if c.OwnerAlive() || c.Fd() != -1 {
		t.Error("a closed context has an owner or a descriptor")
	}
}

func TestDestroyLeavesASuccessorsRegion(t *testing.T) {
	dir := shortDir(t)
	c, err := ShmServerCreate(dir, "svc", 1, 100, 100)
	noError(t, err)
	noError(t, os.Remove(c.path))
	successor, err := ShmServerCreate(dir, "svc", 1, 100, 100)
	noError(t, err)
	c.ShmDestroy()
	if inodeAt(t, c.path) != successor.file {
		t.Error("the successor's region is gone")
	}
	successor.ShmDestroy()
}

func TestReplacesTheRegionOfAKilledServer(t *testing.T) {
	dir := shortDir(t)
	owner := startChild(t, "own a region", dir, "1")
	owner.expect("1")
	_, err := ShmServerCreate(dir, "svc", 1, 100, 100)
	wantError(t, err, ErrShmAddrInUse)
	client, err := ShmClientAttach(dir, "svc", 1)
	noError(t, err)
	defer client.ShmClose()
	if !client.OwnerAlive() {
		t.Error("the owner counts as dead")
	}
	owner.kill()
	if client.OwnerAlive() {
		t.Error("the owner counts as alive")
	}
	c, err := ShmServerCreate(dir, "svc", 1, 100, 100)
	noError(t, err)
	c.ShmDestroy()
}

// regionOf returns the bytes of a region with an owner.
func regionOf(pid int32, generation uint32) []byte {
	l, err := newLayout(100, 100)
	if err != nil {
		panic(err)
	}
	region := make([]byte, l.size())
	l.writeHeader(region, pid, generation)
	return region
}

func TestSweepTakesWhatIsDeadAndNothingElse(t *testing.T) {
	dir := shortDir(t)
	owner := startChild(t, "own a region", dir, "a1")
	owner.expect("a1")
	const gone = 1 << 22 // above the largest process id there is
	region := func(id int) string { return filepath.Join(dir, fmt.Sprintf("svc-%016x.ipcshm", id)) }
	write := func(path string, content []byte, mode os.FileMode) {
		t.Helper()
		noError(t, os.WriteFile(path, content, mode))
	}
	var dead []string
	die := func(path string) string { dead = append(dead, path); return path }

	write(die(region(1)), regionOf(gone, 1), 0o600)
	write(die(region(2)), regionOf(int32(os.Getpid()), 0), 0o600) // given up
	write(die(region(3)), regionOf(-1, 1), 0o600)
	write(die(region(4)), regionOf(0, 1), 0o600)
	write(die(region(5)), regionOf(int32(os.Getpid()), 1)[:63], 0o600)
	write(die(region(6)), make([]byte, 4096), 0o600)
	write(die(region(7)), nil, 0)
	noError(t, os.Symlink("/etc/passwd", die(region(8))))
	noError(t, os.Symlink("nowhere", die(region(9))))
	noError(t, os.Mkdir(die(region(10)), 0o755))
	noError(t, syscall.Mkfifo(die(region(11)), 0o600))
	noError(t, leaveDeadSocket(die(region(12))))

	write(region(0xb1), regionOf(int32(os.Getpid()), 1), 0o600)
	write(region(0xb2), regionOf(1, 1), 0o600) // alive, even if we may not signal it
	noError(t, os.MkdirAll(filepath.Join(region(0xb3), "precious"), 0o755))
	for _, name := range []string{
		"svc-0000000000000001x.ipcshm", "svc-000000000000001.ipcshm", "svc-00000000000000001.ipcshm",
		"svc-b-0000000000000001.ipcshm", "svc-000000000000000A.ipcshm", "svc-0000000000000001.ipcshm~",
		"other-0000000000000001.ipcshm", "svc-.ipcshm", "svc.sock",
	} {
		write(filepath.Join(dir, name), regionOf(gone, 1), 0o600)
	}
	before := len(strings.Fields(namesIn(t, dir)))

	ShmCleanupStale(dir, "svc")
	for _, path := range dead {
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("%s is still there", filepath.Base(path))
		}
	}
	if after := len(strings.Fields(namesIn(t, dir))); after != before-len(dead) {
		t.Errorf("%d of %d names are left, expected %d: %s", after, before, before-len(dead), namesIn(t, dir))
	}
	owner.kill()
	ShmCleanupStale(dir, "svc")
	if _, err := os.Lstat(region(0xa1)); err == nil {
		t.Error("the region of the killed server is still there")
	}
	ShmCleanupStale(filepath.Join(dir, "missing"), "svc")
	ShmCleanupStale(dir, "../x")
}

func TestKeepsARegionWhenDescriptorsAreOut(t *testing.T) {
	dir := shortDir(t)
	path := filepath.Join(dir, "svc-0000000000000001.ipcshm")
	noError(t, os.WriteFile(path, regionOf(1<<22, 1), 0o600))
	c := startChild(t, "create without descriptors", dir)
	c.expect("too many open files")
	c.expect("too many open files")
	if _, err := os.Stat(path); err != nil {
		t.Error("the region is gone")
	}
}

func TestTheOwnerMayBeAnotherUser(t *testing.T) {
	needsRoot(t, "cannot become another user")
	dir := shortDir(t)
	noError(t, os.Chmod(dir, 0o755))
	noError(t, os.WriteFile(filepath.Join(dir, "svc-0000000000000001.ipcshm"), regionOf(1, 1), 0o644))
	startChild(t, "inspect as another user", dir, "65534").expect("true <nil>")
}

func TestDoesNotAttachThroughALink(t *testing.T) {
	dir := shortDir(t)
	c, err := ShmServerCreate(dir, "svc", 1, 100, 100)
	noError(t, err)
	defer c.ShmDestroy()
	noError(t, os.Symlink(c.path, filepath.Join(dir, "svc-0000000000000002.ipcshm")))
	_, err = ShmClientAttach(dir, "svc", 2)
	wantError(t, err, ErrShmOpen)
	_, err = ShmClientAttach(dir, "svc", 3)
	wantError(t, err, syscall.ENOENT)
}

func TestRegionIs0600WhateverTheUmask(t *testing.T) {
	for _, mask := range []string{"0", "022", "0777"} {
		startChild(t, "create under umask", shortDir(t), mask).expect("600")
	}
}

func TestAGenerationIsNeverZero(t *testing.T) {
	for range 100000 {
		if newGeneration() == 0 {
			t.Fatal("0")
		}
	}
	dir := shortDir(t)
	c, err := ShmServerCreate(dir, "svc", 1, 100, 100)
	noError(t, err)
	defer c.ShmDestroy()
	if binary.NativeEndian.Uint32(c.mem[offsetOwnerGeneration:]) != c.generation || c.generation == 0 {
		t.Errorf("generation %d", c.generation)
	}
}

func TestAFullFileSystemIsAnError(t *testing.T) {
	needsRoot(t, "cannot mount a small file system")
	dir := shortDir(t)
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("cannot mount a small file system: %v", err)
	}
	defer syscall.Unmount(dir, 0)
	c, err := ShmServerCreate(dir, "svc", 1, 4096, 4096)
	noError(t, err)
	c.ShmDestroy()
	before := lowestFree()
	_, err = ShmServerCreate(dir, "svc", 1, 1<<20, 4096)
	wantError(t, err, ErrShmAllocate)
	wantError(t, err, syscall.ENOSPC)
	if names := namesIn(t, dir); names != "" || lowestFree() != before {
		t.Errorf("left behind: %q, descriptors %d", names, lowestFree()-before)
	}
}

func needsRoot(t *testing.T, why string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skipf("not root: %s", why)
	}
}
