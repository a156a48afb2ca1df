// Package service has what every netipc service is made of, written once: a client
// that connects when needed and again when the session breaks, a server for many
// clients, a cache of a whole table. A kind of service is a value, a [Kind] or a
// [Lookup] for the client and a [Responder] for the server; the packages below this
// one, such as cgroups_snapshot, are those values and thin faces with the published
// names.
//
// # What runs concurrently
//
// A client belongs to one goroutine at a time; Abort, ClearAbort, Ready, Status,
// LastError and SetCallTimeout may be called by any. It starts no goroutine that
// outlives a call, but for sessions over shared memory, which have one that sleeps
// until the peer dies. A server calls its handler from up to as many goroutines as it
// has workers. A cache may be used by any number of goroutines: readers wait for
// nothing.
//
// # Time
//
// Every call has one deadline, 30 seconds if nothing else is configured, and it
// covers everything: sending, receiving, connecting again, sending again, and all the
// requests of a lookup. Making a session takes 5 seconds at most.
//
// # Errors
//
// Match them with [errors.Is] against the sentinels of package protocol:
// ErrNotReady, ErrTimeout, ErrAborted, ErrOverflow (a limit), ErrTruncated (the
// connection was lost), ErrBadKind and ErrBadLayout (the peer broke the protocol or
// refused), ErrHandlerFailed. What the transport said is wrapped too. A client whose
// provider is absent or broken gets an error, never a signal, a panic or a hang.
package service
