package posix

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func init() {
	// Listens many times under a umask, and says which modes the socket was seen with.
	children["listen under umask"] = func(dir string, args []string) error {
		mask, err := strconv.ParseUint(args[0], 8, 32)
		if err != nil {
			return err
		}
		syscall.Umask(int(mask))
		stop, seen := make(chan struct{}), make(chan map[string]bool)
		go func() {
			modes := map[string]bool{}
			for {
				select {
				case <-stop:
					seen <- modes
					return
				default:
				}
				if entry, err := fileAt(socketIn(dir)); err == nil {
					modes[fmt.Sprintf("%o", entry.mode&0o777)] = true
				}
			}
		}()
		for range 300 {
			l, err := Listen(dir, "svc", ServerConfig{SupportedProfiles: 7})
			if err != nil {
				return err
			}
			entry, err := fileAt(l.path)
			if err != nil || entry.mode&0o777 != 0o600 {
				return fmt.Errorf("mode %o (%v)", entry.mode, err)
			}
			l.Close()
		}
		close(stop)
		if now := syscall.Umask(0); now != int(mask) {
			return fmt.Errorf("umask is %o now", now)
		}
		fmt.Println(strings.Join(slices.Sorted(maps.Keys(<-seen)), " "))
		return nil
	}
	// Listens with no descriptor left but the number given, and says what came of it.
	children["listen without descriptors"] = func(dir string, args []string) error {
		left, err := strconv.Atoi(args[0])
		if err != nil {
			return err
		}
		// The poller takes its descriptors with the first socket.
		warm, err := Listen(dir, "warm", ServerConfig{})
		if err != nil {
			return err
		}
		warm.Close()
		limit := uint64(lowestFree() + left)
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: limit, Max: limit}); err != nil {
			return err
		}
		_, err = Listen(dir, "svc", ServerConfig{})
		fmt.Println(err)
		return nil
	}
	// Accepts with no descriptor left, and again with one.
	children["accept without descriptors"] = func(dir string, _ []string) error {
		l, err := Listen(dir, "svc", ServerConfig{})
		if err != nil {
			return err
		}
		client, err := connect(context.Background(), l.path)
		if err != nil {
			return err
		}
		defer client.Close()
		limit := uint64(lowestFree())
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: limit, Max: limit + 1}); err != nil {
			return err
		}
		if _, err := l.AcceptPending(); !errors.Is(err, ErrAccept) || !errors.Is(err, syscall.EMFILE) {
			return fmt.Errorf("without descriptors: %w", err)
		}
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: limit + 1, Max: limit + 1}); err != nil {
			return err
		}
		pending, err := l.AcceptPending()
		if err != nil {
			return err
		}
		pending.Close()
		fmt.Println("accepted")
		return nil
	}
	children["lock as another user"] = func(dir string, args []string) error {
		user, err := strconv.Atoi(args[0])
		if err != nil {
			return err
		}
		if err := syscall.Setuid(user); err != nil {
			return err
		}
		lock, err := endpoint{dir, "svc"}.lock(50 * time.Millisecond)
		if err != nil {
			return err
		}
		lock.unlock()
		fmt.Println("locked")
		return nil
	}
	children["wait"] = func(string, []string) error {
		fmt.Println("waiting")
		stay(nil)
		return nil
	}
}

// lowestFree is the number the next descriptor gets.
func lowestFree() int {
	fd, err := syscall.Open("/dev/null", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return 0
	}
	syscall.Close(fd)
	return fd
}

func TestSocketIs0600WhateverTheUmask(t *testing.T) {
	for _, mask := range []string{"0", "022"} {
		// From the first instant, not only in the end.
		startChild(t, "listen under umask", shortDir(t), mask).expect("600")
	}
	// Never too much, and enough in the end.
	modes := startChild(t, "listen under umask", shortDir(t), "0777").next()
	if modes != "0 600" && modes != "600" {
		t.Errorf("seen with modes %s", modes)
	}
}

func TestADescriptorShortageIsNoEndToAccepting(t *testing.T) {
	startChild(t, "accept without descriptors", shortDir(t)).expect("accepted")
}

func TestKeepsALiveServerWhenDescriptorsAreOut(t *testing.T) {
	dir := shortDir(t)
	l := mustListen(t, dir, ServerConfig{})
	for left := range 4 {
		said := startChild(t, "listen without descriptors", dir, strconv.Itoa(left)).next()
		if !strings.Contains(said, "listen on "+socketIn(dir)) {
			t.Errorf("with %d descriptors: %s", left, said)
		}
		if inodeAt(t, socketIn(dir)) != l.id {
			t.Fatalf("with %d descriptors the live server lost its endpoint", left)
		}
	}
}

func TestTakesTheLockOfAnotherUserWhoDied(t *testing.T) {
	needsRoot(t, "cannot make a file of another user")
	dir := shortDir(t)
	const nobody = 65534
	noError(t, os.Chown(dir, nobody, nobody))
	noError(t, os.WriteFile(endpoint{dir, "svc"}.lockPath(), nil, 0o600))
	startChild(t, "lock as another user", dir, strconv.Itoa(nobody)).expect("locked")
}

func TestSocketsAreNotInherited(t *testing.T) {
	dir := shortDir(t)
	l := mustListen(t, dir, ServerConfig{})
	client, server := mustConnect(t, l, nil)
	for what, fd := range map[string]int{"listener": l.Fd(), "client": client.Fd(), "server": server.Fd()} {
		flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFD, 0)
		if errno != 0 || flags&syscall.FD_CLOEXEC == 0 {
			t.Errorf("%s: descriptor flags %#x (%v)", what, flags, errno)
		}
	}
	// A child outlives the listener here, and must not keep the endpoint alive.
	outlives := startChild(t, "wait", dir)
	outlives.expect("waiting")
	l.Close()
	client.Close()
	if _, _, err := server.Receive(nil); err == nil {
		t.Error("the connection outlived its client")
	}
	mustListen(t, dir, ServerConfig{})
}
