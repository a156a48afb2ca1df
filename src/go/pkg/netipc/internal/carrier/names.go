package carrier

import (
	"fmt"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/session"
)

// CheckServiceName fails with session.ErrBadParam for a name that could lead out of the
// directory of its endpoint, or means something to the system (PROTOCOL.md, section 22).
func CheckServiceName(name string) error {
	switch name {
	case "":
		return fmt.Errorf("%w: service name is empty", session.ErrBadParam)
	case ".", "..":
		return fmt.Errorf("%w: service name %q is a directory", session.ErrBadParam, name)
	}
	for i := range len(name) {
		if !inServiceName(name[i]) {
			return fmt.Errorf("%w: service name %q has a character other than A-Z a-z 0-9 . _ -", session.ErrBadParam, name)
		}
	}
	return nil
}

func inServiceName(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '.' || c == '_' || c == '-'
}
