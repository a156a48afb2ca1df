// Package windows carries the messages of netipc between processes of one Windows
// machine: over message pipes, and through shared memory. It is empty on other systems.
//
// There are two ways to use it. [Connect], [Listen] and the WinShm functions are the
// carriers one by one: a [Session] moves messages over its pipe, and whoever
// negotiated shared memory opens the region itself. [Dial] and [Pending.Accept]
// give a [Link], which moves messages over whatever was negotiated, under one
// notion of deadline; servers and clients of services are built on that.
//
// # Waiting
//
// Pipes are opened for overlapped operations and bound to one completion port of the
// process: a goroutine that waits on a pipe costs no thread, and Close or Interrupt
// from another goroutine ends the wait at once. A goroutine that waits on shared
// memory with events does cost a thread; one that waits on shared memory without
// (profile 0x04) looks again and again, after a millisecond without a message with
// pauses of up to a millisecond. A Link has its pipe watched meanwhile, so that it
// notices at once when the peer dies.
//
// Before it sleeps on an event, a goroutine that receives on a Link looks again and
// again, for 75 µs at most, while that pays: the side it waits for runs on another
// processor and answers within some microseconds. It finds out by itself. Spin in the
// configurations caps that or switches it off.
//
// # Closing
//
// What was sent can be received after the sender has closed its end: the system keeps
// it with the pipe. Only DisconnectNamedPipe throws it away, which is never called for
// a client that has got an answer. So nothing has to be flushed, and Close never waits.
//
// # Trust
//
// Pipes, mappings and events let in the user of the process that made them, and nobody
// else; clients on other machines are refused. A client lets the server see who it is,
// and not act as it. Beyond that a peer is not trusted: what it sends is judged before
// it is used, and shared memory is copied before it is looked at. It cannot be cut
// short under our feet, as the system does not shrink it.
//
// # What was tested, and where
//
// The tests of this package run on Windows and under Wine. Wine 8 does not honour
// FILE_FLAG_FIRST_PIPE_INSTANCE, so that a second server at an endpoint is not refused
// there; it does not check access lists of pipes, nor that a client is of this machine,
// nor has it other users. What the code asks for is written from Microsoft's
// documentation in these cases, and tests check what is asked for.
package windows
