package windows

import (
	"syscall"
	"unsafe"
)

// What package syscall does not have.
var (
	kernel32 = syscall.NewLazyDLL("kernel32.dll")
	advapi32 = syscall.NewLazyDLL("advapi32.dll")

	procCreateNamedPipe         = kernel32.NewProc("CreateNamedPipeW")
	procConnectNamedPipe        = kernel32.NewProc("ConnectNamedPipe")
	procDisconnectNamedPipe     = kernel32.NewProc("DisconnectNamedPipe")
	procSetNamedPipeHandleState = kernel32.NewProc("SetNamedPipeHandleState")
	procPeekNamedPipe           = kernel32.NewProc("PeekNamedPipe")
	procSetNotificationModes    = kernel32.NewProc("SetFileCompletionNotificationModes")
	procCreateCompletionPort    = kernel32.NewProc("CreateIoCompletionPort")
	procGetQueuedCompletion     = kernel32.NewProc("GetQueuedCompletionStatus")
	procPostQueuedCompletion    = kernel32.NewProc("PostQueuedCompletionStatus")
	procCreateFileMapping       = kernel32.NewProc("CreateFileMappingW")
	procOpenFileMapping         = kernel32.NewProc("OpenFileMappingW")
	procVirtualQuery            = kernel32.NewProc("VirtualQuery")
	procCreateEvent             = kernel32.NewProc("CreateEventW")
	procOpenEvent               = kernel32.NewProc("OpenEventW")
	procSetEvent                = kernel32.NewProc("SetEvent")
	procWaitForMultipleObjects  = kernel32.NewProc("WaitForMultipleObjects")
	procConvertDescriptor       = advapi32.NewProc("ConvertStringSecurityDescriptorToSecurityDescriptorW")
)

const (
	errorAccessDenied     = syscall.ERROR_ACCESS_DENIED
	errorPipeBusy         = syscall.Errno(231)
	errorNoData           = syscall.Errno(232)
	errorPipeNotConnected = syscall.Errno(233)
	errorPipeConnected    = syscall.Errno(535)

	pipeAccessDuplex        = 0x00000003
	pipeTypeMessage         = 0x00000004
	pipeReadModeMessage     = 0x00000002
	pipeRejectRemoteClients = 0x00000008
	pipeUnlimitedInstances  = 255

	fileFlagOverlapped        = 0x40000000
	fileFlagFirstPipeInstance = 0x00080000
	securitySQOSPresent       = 0x00100000
	securityIdentification    = 0x00010000

	skipCompletionPortOnSuccess = 1

	eventModifyState = 0x0002
	synchronize      = 0x00100000
	memCommit        = 0x1000
)

// succeeded turns a result that is 0 for failure into an error.
func succeeded(result, _ uintptr, errno syscall.Errno) error {
	if result != 0 {
		return nil
	}
	return failed(errno)
}

// failed makes sure that a failure the system gives no reason for is an error.
func failed(errno syscall.Errno) error {
	if errno == 0 {
		return syscall.EINVAL
	}
	return errno
}

func createNamedPipe(name []uint16, open, mode, buffer uint32, security *syscall.SecurityAttributes) (syscall.Handle, error) {
	handle, _, errno := syscall.SyscallN(procCreateNamedPipe.Addr(), uintptr(unsafe.Pointer(&name[0])), uintptr(open),
		uintptr(mode), pipeUnlimitedInstances, uintptr(buffer), uintptr(buffer), 0, uintptr(unsafe.Pointer(security)))
	if syscall.Handle(handle) == syscall.InvalidHandle {
		return syscall.InvalidHandle, failed(errno)
	}
	return syscall.Handle(handle), nil
}

// connectNamedPipe has the signature of syscall.ReadFile: see operation.
func connectNamedPipe(handle syscall.Handle, _ []byte, _ *uint32, overlapped *syscall.Overlapped) error {
	return succeeded(syscall.SyscallN(procConnectNamedPipe.Addr(), uintptr(handle), uintptr(unsafe.Pointer(overlapped))))
}

func disconnectNamedPipe(handle syscall.Handle) error {
	return succeeded(syscall.SyscallN(procDisconnectNamedPipe.Addr(), uintptr(handle)))
}

func setReadModeMessage(handle syscall.Handle) error {
	mode := uint32(pipeReadModeMessage)
	return succeeded(syscall.SyscallN(procSetNamedPipeHandleState.Addr(), uintptr(handle), uintptr(unsafe.Pointer(&mode)), 0, 0))
}

// peekNamedPipe returns how many bytes can be read at once.
func peekNamedPipe(handle syscall.Handle) (uint32, error) {
	var available uint32
	err := succeeded(syscall.SyscallN(procPeekNamedPipe.Addr(), uintptr(handle), 0, 0, 0, uintptr(unsafe.Pointer(&available)), 0))
	return available, err
}

func setNotificationModes(handle syscall.Handle, modes uint8) error {
	return succeeded(syscall.SyscallN(procSetNotificationModes.Addr(), uintptr(handle), uintptr(modes)))
}

// newCompletionPort makes a port for one goroutine.
func newCompletionPort() (syscall.Handle, error) {
	port, _, errno := syscall.SyscallN(procCreateCompletionPort.Addr(), uintptr(syscall.InvalidHandle), 0, 0, 1)
	return syscall.Handle(port), succeeded(port, 0, errno)
}

// addToPort has the port told of what ends on handle, with key.
func addToPort(port, handle syscall.Handle, key uintptr) error {
	return succeeded(syscall.SyscallN(procCreateCompletionPort.Addr(), uintptr(handle), uintptr(port), key, 0))
}

// takeFromPort waits for something to end, and returns how. Without an overlapped it is
// the port that failed.
func takeFromPort(port syscall.Handle) (overlapped *syscall.Overlapped, c completion) {
	c.err = succeeded(syscall.SyscallN(procGetQueuedCompletion.Addr(), uintptr(port), uintptr(unsafe.Pointer(&c.n)),
		uintptr(unsafe.Pointer(&c.key)), uintptr(unsafe.Pointer(&overlapped)), syscall.INFINITE))
	return overlapped, c
}

// putToPort tells the port that something has ended.
func putToPort(port syscall.Handle, key uintptr, overlapped *syscall.Overlapped) error {
	return succeeded(syscall.SyscallN(procPostQueuedCompletion.Addr(), uintptr(port), 0, key, uintptr(unsafe.Pointer(overlapped))))
}

// createFileMapping makes a new mapping of size bytes; syscall.ERROR_ALREADY_EXISTS if
// it is not new.
func createFileMapping(name []uint16, size uint64, security *syscall.SecurityAttributes) (syscall.Handle, error) {
	handle, _, errno := syscall.SyscallN(procCreateFileMapping.Addr(), uintptr(syscall.InvalidHandle), uintptr(unsafe.Pointer(security)),
		syscall.PAGE_READWRITE, uintptr(size>>32), uintptr(uint32(size)), uintptr(unsafe.Pointer(&name[0])))
	return newObject(handle, errno)
}

// createEvent makes a new event; syscall.ERROR_ALREADY_EXISTS if it is not new. Without
// a name it is this process's own.
func createEvent(name []uint16, manualReset bool, security *syscall.SecurityAttributes) (syscall.Handle, error) {
	var manual uintptr
	if manualReset {
		manual = 1
	}
	handle, _, errno := syscall.SyscallN(procCreateEvent.Addr(), uintptr(unsafe.Pointer(security)), manual, 0, uintptr(unsafe.Pointer(unsafe.SliceData(name))))
	return newObject(handle, errno)
}

func newObject(handle uintptr, errno syscall.Errno) (syscall.Handle, error) {
	switch {
	case handle == 0:
		return 0, failed(errno)
	case errno == syscall.ERROR_ALREADY_EXISTS:
		syscall.CloseHandle(syscall.Handle(handle))
		return 0, errno
	}
	return syscall.Handle(handle), nil
}

func openFileMapping(name []uint16) (syscall.Handle, error) {
	handle, _, errno := syscall.SyscallN(procOpenFileMapping.Addr(), syscall.FILE_MAP_READ|syscall.FILE_MAP_WRITE, 0, uintptr(unsafe.Pointer(&name[0])))
	return newObject(handle, errno)
}

func openEvent(name []uint16) (syscall.Handle, error) {
	handle, _, errno := syscall.SyscallN(procOpenEvent.Addr(), eventModifyState|synchronize, 0, uintptr(unsafe.Pointer(&name[0])))
	return newObject(handle, errno)
}

// setEvent cannot fail for an event that is open for it.
func setEvent(event syscall.Handle) { syscall.SyscallN(procSetEvent.Addr(), uintptr(event)) }

// waitForEither waits for one of two events. That the time is over is no failure.
func waitForEither(events *[2]syscall.Handle, milliseconds uint32) error {
	result, _, errno := syscall.SyscallN(procWaitForMultipleObjects.Addr(), 2, uintptr(unsafe.Pointer(events)), 0, uintptr(milliseconds))
	if uint32(result) == syscall.WAIT_FAILED {
		return failed(errno)
	}
	return nil
}

// mapView maps all of a mapping. The slice is as long as what can be used of it, in
// whole pages.
func mapView(mapping syscall.Handle) ([]byte, error) {
	address, err := syscall.MapViewOfFile(mapping, syscall.FILE_MAP_READ|syscall.FILE_MAP_WRITE, 0, 0, 0)
	if err != nil {
		return nil, err
	}
	var info struct {
		baseAddress, allocationBase uintptr
		allocationProtect           uint32
		regionSize                  uintptr
		state, protect, kind        uint32
	}
	usable, _, errno := syscall.SyscallN(procVirtualQuery.Addr(), address, uintptr(unsafe.Pointer(&info)), unsafe.Sizeof(info))
	if usable == 0 || info.state != memCommit {
		syscall.UnmapViewOfFile(address)
		return nil, failed(errno)
	}
	// The address is the system's and not of Go's heap, which a conversion from a number
	// could not tell.
	base := *(*unsafe.Pointer)(unsafe.Pointer(&address))
	return unsafe.Slice((*byte)(base), info.regionSize), nil
}

func unmapView(mem []byte) error {
	return syscall.UnmapViewOfFile(uintptr(unsafe.Pointer(unsafe.SliceData(mem))))
}
