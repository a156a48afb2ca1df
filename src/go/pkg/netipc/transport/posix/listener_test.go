//go:build unix

package posix

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func init() {
	// Listens on "svc" and stays until it is killed.
	children["serve"] = func(dir string, _ []string) error {
		l, err := Listen(dir, "svc", ServerConfig{Backlog: 1})
		if err != nil {
			return err
		}
		fmt.Println("listening")
		stay(l)
		return nil
	}
	// Takes the lock of "svc" and keeps it.
	children["hold the lock"] = func(dir string, _ []string) error {
		lock, err := endpoint{dir, "svc"}.lock(time.Second)
		if err != nil {
			return err
		}
		fmt.Println("locked")
		stay(lock)
		return nil
	}
	// Listens as soon as it is told, and says what came of it.
	children["race"] = func(dir string, _ []string) error {
		fmt.Println("ready")
		for {
			if _, err := os.Stat(filepath.Join(dir, "go")); err == nil {
				break
			}
		}
		l, err := Listen(dir, "svc", ServerConfig{})
		switch {
		case err == nil:
			fmt.Println("won")
			stay(l)
			return nil
		case errors.Is(err, ErrAddrInUse):
			fmt.Println("lost")
			return nil
		}
		return err
	}
}

func TestRefusesASecondServer(t *testing.T) {
	dir := shortDir(t)
	mustListen(t, dir, ServerConfig{})
	before := inodeAt(t, socketIn(dir))
	_, err := Listen(dir, "svc", ServerConfig{})
	wantError(t, err, ErrAddrInUse)
	if inodeAt(t, socketIn(dir)) != before {
		t.Error("the endpoint of the live server was replaced")
	}
	if !strings.Contains(err.Error(), socketIn(dir)) {
		t.Errorf("%q does not say where", err)
	}
}

func TestTakesOverFromAKilledServer(t *testing.T) {
	dir := shortDir(t)
	server := startChild(t, "serve", dir)
	server.expect("listening")
	_, err := Listen(dir, "svc", ServerConfig{})
	wantError(t, err, ErrAddrInUse)
	server.kill()
	mustListen(t, dir, ServerConfig{})
	if names := namesIn(t, dir); names != "svc.sock" {
		t.Errorf("left behind: %s", names)
	}
}

func TestReclaimsWhatIsWorthNothing(t *testing.T) {
	left := map[string]func(path string) error{
		"dead socket":    leaveDeadSocket,
		"dangling link":  func(path string) error { return os.Symlink("nowhere", path) },
		"link to itself": func(path string) error { return os.Symlink(path, path) },
		"link to a file": func(path string) error { return os.Symlink("/etc/passwd", path) },
		"empty file":     func(path string) error { return os.WriteFile(path, nil, 0o644) },
		"locked away":    func(path string) error { return os.WriteFile(path, nil, 0) },
		"empty dir":      func(path string) error { return os.Mkdir(path, 0o755) },
		"fifo":           func(path string) error { return syscall.Mkfifo(path, 0o644) },
	}
	for name, leave := range left {
		t.Run(name, func(t *testing.T) {
			dir := shortDir(t)
			noError(t, leave(socketIn(dir)))
			mustListen(t, dir, ServerConfig{})
			if names := namesIn(t, dir); names != "svc.sock" {
				t.Errorf("directory holds %s", names)
			}
			if _, err := os.Stat("/etc/passwd"); err != nil {
				t.Error("the target of the link was touched")
			}
		})
	}
}

func leaveDeadSocket(path string) error {
	fd, err := newSocket()
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	return syscall.Bind(fd, address(path))
}

func TestPutsAFileWithContentAside(t *testing.T) {
	dir := shortDir(t)
	for _, content := range []string{"first", "second"} {
		noError(t, os.WriteFile(socketIn(dir), []byte(content), 0o644))
		l, err := Listen(dir, "svc", ServerConfig{})
		noError(t, err)
		l.Close()
	}
	for n, content := range []string{"first", "second"} {
		got, err := os.ReadFile(fmt.Sprintf("%s.displaced-%d", socketIn(dir), n+1))
		if err != nil || string(got) != content {
			t.Errorf("displaced-%d holds %q (%v)", n+1, got, err)
		}
	}
}

func TestLeavesADirectoryWithEntriesAlone(t *testing.T) {
	dir := shortDir(t)
	noError(t, os.MkdirAll(filepath.Join(socketIn(dir), "precious"), 0o755))
	_, err := Listen(dir, "svc", ServerConfig{})
	wantError(t, err, ErrAddrInUse)
	if names := namesIn(t, socketIn(dir)); names != "precious" {
		t.Errorf("directory holds %q", names)
	}
}

func TestKeepsAStoppedServerWithAFullBacklog(t *testing.T) {
	dir := shortDir(t)
	server := startChild(t, "serve", dir)
	server.expect("listening")
	noError(t, server.cmd.Process.Signal(syscall.SIGSTOP))
	fillBacklog(t, socketIn(dir))
	before := inodeAt(t, socketIn(dir))
	_, err := Listen(dir, "svc", ServerConfig{})
	wantError(t, err, ErrAddrInUse)
	wantError(t, err, syscall.EAGAIN)
	if inodeAt(t, socketIn(dir)) != before {
		t.Error("the endpoint of the live server was replaced")
	}
}

// fillBacklog connects until the server has no room for more, and stays connected.
func fillBacklog(t *testing.T, path string) {
	t.Helper()
	for range 1000 {
		fd, err := newSocket()
		noError(t, err)
		t.Cleanup(func() { syscall.Close(fd) })
		switch err := connectSocket(fd, path); err {
		case nil:
		case syscall.EAGAIN:
			return
		default:
			t.Skipf("backlog cannot be filled on this system: %v", err)
		}
	}
	t.Fatal("backlog has no end")
}

func TestKeepsALiveServerOfAnotherType(t *testing.T) {
	dir := shortDir(t)
	for _, kind := range []int{syscall.SOCK_STREAM, syscall.SOCK_DGRAM} {
		fd, err := syscall.Socket(syscall.AF_UNIX, kind, 0)
		noError(t, err)
		noError(t, syscall.Bind(fd, address(socketIn(dir))))
		if kind == syscall.SOCK_STREAM {
			noError(t, syscall.Listen(fd, 1))
		}
		_, err = Listen(dir, "svc", ServerConfig{})
		wantError(t, err, ErrAddrInUse)
		syscall.Close(fd)
		noError(t, os.Remove(socketIn(dir)))
	}
}

func TestOneOfManyStartingTogetherWins(t *testing.T) {
	for round := range 5 {
		dir := shortDir(t)
		if round%2 == 0 {
			noError(t, leaveDeadSocket(socketIn(dir)))
		}
		var racers []*child
		for range 4 {
			racer := startChild(t, "race", dir)
			racer.expect("ready")
			racers = append(racers, racer)
		}
		noError(t, os.WriteFile(filepath.Join(dir, "go"), nil, 0o644))
		won := 0
		for _, racer := range racers {
			if racer.next() == "won" {
				won++
			}
		}
		if won != 1 {
			t.Fatalf("round %d: %d servers won", round, won)
		}
		for _, racer := range racers {
			racer.kill()
		}
	}
}

func TestCloseAndListenInTurnNeverFail(t *testing.T) {
	// Each goroutine is a server of its own that starts, stops, and finds the other
	// in the way at most.
	dir := shortDir(t)
	var group sync.WaitGroup
	for range 3 {
		group.Add(1)
		go func() {
			defer group.Done()
			for range 50 {
				l, err := Listen(dir, "svc", ServerConfig{})
				if err == nil {
					if _, err := fileAt(socketIn(dir)); err != nil {
						t.Errorf("a live server lost its endpoint: %v", err)
					}
					l.Close()
				} else if !errors.Is(err, ErrAddrInUse) {
					t.Error(err)
				}
			}
		}()
	}
	group.Wait()
	if names := namesIn(t, dir); names != "" {
		t.Errorf("left behind: %s", names)
	}
}

func TestCloseRemovesItsOwnSocketOnly(t *testing.T) {
	dir := shortDir(t)
	l := mustListen(t, dir, ServerConfig{})
	noError(t, os.Remove(socketIn(dir)))
	successor := mustListen(t, dir, ServerConfig{})
	l.Close()
	l.Close()
	if inodeAt(t, socketIn(dir)) != successor.id {
		t.Error("the successor's endpoint is gone")
	}
	successor.Close()
	if names := namesIn(t, dir); names != "" {
		t.Errorf("left behind: %s", names)
	}
}

func TestWaitsForTheLockAndGivesUp(t *testing.T) {
	dir := shortDir(t)
	e := endpoint{dir, "svc"}
	holder := startChild(t, "hold the lock", dir)
	holder.expect("locked")
	_, err := e.lock(30 * time.Millisecond)
	wantError(t, err, errLockTaken)
	holder.kill()
	lock, err := e.lock(time.Second)
	noError(t, err)
	entry, err := fileAt(e.lockPath())
	if err != nil || entry.mode&0o777 != 0o600 || !entry.is(syscall.S_IFREG) {
		t.Errorf("lock file %o (%v)", entry.mode, err)
	}
	lock.unlock()
	if names := namesIn(t, dir); names != "" {
		t.Errorf("left behind: %s", names)
	}
}

func TestALockOnAFileThatWasRemovedIsNone(t *testing.T) {
	dir := shortDir(t)
	path := endpoint{dir, "svc"}.lockPath()
	for _, next := range []func() error{
		func() error { return nil },
		func() error { return os.WriteFile(path, nil, 0o600) },
	} {
		fd, err := syscall.Open(path, syscall.O_RDWR|syscall.O_CREAT, 0o600)
		noError(t, err)
		defer syscall.Close(fd)
		noError(t, os.Remove(path))
		noError(t, next())
		_, err = lockOpen(fd, path)
		wantError(t, err, errLockTaken)
	}
}

func TestALockIsAFileAndNothingElse(t *testing.T) {
	dir := shortDir(t)
	e := endpoint{dir, "svc"}
	target := filepath.Join(dir, "target")
	noError(t, os.WriteFile(target, []byte("x"), 0o644))
	for _, plant := range []func() error{
		func() error { return os.Symlink(target, e.lockPath()) },
		func() error { return os.Mkdir(e.lockPath(), 0o755) },
		func() error { return leaveDeadSocket(e.lockPath()) },
	} {
		noError(t, plant())
		lock, err := e.lock(time.Second)
		noError(t, err)
		lock.unlock()
	}
	if names := namesIn(t, dir); names != "target" {
		t.Errorf("directory holds %s", names)
	}
}

func TestSaysWhyItCannotListen(t *testing.T) {
	dir := shortDir(t)
	_, err := Listen(filepath.Join(dir, "missing"), "svc", ServerConfig{})
	wantError(t, err, ErrSocket)
	wantError(t, err, syscall.ENOENT)
	_, err = Listen(dir, "a/b", ServerConfig{})
	wantError(t, err, ErrBadParam)
	_, err = Listen(dir+strings.Repeat("/.", 50), "svc", ServerConfig{})
	wantError(t, err, ErrPathTooLong)
}

func TestCloseWakesAccept(t *testing.T) {
	l := mustListen(t, shortDir(t), ServerConfig{})
	result := make(chan error)
	go func() {
		_, err := l.Accept()
		result <- err
	}()
	l.Close()
	wantError(t, await(t, "Accept returns", result), ErrAccept)
	if l.Fd() != -1 {
		t.Error("a closed listener has a descriptor")
	}
}
