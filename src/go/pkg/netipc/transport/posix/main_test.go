//go:build unix

package posix

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// patience is how long a test waits for what must happen. Nothing is expected to
// take as long.
const patience = 20 * time.Second

// children are what this test program does when a test starts it again as a process
// of its own: with the directory of the endpoint and further arguments.
var children = map[string]func(dir string, args []string) error{}

const childVariable = "NETIPC_TEST_CHILD"

func TestMain(m *testing.M) {
	name := os.Getenv(childVariable)
	if name == "" {
		os.Exit(m.Run())
	}
	os.Unsetenv(childVariable)
	if err := children[name](os.Args[1], os.Args[2:]); err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
}

// stay keeps a child as it is, and what it holds, until it is killed or the test is.
func stay(holding any) {
	io.Copy(io.Discard, os.Stdin)
	runtime.KeepAlive(holding)
}

// A child is another process of this program. What it says, line by line, is how
// tests wait for it.
type child struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines *bufio.Scanner
}

func startChild(t *testing.T, name, dir string, args ...string) *child {
	t.Helper()
	return startCommand(t, exec.Command(os.Args[0], append([]string{dir}, args...)...), name)
}

// startCommand starts what is this program, as the child of that name.
func startCommand(t *testing.T, cmd *exec.Cmd, name string) *child {
	t.Helper()
	if children[name] == nil {
		t.Fatalf("no child is named %s", name)
	}
	cmd.Env = append(os.Environ(), childVariable+"="+name)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	noError(t, err)
	_, err = cmd.StdinPipe() // open until the child is killed: see stay
	noError(t, err)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &child{t, cmd, bufio.NewScanner(stdout)}
	t.Cleanup(c.kill)
	return c
}

// expect waits for the child to say line.
func (c *child) expect(line string) {
	c.t.Helper()
	if got := c.next(); got != line {
		c.t.Fatalf("child said %q instead of %q", got, line)
	}
}

// next waits for the child's next line.
func (c *child) next() string {
	c.t.Helper()
	if !c.lines.Scan() {
		c.t.Fatalf("child ended without a word (%v)", c.lines.Err())
	}
	return c.lines.Text()
}

// kill ends the child without giving it a chance to clean up.
func (c *child) kill() {
	if c.cmd.ProcessState == nil {
		c.cmd.Process.Kill()
		c.cmd.Wait()
	}
}

// shortDir returns an empty directory with a path short enough for sockets.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "nipc")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func wantError(t testing.TB, err, kind error) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Fatalf("got %v, expected %v", err, kind)
	}
}

func noError(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// mustListen opens the endpoint "svc" in dir for the length of the test.
func mustListen(t testing.TB, dir string, config ServerConfig) *Listener {
	t.Helper()
	l, err := Listen(dir, "svc", config)
	noError(t, err)
	t.Cleanup(l.Close)
	return l
}

// eventually waits until condition holds, for what no event tells.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if condition() {
			return
		}
	}
	t.Fatalf("waited in vain: %s", what)
}

// awaitReceiver waits until a goroutine sleeps in Session.Receive.
func awaitReceiver(t testing.TB) {
	t.Helper()
	eventually(t, "somebody waits for a message", func() bool {
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		for goroutine := range bytes.SplitSeq(stacks, []byte("\n\n")) {
			if bytes.Contains(goroutine, []byte("[IO wait")) &&
				bytes.Contains(goroutine, []byte("(*Session).Receive(")) {
				return true
			}
		}
		return false
	})
}

// await waits for a result of another goroutine.
func await[T any](t testing.TB, what string, result <-chan T) T {
	t.Helper()
	select {
	case value := <-result:
		return value
	case <-time.After(patience):
		t.Fatalf("waited in vain: %s", what)
		panic("unreachable")
	}
}

func namesIn(t testing.TB, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	noError(t, err)
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return strings.Join(names, " ")
}

func inodeAt(t testing.TB, path string) fileID {
	t.Helper()
	entry, err := fileAt(path)
	noError(t, err)
	return entry.id
}

func socketIn(dir string) string { return filepath.Join(dir, "svc.sock") }
