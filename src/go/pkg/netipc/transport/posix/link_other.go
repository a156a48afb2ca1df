//go:build unix && !linux

package posix

import (
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/carrier"
)

// There is no shared memory on these systems, so it is never offered and never agreed
// on.
func (endpoint) media(time.Duration) carrier.Media { return nil }

func (endpoint) sweepRegions() {}

// Nothing is handed over on these systems.
func (*conn) awaitHanded()  {}
func (*conn) refuseHanded() {}
