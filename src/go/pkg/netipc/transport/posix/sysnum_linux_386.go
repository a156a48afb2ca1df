package posix

// Package syscall knows only the older call that multiplexes these.
const (
	sysSendmsg = 370
	sysRecvmsg = 372
)
