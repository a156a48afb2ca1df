package windows

import (
	"fmt"
	"sync"
	"syscall"
	"unsafe"
)

// onlyThisUser lets the user of this process do everything with an object, and nobody
// else anything. It is made once and never freed.
var onlyThisUser = sync.OnceValues(func() (*syscall.SecurityAttributes, error) {
	user, err := thisUser()
	if err != nil {
		return nil, fmt.Errorf("who is the user of this process: %w", err)
	}
	text, err := syscall.UTF16FromString(accessList(user))
	if err != nil {
		return nil, err
	}
	attributes := &syscall.SecurityAttributes{}
	attributes.Length = uint32(unsafe.Sizeof(*attributes))
	const revision = 1
	err = succeeded(syscall.SyscallN(procConvertDescriptor.Addr(), uintptr(unsafe.Pointer(&text[0])), revision,
		uintptr(unsafe.Pointer(&attributes.SecurityDescriptor)), 0))
	if err != nil {
		return nil, fmt.Errorf("make an access list for %s: %w", user, err)
	}
	return attributes, nil
})

// accessList is a security descriptor in the system's language: protected, so that
// nothing is inherited, and with everything allowed to one.
func accessList(sid string) string { return "D:P(A;;GA;;;" + sid + ")" }

// thisUser returns the security identifier of the user of the process's token.
func thisUser() (string, error) {
	token, err := syscall.OpenCurrentProcessToken()
	if err != nil {
		return "", err
	}
	defer token.Close()
	user, err := token.GetTokenUser()
	if err != nil {
		return "", err
	}
	return user.User.Sid.String()
}
