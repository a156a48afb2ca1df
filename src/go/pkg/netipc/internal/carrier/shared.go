package carrier

import "time"

// SharedMemory carries the messages of a link in place of its connection, as records: a
// message is one, or several in a row. All methods wrap session.ErrProtocol for what is
// the peer's doing. Stop, End and Close may be called by any goroutine at any time.
type SharedMemory interface {
	Traits() Traits
	// Send sends head and body as one message. It waits for room until deadline, the zero
	// time being never; and fails with protocol.ErrTimeout, or with what End was given.
	Send(head, body []byte, deadline time.Time) error
	// Next waits for a record and returns its length, which has been compared with what
	// the shared memory can hold. It fails with protocol.ErrTimeout, or with what Stop and
	// End say.
	Next(deadline time.Time) (uint32, error)
	// CopyOut copies the start of the record that Next found, once.
	CopyOut(buf []byte) error
	// Stop makes Next fail with protocol.ErrAborted, whatever is there.
	Stop()
	// End makes Next fail with cause, after what records there are, and Send as soon as it
	// would have to wait.
	End(cause error)
	// Close lets go of it, on the server's side for good, and ends what others wait for.
	Close()
}

// Traits are what a link has to know of its shared memory.
type Traits struct {
	OneMessage bool // it holds one message at a time in each direction, as one record
	// Of a message in several records each but the last has so many bytes, so that nobody
	// has to look at more of them than it needs. 0: a message is one record.
	LongestRecord uint32
	WaitsOnConn   bool // who waits in it notices by itself what becomes of the connection
}
