package posix

import (
	"syscall"
	"time"
	"unsafe"
)

// Futexes that work across processes: without FUTEX_PRIVATE_FLAG.
const (
	futexWaitOp = 0
	futexWakeOp = 1
)

// futexWait sleeps while *word is value, until it is woken or the time is over. The
// kernel compares once it would wake the sleeper again, so no
// wake is lost. Whatever comes of it, except for an error other than EAGAIN, EINTR and
// ETIMEDOUT, the caller must look again.
func futexWait(word *uint32, value uint32, longest time.Duration) syscall.Errno {
	timeout := newTimespec(longest)
	return futexWaitFor(word, value, &timeout)
}

// futexWake wakes at most count sleepers. It cannot fail for a word that is mapped.
func futexWake(word *uint32, count int) {
	// Raw, as it never blocks.
	for _, call := range [...]uintptr{syscall.SYS_FUTEX, sysFutexTime64} {
		_, _, errno := syscall.RawSyscall6(call, uintptr(unsafe.Pointer(word)), futexWakeOp, uintptr(count), 0, 0, 0)
		if errno != syscall.ENOSYS {
			return
		}
	}
}
