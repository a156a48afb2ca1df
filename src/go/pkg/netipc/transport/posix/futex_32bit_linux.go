//go:build linux && (386 || arm || mips || mipsle)

package posix

import (
	"syscall"
	"time"
	"unsafe"
)

// sysFutexTime64 is 422; only MIPS numbers its calls from 4000.
const sysFutexTime64 = syscall.SYS_FUTEX/4000*4000 + 422

// timespec64 is what futex_time64 takes.
type timespec64 struct{ seconds, nanoseconds int64 }

func newTimespec(d time.Duration) timespec64 {
	return timespec64{int64(d / time.Second), int64(d % time.Second)}
}

// futexWaitFor asks with the times of 32 bits, which package syscall uses throughout
// and which suffice for a duration. A kernel built without them has only the call with
// 64 bits; to ask for that first would be worse, as some older systems kill who does.
func futexWaitFor(word *uint32, value uint32, timeout *timespec64) syscall.Errno {
	const most = 1<<31 - 1
	short := syscall.Timespec{Sec: int32(min(timeout.seconds, most)), Nsec: int32(timeout.nanoseconds)}
	_, _, errno := syscall.Syscall6(syscall.SYS_FUTEX, uintptr(unsafe.Pointer(word)), futexWaitOp,
		uintptr(value), uintptr(unsafe.Pointer(&short)), 0, 0)
	if errno == syscall.ENOSYS {
		_, _, errno = syscall.Syscall6(sysFutexTime64, uintptr(unsafe.Pointer(word)), futexWaitOp,
			uintptr(value), uintptr(unsafe.Pointer(timeout)), 0, 0)
	}
	return errno
}
