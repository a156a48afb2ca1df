package service_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestIdleServersClientsAndCachesWakeNobody(t *testing.T) {
	eachCarrier(t, func(t *testing.T, c carrier) {
		idle := spawn(t, "idle", runDir(t), c)
		before := sleeps(t, idle.cmd.Process.Pid)
		eventually(t, "it comes to rest", func() bool {
			time.Sleep(300 * time.Millisecond)
			was := before
			before = sleeps(t, idle.cmd.Process.Pid)
			return before == was
		})
	})
}

// sleeps is how often the threads of a process have gone to sleep.
func sleeps(t *testing.T, pid int) (n uint64) {
	t.Helper()
	statuses, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil || len(statuses) == 0 {
		t.Fatalf("no threads of %d: %v", pid, err)
	}
	for _, path := range statuses {
		status, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		_, count, _ := strings.Cut(string(status), "\nvoluntary_ctxt_switches:\t")
		count, _, _ = strings.Cut(count, "\n")
		one, err := strconv.ParseUint(count, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		n += one
	}
	return n
}
