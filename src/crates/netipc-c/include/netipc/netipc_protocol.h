/*
 * netipc_protocol.h - the bytes netipc peers exchange, read and written without any I/O.
 *
 * Nothing here touches a file, a socket, a clock or the heap. Read the parts in this order:
 *
 *   protocol/envelope.h        the 32-byte header, statuses, errors, parts of large messages, batches
 *   protocol/handshake.h       what two peers agree on before the first message
 *   protocol/snapshot.h        cgroups-snapshot: one table of all cgroups
 *   protocol/lookup.h          what both lookups share: strings, labels
 *   protocol/cgroups_lookup.h  cgroups-lookup: cgroup paths to names and labels
 *   protocol/apps_lookup.h     apps-lookup: PIDs to processes
 *   protocol/samples.h         increment and string-reverse, for tests and benchmarks
 *
 * Rules that hold for every function of these headers
 *
 *   encode        returns the bytes written, or 0 if the buffer is too small or the value has no
 *                 form on the wire. Nothing is written in that case.
 *   decode        returns nipc_error_t and writes its output only on NIPC_OK, except where a
 *                 function says so. Every byte is checked; no input can make it read out of bounds.
 *   views         borrow the buffer they were decoded from: keep it, unchanged, as long as the view.
 *   builders      write into a buffer of the caller. They own nothing and need no cleanup.
 *   NULL          where a pointer is needed is NIPC_ERR_BAD_LAYOUT, or 0, or nothing happens.
 *   threads       no state is shared; use one builder or view from one thread at a time.
 *   numbers       are in the byte order of the machine, lengths and offsets in bytes.
 *   strings       are bytes with a length that does not count the terminating NUL. On the wire, and
 *                 so in every decoded view, a NUL follows the last byte.
 *
 * The layouts are specified in PROTOCOL.md, in the sections the comments name.
 */
#ifndef NETIPC_PROTOCOL_H
#define NETIPC_PROTOCOL_H

#include "netipc/protocol/envelope.h"
#include "netipc/protocol/handshake.h"
#include "netipc/protocol/snapshot.h"
#include "netipc/protocol/lookup.h"
#include "netipc/protocol/cgroups_lookup.h"
#include "netipc/protocol/apps_lookup.h"
#include "netipc/protocol/samples.h"

#endif
