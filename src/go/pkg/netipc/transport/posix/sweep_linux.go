package posix

import (
	"encoding/binary"
	"os"
	"strings"
	"syscall"
)

// ShmCleanupStale removes the shared memory that dead servers of a service left in
// runDir, and what only looks like it: exactly {serviceName}-{16 hexadecimal
// digits}.ipcshm. What a live process uses stays, as does what cannot be removed.
// [Listen] does this for a server that offers shared memory.
func ShmCleanupStale(runDir, serviceName string) {
	e, err := newEndpoint(runDir, serviceName)
	if err != nil {
		return // nothing can have such a name
	}
	e.sweepRegions()
}

func (e endpoint) sweepRegions() {
	// What cannot be listed or removed harms nobody: a session that needs the name goes
	// without shared memory, or takes another.
	entries, _ := os.ReadDir(e.dir)
	for _, entry := range entries {
		if e.isRegionName(entry.Name()) {
			_ = reclaimRegion(e.dir + "/" + entry.Name())
		}
	}
}

// isRegionName tells whether regionPath can have made a name.
func (e endpoint) isRegionName(name string) bool {
	digits, isRegion := strings.CutSuffix(name, ".ipcshm")
	digits, isOurs := strings.CutPrefix(digits, e.service+"-")
	return isRegion && isOurs && len(digits) == 16 && strings.Trim(digits, "0123456789abcdef") == ""
}

func hasLiveOwner(header *[regionHeaderLen]byte) bool {
	magic := binary.NativeEndian.Uint32(header[offsetMagic:])
	pid := int32(binary.NativeEndian.Uint32(header[offsetOwnerPID:]))
	generation := binary.NativeEndian.Uint32(header[offsetOwnerGeneration:])
	return magic == regionMagic && generation != 0 && processExists(pid)
}

func processExists(pid int32) bool {
	if pid <= 0 {
		return false
	}
	err := syscall.Kill(int(pid), 0)
	return err == nil || err == syscall.EPERM
}
