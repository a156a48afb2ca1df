//go:build unix

// Package posix carries the messages of netipc between processes of one machine:
// over seqpacket sockets on every Unix, and through shared memory on Linux, of two kinds:
// regions, which hold one message at a time, and rings, which hold many.
//
// There are two ways to use it. [Connect], [Listen] and the Shm functions are the
// carriers one by one: a [Session] moves messages over its socket, and whoever
// negotiated shared memory opens the region itself; rings, whose memory has no name, are
// not offered there. [Dial] and [Pending.Accept] give a [Link], which moves messages over
// whatever was negotiated, under one notion of deadline; servers and clients of services
// are built on that.
//
// # Waiting
//
// Sockets are non-blocking and registered with the runtime's poller: a goroutine
// that waits on one costs no thread, and Close or Interrupt from another goroutine
// ends the wait at once. So does one that waits on rings: the peer wakes it by an eventfd
// or, if it is of another user, by a packet on the socket, and only if it sleeps. A
// goroutine that waits on a region sleeps in the kernel on a word of it (a futex) and does
// cost a thread. Neither is woken to look around: whoever ends the wait of a region rings
// the sleeper's own bell, and a Link has its socket watched meanwhile, so that it notices
// at once when the peer dies. Only a peer that tampers with the bell of a region can make
// that take longer, up to a second.
//
// Before it sleeps, a goroutine that receives on a Session or Link looks again and
// again, for 75 µs at most, while that pays: the side it waits for runs on another
// processor and answers within some microseconds. It finds out by itself, keeps its
// processor meanwhile, and sleeps once in half a millisecond so that other goroutines
// have it. Spin in the configurations caps that or switches it off.
//
// # Trust
//
// Whoever can open the socket can speak to the server, hence its mode 0600. Beyond
// that a peer is not trusted: what it sends is judged before it is used, shared
// memory is copied before it is looked at, and a region cut short under our feet is
// an error and not a crash. The memory of rings cannot be cut short, and nothing a peer
// writes there is used as an offset.
package posix
