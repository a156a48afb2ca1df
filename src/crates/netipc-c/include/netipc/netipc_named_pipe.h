/*
 * netipc_named_pipe.h - whole messages over a named pipe of Windows in message mode (PROTOCOL.md,
 * sections 6 to 11, 23 and 25). Empty for other systems.
 *
 * This is the level below the typed services of netipc_service.h: payloads are opaque, the caller
 * owns the loop. It is netipc_uds.h with other names, but for what is said here.
 *
 *   server: nipc_np_listen, nipc_np_accept, receive, send
 *   client: nipc_np_connect, send, receive, nipc_np_close_session
 *
 * Structs are the caller's and may be uninitialised before connect, accept or listen. Do not copy
 * one that is open. After a failed connect, accept or listen the struct is closed: its pipe is
 * INVALID_HANDLE_VALUE and closing it does nothing. A struct of all zero bytes counts as closed, too.
 *
 * Handles are to be looked at, not used: reads and writes are under way on them. They may neither be
 * read from, written to nor closed, and a session cannot be made of a handle of one's own.
 *
 * Threads: a session or a listener belongs to one thread at a time. Different ones are independent.
 *
 * Errors: the returned code decides; where the system refused, GetLastError() says why;
 * nipc_last_error() says it in words.
 */
#ifndef NETIPC_NAMED_PIPE_H
#define NETIPC_NAMED_PIPE_H

#include "netipc/netipc_protocol.h"

#if defined(_WIN32) || defined(__MSYS__)

#include <wchar.h>
#include <windows.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NIPC_NP_MAX_PIPE_NAME 256 /* characters, the NUL included */
#define NIPC_NP_DEFAULT_PIPE_BUF_SIZE 65536
#define NIPC_NP_DEFAULT_PACKET_SIZE 65536
#define NIPC_NP_DEFAULT_BATCH_ITEMS 1
#define NIPC_NP_MAX_INSTANCES PIPE_UNLIMITED_INSTANCES
#define NIPC_FNV1A_OFFSET_BASIS 0xcbf29ce484222325ULL
#define NIPC_FNV1A_PRIME 0x00000100000001B3ULL

typedef enum {
    NIPC_NP_OK = 0,
    NIPC_NP_ERR_PIPE_NAME = 1,       /* the name of the pipe would be too long */
    NIPC_NP_ERR_CREATE_PIPE = 2,     /* the pipe could not be made; see GetLastError() */
    NIPC_NP_ERR_CONNECT = 3,         /* nobody listens, or the system refused; see GetLastError() */
    NIPC_NP_ERR_ACCEPT = 4,          /* see GetLastError() */
    NIPC_NP_ERR_SEND = 5,            /* see GetLastError(); the session is of no more use */
    NIPC_NP_ERR_RECV = 6,            /* the peer hung up, or see GetLastError() */
    NIPC_NP_ERR_HANDSHAKE = 7,       /* the server refused for a reason of its own */
    NIPC_NP_ERR_AUTH_FAILED = 8,     /* the auth_tokens differ */
    NIPC_NP_ERR_NO_PROFILE = 9,      /* no profile in common */
    NIPC_NP_ERR_INCOMPATIBLE = 10,   /* the peer speaks another version or layout */
    NIPC_NP_ERR_PROTOCOL = 11,       /* the peer broke the protocol */
    NIPC_NP_ERR_ADDR_IN_USE = 12,    /* somebody has a pipe of that name */
    NIPC_NP_ERR_CHUNK = 13,          /* a part does not continue its message */
    NIPC_NP_ERR_ALLOC = 14,          /* out of memory */
    NIPC_NP_ERR_LIMIT_EXCEEDED = 15, /* larger than agreed, or than the server allows */
    NIPC_NP_ERR_BAD_PARAM = 16,      /* a NULL, a closed struct, a name or a packet size of no use */
    NIPC_NP_ERR_DUPLICATE_MSG_ID = 17, /* a request with this id is already in flight */
    NIPC_NP_ERR_UNKNOWN_MSG_ID = 18, /* a response to nothing in flight */
    NIPC_NP_ERR_DISCONNECTED = 19,   /* the peer hung up while one sent, or waited with an end */
    NIPC_NP_ERR_TIMEOUT = 20,
    NIPC_NP_ERR_ABORTED = 21         /* abort_event was signalled */
} nipc_np_error_t;

/* The name of an error without its prefix, such as "ADDR_IN_USE"; "unknown" for any other number. */
const char *nipc_np_error_name(nipc_np_error_t error);

typedef enum {
    NIPC_NP_ROLE_CLIENT = 1,
    NIPC_NP_ROLE_SERVER = 2
} nipc_np_role_t;

/* ---- Names ---------------------------------------------------------------------------------- */

/* FNV-1a of 64 bits over `len` bytes. 0 if data is NULL and len is not 0. */
uint64_t nipc_fnv1a_64(const void *data, size_t len);

/*
 * Writes the name of a service's pipe, \\.\pipe\netipc-HASH-SERVICE, and a NUL: HASH is that of the
 * bytes of run_dir as 16 hexadecimal digits. run_dir is UTF-8 and only a name: no directory needs to
 * be there.
 *
 * Returns 0, or -1 with dst as it was: for a NULL, a name that cannot be used, or too little room.
 * NIPC_NP_MAX_PIPE_NAME characters are always enough.
 */
int nipc_np_build_pipe_name(wchar_t *dst, size_t dst_chars, const char *run_dir,
                            const char *service_name);

/* ---- Configuration --------------------------------------------------------------------------
 *
 * All zero is a working configuration: 0 in a field means what is said beside it.
 * Limits are in bytes of payload, batch limits in items.
 *
 * A wait for a message may look for it again and again before it sleeps. It does so as long as that pays,
 * which each side finds out by itself: if the peer runs on another CPU and answers within some
 * microseconds. spin_us caps that, in microseconds, or switches it off; the peer is not told.
 */

typedef struct {
    uint32_t supported_profiles;         /* NIPC_PROFILE_ bits; 0: BASELINE */
    uint32_t preferred_profiles;         /* 0: none */
    uint32_t max_request_payload_bytes;  /* 0: NIPC_MAX_PAYLOAD_DEFAULT */
    uint32_t max_request_batch_items;    /* 0: NIPC_NP_DEFAULT_BATCH_ITEMS */
    uint32_t max_response_payload_bytes; /* a hint to the server; 0: NIPC_MAX_PAYLOAD_DEFAULT */
    uint32_t max_response_batch_items;   /* a hint to the server; 0: NIPC_NP_DEFAULT_BATCH_ITEMS */
    uint64_t auth_token;                 /* must equal the server's */
    uint32_t packet_size;                /* 0: NIPC_NP_DEFAULT_PACKET_SIZE */
    int32_t spin_us;                     /* 0: look as long as it pays; below 0: sleep at once */
} nipc_np_client_config_t;

typedef struct {
    uint32_t supported_profiles;
    uint32_t preferred_profiles;
    uint32_t max_request_payload_bytes; /* clients that propose more are refused */
    uint32_t max_request_batch_items;
    uint32_t max_response_payload_bytes; /* what the session gets, whatever the client hints */
    uint32_t max_response_batch_items;
    uint64_t auth_token;
    uint32_t packet_size;
    int32_t spin_us; /* of the sessions accepted */
} nipc_np_server_config_t;

/* ---- Sessions ------------------------------------------------------------------------------- */

/*
 * A connection after its handshake. The members may be read at any time. inflight_ids and recv_buf
 * come from the malloc of the library's C runtime and are freed by nipc_np_close_session().
 */
typedef struct {
    HANDLE pipe; /* INVALID_HANDLE_VALUE when closed */
    nipc_np_role_t role;
    uint32_t max_request_payload_bytes; /* as agreed */
    uint32_t max_request_batch_items;
    uint32_t max_response_payload_bytes;
    uint32_t max_response_batch_items;
    uint32_t packet_size;
    uint32_t selected_profile; /* the one NIPC_PROFILE_ bit agreed on */
    uint64_t session_id;
    uint8_t *recv_buf; /* messages that came in parts are joined here */
    size_t recv_buf_size;
    uint64_t *inflight_ids; /* of a client: requests without a response yet */
    uint32_t inflight_count;
    uint32_t inflight_capacity;
    void *_link;   /* the library's */
    void *_client; /* the library's, where the session is a client's of netipc_service.h */
} nipc_np_session_t;

/*
 * Connects to the service `service_name` of the directory run_dir and agrees on limits. Waits for
 * at most 5 seconds, for a free instance of the pipe, too. The server may identify the caller, but
 * not act in its name.
 *
 * NIPC_NP_ERR_CONNECT if nobody listens; _AUTH_FAILED, _NO_PROFILE, _INCOMPATIBLE,
 * _LIMIT_EXCEEDED, _HANDSHAKE as the server refuses; _TIMEOUT if it does not answer; _RECV, _SEND,
 * _PROTOCOL, _PIPE_NAME, _BAD_PARAM. config may be NULL: all zero.
 *
 * Where a shared memory profile is selected, attach with nipc_win_shm_client_attach() and the
 * session_id before sending anything, and keep the session open: its end is the end of the region.
 */
nipc_np_error_t nipc_np_connect(const char *run_dir, const char *service_name,
                                const nipc_np_client_config_t *config, nipc_np_session_t *out);

/*
 * Sends one message, in as many packets as it takes. Blocks while the peer does not read.
 *
 * The caller sets kind, code, flags, item_count, message_id and transport_status; magic, version,
 * header_len and payload_len are filled in here. A client's request is in flight from here until
 * its response was received.
 *
 * Nothing was sent and the session stays usable: NIPC_NP_ERR_LIMIT_EXCEEDED for a client's request
 * or a server's response over the agreed limits, _DUPLICATE_MSG_ID, _BAD_PARAM, _ALLOC. After _SEND
 * or _DISCONNECTED close the session.
 */
nipc_np_error_t nipc_np_send(nipc_np_session_t *session, nipc_header_t *hdr, const void *payload,
                             size_t payload_len);

/*
 * Receives one message and waits for it as long as it takes.
 *
 * *payload_out points into buf or recv_buf and stays valid until the next receive on this session
 * or its close. buf may be of any size, or NULL with size 0: what does not fit is received into
 * recv_buf. One of packet_size bytes saves the copy for messages of one packet.
 *
 * After an error close the session: the rest of a message may be in the way. Its codes are _RECV,
 * _PROTOCOL, _CHUNK, _LIMIT_EXCEEDED (hdr_out is filled, to answer it), _UNKNOWN_MSG_ID, _ALLOC,
 * _BAD_PARAM. The other outputs are written only on success.
 */
nipc_np_error_t nipc_np_receive(nipc_np_session_t *session, void *buf, size_t buf_size,
                                nipc_header_t *hdr_out, const void **payload_out,
                                size_t *payload_len_out);

/*
 * nipc_np_receive() with an end: NIPC_NP_ERR_TIMEOUT after timeout_ms milliseconds (0: never) for
 * the whole message, NIPC_NP_ERR_ABORTED when abort_event (NULL: none) is signalled, and
 * NIPC_NP_ERR_DISCONNECTED if the peer hung up. The event is to be one of manual reset: waiting on
 * it would reset another.
 */
nipc_np_error_t nipc_np_receive_timeout(nipc_np_session_t *session, void *buf, size_t buf_size,
                                        nipc_header_t *hdr_out, const void **payload_out,
                                        size_t *payload_len_out, uint32_t timeout_ms,
                                        HANDLE abort_event);

/*
 * Waits up to timeout_ms milliseconds (0: only looks) until something can be received, and says in
 * *readable whether it can. NIPC_NP_ERR_DISCONNECTED if the peer hung up and nothing is left;
 * _BAD_PARAM.
 */
nipc_np_error_t nipc_np_wait_readable(nipc_np_session_t *session, uint32_t timeout_ms,
                                      bool *readable);

/* The pipe, INVALID_HANDLE_VALUE of NULL. To be compared, see above. */
HANDLE nipc_np_session_handle(const nipc_np_session_t *session);

/* Closes the pipe and frees the buffers. What was sent before stays for the peer to read. NULL,
   closed and zeroed sessions are left alone. */
void nipc_np_close_session(nipc_np_session_t *session);

/* ---- Listeners ------------------------------------------------------------------------------ */

typedef struct {
    HANDLE pipe;                    /* an instance that waits; INVALID_HANDLE_VALUE when closed */
    nipc_np_server_config_t config; /* may be changed between two accepts */
    wchar_t pipe_name[NIPC_NP_MAX_PIPE_NAME];
    void *_endpoint; /* the library's */
} nipc_np_listener_t;

/*
 * Makes the pipe of the service and lets clients of the same user on the same machine connect. A
 * service name has letters, digits, '.', '_' and '-', and is not "." or "..". config may be NULL: all
 * zero.
 *
 * NIPC_NP_ERR_ADDR_IN_USE if somebody has the pipe, or sessions of a former server still do;
 * _PIPE_NAME, _BAD_PARAM, _CREATE_PIPE.
 */
nipc_np_error_t nipc_np_listen(const char *run_dir, const char *service_name,
                               const nipc_np_server_config_t *config, nipc_np_listener_t *out);

/*
 * Waits for a client and agrees with it on limits, as listener->config says. The session gets
 * session_id, which must be unique within the server. The client has 5 seconds for its part.
 *
 * A client that is refused or breaks the protocol is hung up on and reported: _AUTH_FAILED,
 * _NO_PROFILE, _INCOMPATIBLE, _LIMIT_EXCEEDED, _PROTOCOL, _RECV, _SEND, _TIMEOUT. The listener
 * stays usable. _ACCEPT if the system refused, or the listener is closed.
 */
nipc_np_error_t nipc_np_accept(nipc_np_listener_t *listener, uint64_t session_id,
                               nipc_np_session_t *out);

/* An instance of the pipe that waits, INVALID_HANDLE_VALUE of NULL. To be compared, see above. */
HANDLE nipc_np_listener_handle(const nipc_np_listener_t *listener);

/* Stops listening. The name is free once the sessions that came from it have ended, too. NULL, closed
   and zeroed listeners are left alone. */
void nipc_np_close_listener(nipc_np_listener_t *listener);

#ifdef __cplusplus
}
#endif

#endif

#endif
