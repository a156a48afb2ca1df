package windows

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/session"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

// patience is how long a test waits for what must happen. Nothing is expected to
// take as long.
const patience = 20 * time.Second

func soon() time.Time { return time.Now().Add(patience) }

// children are what this test program does when a test starts it again as a process
// of its own: with a directory and further arguments.
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

// A child is another process of this program. What it says, line by line, is how
// tests wait for it.
type child struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines *bufio.Scanner
}

func startChild(t *testing.T, name, dir string, args ...string) *child {
	t.Helper()
	cmd := exec.Command(os.Args[0], append([]string{dir}, args...)...)
	cmd.Env = append(os.Environ(), childVariable+"="+name)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	noError(t, err)
	noError(t, cmd.Start())
	c := &child{t, cmd, bufio.NewScanner(stdout)}
	t.Cleanup(c.kill)
	return c
}

// expect waits for the child to say line.
func (c *child) expect(line string) {
	c.t.Helper()
	if !c.lines.Scan() || c.lines.Text() != line {
		c.t.Fatalf("child said %q (%v) instead of %q", c.lines.Text(), c.lines.Err(), line)
	}
}

// kill ends the child without giving it a chance to clean up.
func (c *child) kill() {
	if c.cmd.ProcessState == nil {
		c.cmd.Process.Kill()
		c.cmd.Wait()
	}
}

// underWine tells whether the system is Wine, which lacks some of what Windows does.
func underWine() bool {
	return syscall.NewLazyDLL("ntdll.dll").NewProc("wine_get_version").Find() == nil
}

var directories int

// ownDir returns the name of a directory that no other test uses, and nobody makes.
func ownDir(t testing.TB) string {
	directories++
	return `C:\netipc\` + strconv.Itoa(os.Getpid()) + `\` + strconv.Itoa(directories) + t.Name()
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

// mustListen opens the endpoint "svc" of dir for the length of the test.
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

// allocatesNothing tries f until it allocates nothing: what tests before this one left
// running may allocate meanwhile.
func allocatesNothing(t *testing.T, f func()) {
	t.Helper()
	eventually(t, "nothing is allocated", func() bool { return testing.AllocsPerRun(100, f) == 0 })
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

func request(id uint64) *protocol.Header {
	return &protocol.Header{Kind: protocol.KindRequest, Code: protocol.MethodIncrement, ItemCount: 1, MessageID: id}
}

func response(id uint64) *protocol.Header {
	h := request(id)
	h.Kind = protocol.KindResponse
	return h
}

// generous are limits no test of pipes runs into.
func generous(packetSize uint32) session.Agreement {
	const most = 1 << 30
	return session.Agreement{
		MaxRequestPayloadBytes: most, MaxRequestBatchItems: most,
		MaxResponsePayloadBytes: most, MaxResponseBatchItems: most,
		PacketSize: packetSize, SelectedProfile: protocol.ProfileBaseline,
	}
}

// mustPipe makes the two ends of a pipe, without a word on it.
func mustPipe(t testing.TB) (client, server *conn) {
	t.Helper()
	l := mustListen(t, ownDir(t), ServerConfig{})
	client = mustDial(t, l)
	pending, err := l.AcceptPending()
	noError(t, err)
	t.Cleanup(pending.Close)
	l.Close()
	return client, pending.conn
}

// mustPair makes the two ends of a session without a handshake.
func mustPair(t testing.TB, agreement session.Agreement) (client, server *Session) {
	t.Helper()
	here, there := mustPipe(t)
	return newSession(RoleClient, "pair", here, &agreement), newSession(RoleServer, "pair", there, &agreement)
}

// mustDial connects a bare pipe to the endpoint.
func mustDial(t testing.TB, l *Listener) *conn {
	t.Helper()
	c, err := connect(t.Context(), l.name)
	noError(t, err)
	t.Cleanup(c.Close)
	return c
}
