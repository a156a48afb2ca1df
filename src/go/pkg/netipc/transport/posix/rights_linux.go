package posix

import "syscall"

// mostHanded is how many descriptors come along with a HELLO_ACK: the memory of a session
// and two bells.
const mostHanded = 3

// giveAlong lets descriptors go along with the next packet that is sent, and calls given
// once they have or cannot. It fails like sending does.
func (c *conn) giveAlong(descriptors []int, given func()) {
	rights := syscall.UnixRights(descriptors...)
	usual := c.out.move
	c.out.move = func() (int, error) {
		n, err := syscall.SendmsgN(c.fd, c.out.head, rights, nil, syscall.MSG_NOSIGNAL)
		if err != syscall.EAGAIN && err != syscall.EINTR {
			c.out.move = usual
			given()
		}
		return n, err
	}
}

// awaitHanded makes room for descriptors with the next packet that is received.
func (c *conn) awaitHanded() {
	usual := c.in.move
	c.in.move = func() (int, error) {
		n, handed, err := receiveRights(c.fd, c.in.head)
		if err == nil {
			c.in.move, c.handed = usual, handed
		}
		return n, err
	}
}

// takeHanded returns the descriptors that came along, of which the caller takes ownership.
func (c *conn) takeHanded() []int {
	handed := c.handed
	c.handed = nil
	return handed
}

// refuseHanded closes what came along with a HELLO_ACK that does not ask for it.
func (c *conn) refuseHanded() {
	if c != nil {
		closeAll(c.takeHanded())
	}
}

// receiveRights receives a packet, of which the end may be cut off, and what came along.
// If there is no room for all descriptors in this process it gets none: some of them would
// mean something else.
func receiveRights(fd int, packet []byte) (int, []int, error) {
	control := make([]byte, syscall.CmsgSpace(mostHanded*4))
	n, length, flags, _, err := syscall.Recvmsg(fd, packet, control, syscall.MSG_CMSG_CLOEXEC)
	if err != nil {
		return 0, nil, err
	}
	messages, err := syscall.ParseSocketControlMessage(control[:length])
	if err != nil {
		return 0, nil, err
	}
	var handed []int
	for i := range messages {
		// It fails for what brings no descriptors.
		if rights, err := syscall.ParseUnixRights(&messages[i]); err == nil {
			handed = append(handed, rights...)
		}
	}
	if flags&syscall.MSG_CTRUNC != 0 {
		closeAll(handed)
		handed = nil
	}
	return n, handed, nil
}

func closeAll(descriptors []int) {
	for _, fd := range descriptors {
		syscall.Close(fd)
	}
}
