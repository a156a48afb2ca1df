/*
 * service/transport.h - what carries the messages of services on this system, under names that are the
 * same on all: netipc_uds.h and netipc_shm.h, or netipc_named_pipe.h and netipc_win_shm.h.
 */
#ifndef NETIPC_SERVICE_TRANSPORT_H
#define NETIPC_SERVICE_TRANSPORT_H

#if defined(_WIN32) || defined(__MSYS__)

#include "netipc/netipc_named_pipe.h"
#include "netipc/netipc_win_shm.h"

typedef nipc_np_client_config_t nipc_transport_client_config_t;
typedef nipc_np_server_config_t nipc_transport_server_config_t;
typedef nipc_np_session_t nipc_transport_session_t;
typedef nipc_np_listener_t nipc_transport_listener_t;
typedef nipc_win_shm_ctx_t nipc_transport_shm_t;

#else

#include "netipc/netipc_shm.h"
#include "netipc/netipc_uds.h"

#include <pthread.h>

typedef nipc_uds_client_config_t nipc_transport_client_config_t;
typedef nipc_uds_server_config_t nipc_transport_server_config_t;
typedef nipc_uds_session_t nipc_transport_session_t;
typedef nipc_uds_listener_t nipc_transport_listener_t;
typedef nipc_shm_ctx_t nipc_transport_shm_t;

#endif

#endif
