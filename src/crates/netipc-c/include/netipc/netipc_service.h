/*
 * netipc_service.h - typed clients, managed servers and the snapshot cache.
 *
 * A service is a name in a directory, such as cgroups-snapshot in /run/netdata, and answers one kind
 * of question. Read the parts in this order:
 *
 *   service/client.h   ask a service: connects, reconnects and retries by itself
 *   service/server.h   provide a service: a handler, called from several threads
 *   service/cache.h    keep the last snapshot of cgroups-snapshot and look things up in it
 *
 * Rules that hold for every function of these headers
 *
 *   structs   are the caller's, on the stack or anywhere, uninitialised before init. Do not copy or
 *             move one between init and close or destroy. A struct of all zero bytes counts as
 *             closed. After close or destroy it may be initialised again.
 *   members   may be read by the thread that uses the struct. Do not set them unless it says so.
 *   config    all zero, or NULL, is a complete configuration: 0 in a field means what is said beside
 *             it. Configurations, handlers and names are copied.
 *   order     clients and servers may start, stop and restart in any order.
 *   time      every call has an end: limits are in milliseconds, of the monotonic clock.
 *   NULL      where a pointer is needed is NIPC_ERR_BAD_LAYOUT, or false, or nothing happens.
 *   errors    the returned code decides; nipc_last_error() says it in words.
 *   signals   none is raised, and no handler is installed. No descriptor or handle is inherited.
 *   windows   the same but for what carries messages, see service/transport.h. There run_dir is UTF-8
 *             and only a name: no directory needs to be there.
 */
#ifndef NETIPC_SERVICE_H
#define NETIPC_SERVICE_H

#include "netipc/netipc_protocol.h"
#include "netipc/service/transport.h"
#include "netipc/service/client.h"
#include "netipc/service/server.h"
#include "netipc/service/cache.h"

#ifdef NIPC_INTERNAL_TESTING
#include "netipc/service/testing.h"
#endif

#endif
