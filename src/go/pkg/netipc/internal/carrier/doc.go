// Package carrier has what the transports of all systems have in common: sessions
// over a [Conn], links that move messages through shared memory if there is any, and
// both sides of the handshake. What a system has of its own, it brings as a Conn and
// as [Regions]: packages posix and windows do.
package carrier
