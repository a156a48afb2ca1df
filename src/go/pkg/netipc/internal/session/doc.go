// Package session holds the rules two peers follow on one connection, without the
// connection: what a handshake agrees on, how a message is cut into packets and
// joined again, which message may be sent or received, and how limits grow. Bytes
// and lengths are arguments; sockets, shared memory, clocks and goroutines are the
// business of whoever calls.
//
// # For a transport
//
// Client: send [Terms.Hello], read one packet of up to [HandshakeBuffer] bytes and
// give it to [Terms.Accept]. Server: read one packet, give it to [Terms.Answer],
// send the reply it returns, if any, and go on only if the error is nil. Answer may
// be asked again with other terms (without shared memory, say) before anything is
// sent. Then build [Rules] with [Agreement.ClientRules] or [Agreement.ServerRules].
//
// Sending: [Rules.Admit], then every packet of [Cut]; [Rules.Withdraw] if that
// fails. Receiving: [Rules.Begin] with the first packet, [Join.Next] with each
// further one while [Join.Missing] is not 0, then [Rules.Finish] with the payload.
// Records out of shared memory have no headers but the first, so only Begin and Finish
// see them. A message in one piece goes to [Rules.Open].
//
// The rules are those of PROTOCOL.md; T, RX, CH, HS and HC numbers are its names.
package session
