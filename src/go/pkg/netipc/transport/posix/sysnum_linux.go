//go:build linux && !386

package posix

import "syscall"

const (
	sysSendmsg = syscall.SYS_SENDMSG
	sysRecvmsg = syscall.SYS_RECVMSG
)
