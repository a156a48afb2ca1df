package posix

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func init() {
	// Makes a link over rings, with knocks if it is told so, makes both ends wait for a
	// message after each has had some, and stays.
	children["idle over rings"] = func(dir string, args []string) error {
		l, err := Listen(dir, "svc", ServerConfig{SupportedProfiles: turns})
		if err != nil {
			return err
		}
		if len(args) > 0 {
			var limit syscall.Rlimit
			if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
				return err
			}
			for range 40 {
				if _, err := os.Open(os.DevNull); err != nil {
					return err
				}
			}
			limit.Cur = 80
			if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
				return err
			}
		}
		go func() {
			pending, err := l.AcceptPending()
			if err == nil {
				var server *Link
				if server, err = pending.Accept(context.Background(), l.currentConfig()); err == nil {
					err = answerAll(server, 1)
				}
			}
			fmt.Println(err)
		}()
		client, err := Dial(context.Background(), dir, "svc", &ClientConfig{SupportedProfiles: turns})
		if err != nil {
			return err
		}
		for id := range uint64(100) {
			if err := client.Send(request(id), nil, time.Now().Add(time.Hour)); err != nil {
				return err
			}
			if _, _, err := client.Receive(time.Now().Add(time.Hour)); err != nil {
				return err
			}
		}
		fmt.Println("idle")
		go client.Receive(time.Time{})
		stay(client)
		return nil
	}
}

func TestAnIdleLinkOverRingsWakesNobody(t *testing.T) {
	for name, args := range map[string][]string{"bells": nil, "knocks": {"knock"}} {
		t.Run(name, func(t *testing.T) {
			idle := startChild(t, "idle over rings", shortDir(t), args...)
			idle.expect("idle")
			// Once the runtime has come to rest.
			before := switches(t, idle.cmd.Process.Pid)
			eventually(t, "it sleeps", func() bool {
				time.Sleep(300 * time.Millisecond)
				was := before
				before = switches(t, idle.cmd.Process.Pid)
				return before == was
			})
		})
	}
}

// switches is how often the threads of a process have gone to sleep.
func switches(t *testing.T, pid int) (n uint64) {
	t.Helper()
	statuses, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	noError(t, err)
	for _, path := range statuses {
		file, err := os.Open(path)
		noError(t, err)
		status, err := io.ReadAll(file)
		file.Close()
		noError(t, err)
		_, count, _ := strings.Cut(string(status), "\nvoluntary_ctxt_switches:\t")
		count, _, _ = strings.Cut(count, "\n")
		one, err := strconv.ParseUint(count, 10, 64)
		noError(t, err)
		n += one
	}
	return n
}
