package windows

import (
	"fmt"
	"syscall"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/carrier"
)

// WinShmServerCreate makes the shared memory of a session: areas for messages of at
// least the given sizes, their 32-byte envelopes included, under a name that only who
// knows the token can tell. It fails with ErrWinShmBadParam for names, profiles and sizes
// that cannot be used, with ErrWinShmAddrInUse if something of that name exists, or with
// ErrWinShmCreateMapping, ErrWinShmMapView or ErrWinShmCreateEvent.
func WinShmServerCreate(runDir, serviceName string, authToken, sessionID uint64, profile, reqCapacity, respCapacity uint32) (*WinShmContext, error) {
	names, err := nameObjects(runDir, serviceName, authToken, sessionID, profile)
	if err != nil {
		return nil, err
	}
	layout, err := newLayout(reqCapacity, respCapacity)
	if err != nil {
		return nil, fmt.Errorf("shared memory of %s: %w", serviceName, err)
	}
	o := objects{names: names}
	if err := o.create(&layout, profile); err != nil {
		o.close()
		return nil, err
	}
	return o.context(WinShmRoleServer, layout, spinTries)
}

// WinShmClientAttach opens the shared memory that the server has made for a session. It
// fails with ErrWinShmBadParam for names and profiles that cannot be used, with
// ErrWinShmOpenMapping, ErrWinShmMapView or ErrWinShmOpenEvent, or, if it is not what it
// should be, with ErrWinShmBadMagic, ErrWinShmBadVersion, ErrWinShmBadHeader or
// ErrWinShmBadProfile.
func WinShmClientAttach(runDir, serviceName string, authToken, sessionID uint64, profile uint32) (*WinShmContext, error) {
	names, err := nameObjects(runDir, serviceName, authToken, sessionID, profile)
	if err != nil {
		return nil, err
	}
	o := objects{names: names}
	layout, tries, err := o.open(profile)
	if err != nil {
		o.close()
		return nil, err
	}
	return o.context(WinShmRoleClient, layout, min(tries, spinTries))
}

func nameObjects(runDir, serviceName string, token, sessionID uint64, profile uint32) (objectNames, error) {
	e, err := newEndpoint(runDir, serviceName)
	var names objectNames
	if err == nil {
		names, err = e.objects(token, sessionID, profile)
	}
	if err == nil && profile != WinShmProfileHybrid && profile != WinShmProfileBusywait {
		err = fmt.Errorf("profile %#x has no shared memory", profile)
	}
	if err != nil {
		return names, fmt.Errorf("%w: %w", ErrWinShmBadParam, err)
	}
	return names, nil
}

// objects are what a region consists of. What is not there is zero.
type objects struct {
	names   objectNames
	mapping syscall.Handle
	mem     []byte
	events  [2]syscall.Handle // for requests, for responses
}

func (o *objects) create(l *regionLayout, profile uint32) error {
	security, err := onlyThisUser()
	if err != nil {
		return o.failure(ErrWinShmCreateMapping, err)
	}
	if o.mapping, err = createFileMapping(wide(o.names.mapping), l.size(), security); err != nil {
		return o.failure(ErrWinShmCreateMapping, err)
	}
	if o.mem, err = mapView(o.mapping); err != nil {
		return o.failure(ErrWinShmMapView, err)
	}
	l.writeHeader(o.mem, profile, spinTries)
	if profile != WinShmProfileHybrid {
		return nil
	}
	for i, name := range [...]string{o.names.requestEvent, o.names.responseEvent} {
		if o.events[i], err = createEvent(wide(name), false, security); err != nil {
			return o.failure(ErrWinShmCreateEvent, err)
		}
	}
	return nil
}

func (o *objects) open(profile uint32) (l regionLayout, tries uint32, err error) {
	if o.mapping, err = openFileMapping(wide(o.names.mapping)); err != nil {
		return l, 0, o.failure(ErrWinShmOpenMapping, err)
	}
	if o.mem, err = mapView(o.mapping); err != nil {
		return l, 0, o.failure(ErrWinShmMapView, err)
	}
	if l, tries, err = readLayout(o.mem, profile); err != nil {
		return l, 0, fmt.Errorf("shared memory %s: %w", o.names.mapping, err)
	}
	if profile != WinShmProfileHybrid {
		return l, tries, nil
	}
	for i, name := range [...]string{o.names.requestEvent, o.names.responseEvent} {
		if o.events[i], err = openEvent(wide(name)); err != nil {
			return l, 0, o.failure(ErrWinShmOpenEvent, err)
		}
	}
	return l, tries, nil
}

// context makes a context of the objects, or closes them.
func (o *objects) context(role WinShmRole, l regionLayout, tries uint32) (*WinShmContext, error) {
	c, err := newContext(role, o.names.mapping, o.mem, o.mapping, o.events, l)
	if err != nil {
		o.close()
		return nil, o.failure(ErrWinShmCreateEvent, err)
	}
	c.SpinTries = tries
	return c, nil
}

func (o *objects) close() {
	if o.mem != nil {
		_ = unmapView(o.mem) // fails only for what is not mapped
	}
	closeHandles(o.mapping, o.events[0], o.events[1])
}

// failure says of a name that exists that it is in use, whatever was to be made.
func (o *objects) failure(kind, cause error) error {
	if cause == syscall.ERROR_ALREADY_EXISTS {
		kind = ErrWinShmAddrInUse
	}
	return &carrier.Failure{Kind: kind, Tried: "shared memory " + o.names.mapping, Cause: cause}
}
