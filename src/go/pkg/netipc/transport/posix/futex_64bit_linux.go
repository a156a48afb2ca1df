//go:build linux && !(386 || arm || mips || mipsle)

package posix

import (
	"syscall"
	"time"
	"unsafe"
)

// sysFutexTime64 is the only call there is.
const sysFutexTime64 = syscall.SYS_FUTEX

func newTimespec(d time.Duration) syscall.Timespec { return syscall.NsecToTimespec(int64(d)) }

func futexWaitFor(word *uint32, value uint32, timeout *syscall.Timespec) syscall.Errno {
	_, _, errno := syscall.Syscall6(syscall.SYS_FUTEX, uintptr(unsafe.Pointer(word)), futexWaitOp,
		uintptr(value), uintptr(unsafe.Pointer(timeout)), 0, 0)
	return errno
}
