package carrier

import (
	"fmt"
	"math"
	"math/bits"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/session"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

// An inbox joins the records of a message (PROTOCOL.md, section 27.4).
type inbox struct {
	rules   *session.Rules
	buffer  []byte
	header  protocol.Header
	got     int // bytes of the message, the header included
	missing int
}

// room returns where to copy the next record, of so many bytes, or the start of it that
// is worth a look. It fails with session.ErrProtocol if it does not belong to the message.
func (i *inbox) room(length int) ([]byte, error) {
	switch {
	case i.missing == 0:
		// One byte more than was agreed on is enough to see that it is too much.
		longest := protocol.HeaderSize + uint64(i.rules.Incoming().PayloadBytes)
		i.header, i.got = protocol.Header{}, 0
		return i.grow(int(min(uint64(length), longest+1))), nil
	case length > i.missing:
		return nil, fmt.Errorf("%w: %d bytes where %d are missing", session.ErrProtocol, length, i.missing)
	}
	return i.buffer[i.got:][:length], nil
}

// put judges the record of so many bytes that was copied to the room for it. With
// session.ErrLimitExceeded it leaves the header.
func (i *inbox) put(record []byte, length int) error {
	if i.missing > 0 {
		i.got, i.missing = i.got+length, i.missing-length
		return nil
	}
	header, join, err := i.rules.Begin(record, length)
	i.header = header
	if err != nil {
		return err
	}
	i.got = length
	missing := join.Missing()
	if missing > math.MaxInt-length {
		return fmt.Errorf("%w: payload of %d bytes", session.ErrLimitExceeded, header.PayloadLen)
	}
	i.grow(length + missing)
	i.missing = missing
	return nil
}

// payload returns that of a message of which nothing is missing.
func (i *inbox) payload() ([]byte, error) {
	payload := i.buffer[protocol.HeaderSize:i.got]
	return payload, i.rules.Finish(&i.header, payload)
}

// grow returns the buffer with room for n bytes, those that are there included.
func (i *inbox) grow(n int) []byte {
	if len(i.buffer) < n {
		larger := make([]byte, 1<<bits.Len(uint(n-1)))
		copy(larger, i.buffer[:i.got])
		i.buffer = larger
	}
	return i.buffer[:n]
}
