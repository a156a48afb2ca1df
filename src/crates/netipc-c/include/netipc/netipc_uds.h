/*
 * netipc_uds.h - whole messages over a Unix domain SOCK_SEQPACKET socket, or over rings in shared memory
 * where both sides offer NIPC_PROFILE_RING (PROTOCOL.md, sections 6 to 11, 22, 23 and 27).
 *
 * This is the level below the typed services of netipc_service.h: payloads are opaque, the caller
 * owns the loop. Use it for a kind of service of your own or an event loop of your own.
 *
 *   server: nipc_uds_listen, poll the listener, nipc_uds_accept, receive, send
 *   client: nipc_uds_connect, send, receive, nipc_uds_close_session
 *   in a loop of your own: poll nipc_uds_session_fd, nipc_uds_try_receive, nipc_uds_try_send
 *
 * Structs are the caller's and may be uninitialised before connect, accept or listen. Do not copy
 * one that is open. After a failed connect, accept or listen the struct is closed: its fd is -1 and
 * closing it does nothing. A struct of all zero bytes counts as closed, too.
 *
 * Threads: a session or a listener belongs to one thread at a time. Different ones are independent.
 *
 * Errors: the returned code decides; where the system refused, errno says why; nipc_last_error()
 * says it in words. No function raises SIGPIPE. Interrupted system calls are taken up again.
 */
#ifndef NETIPC_UDS_H
#define NETIPC_UDS_H

#include "netipc/netipc_protocol.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    NIPC_UDS_OK = 0,
    NIPC_UDS_ERR_PATH_TOO_LONG = 1,   /* run_dir and service make a path of over 107 bytes */
    NIPC_UDS_ERR_SOCKET = 2,          /* the listening socket could not be made; see errno */
    NIPC_UDS_ERR_CONNECT = 3,         /* nobody listens, or the system refused; see errno */
    NIPC_UDS_ERR_ACCEPT = 4,          /* see errno */
    NIPC_UDS_ERR_SEND = 5,            /* see errno; the session is of no more use */
    NIPC_UDS_ERR_RECV = 6,            /* the peer hung up, or see errno */
    NIPC_UDS_ERR_HANDSHAKE = 7,       /* the server refused for a reason of its own */
    NIPC_UDS_ERR_AUTH_FAILED = 8,     /* the auth_tokens differ */
    NIPC_UDS_ERR_NO_PROFILE = 9,      /* no profile in common */
    NIPC_UDS_ERR_INCOMPATIBLE = 10,   /* the peer speaks another version or layout */
    NIPC_UDS_ERR_PROTOCOL = 11,       /* the peer broke the protocol */
    NIPC_UDS_ERR_ADDR_IN_USE = 12,    /* a live server has the endpoint */
    NIPC_UDS_ERR_CHUNK = 13,          /* a part does not continue its message */
    NIPC_UDS_ERR_ALLOC = 14,          /* out of memory */
    NIPC_UDS_ERR_LIMIT_EXCEEDED = 15, /* larger than agreed, or than the server allows */
    NIPC_UDS_ERR_BAD_PARAM = 16,      /* a NULL, a service name or a packet size of no use */
    NIPC_UDS_ERR_DUPLICATE_MSG_ID = 17, /* a request with this id is already in flight */
    NIPC_UDS_ERR_UNKNOWN_MSG_ID = 18, /* a response to nothing in flight */
    NIPC_UDS_ERR_TIMEOUT = 19,        /* the time is over; of a function that does not wait: not yet */
    NIPC_UDS_ERR_ABORTED = 20         /* abort_fd became readable */
} nipc_uds_error_t;

/* The name of an error without its prefix, such as "ADDR_IN_USE"; "unknown" for any other number. */
const char *nipc_uds_error_name(nipc_uds_error_t error);

typedef enum {
    NIPC_UDS_ROLE_CLIENT = 1,
    NIPC_UDS_ROLE_SERVER = 2
} nipc_uds_role_t;

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
    uint32_t supported_profiles;         /* NIPC_PROFILE_ bits; 0: BASELINE. Of shared memory, offer
                                            here only NIPC_PROFILE_RING if you do not attach yourself */
    uint32_t preferred_profiles;         /* 0: none */
    uint32_t max_request_payload_bytes;  /* 0: NIPC_MAX_PAYLOAD_DEFAULT */
    uint32_t max_request_batch_items;    /* 0: 1 */
    uint32_t max_response_payload_bytes; /* a hint to the server; 0: NIPC_MAX_PAYLOAD_DEFAULT */
    uint32_t max_response_batch_items;   /* a hint to the server; 0: 1 */
    uint64_t auth_token;                 /* must equal the server's */
    uint32_t packet_size;                /* 0: 65536, or less where the socket holds less */
    int32_t spin_us;                     /* 0: look as long as it pays; below 0: sleep at once */
} nipc_uds_client_config_t;

typedef struct {
    uint32_t supported_profiles;
    uint32_t preferred_profiles;
    uint32_t max_request_payload_bytes; /* clients that propose more are refused */
    uint32_t max_request_batch_items;
    uint32_t max_response_payload_bytes; /* what the session gets, whatever the client hints */
    uint32_t max_response_batch_items;
    uint64_t auth_token;
    uint32_t packet_size;
    int backlog;     /* connections waiting to be accepted; 0: 16 */
    int32_t spin_us; /* of the sessions accepted */
} nipc_uds_server_config_t;

/* ---- Sessions ------------------------------------------------------------------------------- */

/*
 * A connection after its handshake. The members are the session's state and may be read at any time.
 * inflight_ids and recv_buf are malloc'ed and freed by nipc_uds_close_session(). A struct made by hand
 * around a connected socket is zero where nothing is known.
 *
 * Of a session that connect or accept made, the receive timeout of fd (SO_RCVTIMEO) is the library's.
 */
typedef struct {
    int fd; /* the socket; -1 when closed. To wait for messages, see nipc_uds_session_fd() */
    nipc_uds_role_t role;
    uint32_t max_request_payload_bytes; /* as agreed */
    uint32_t max_request_batch_items;
    uint32_t max_response_payload_bytes;
    uint32_t max_response_batch_items;
    uint32_t packet_size;
    uint32_t selected_profile; /* the one NIPC_PROFILE_ bit agreed on: it says what carries messages */
    uint64_t session_id;
    uint8_t *recv_buf; /* messages that came in parts are joined here */
    size_t recv_buf_size;
    uint64_t *inflight_ids; /* of a client: requests without a response yet */
    uint32_t inflight_count;
    uint32_t inflight_capacity;
    void *_link; /* the library's: the rings, and what it knows of the peer */
} nipc_uds_session_t;

/*
 * Connects to the service `service_name` of the directory run_dir and agrees on limits. Waits for
 * at most 5 seconds.
 *
 * NIPC_UDS_ERR_CONNECT if nobody listens; _AUTH_FAILED, _NO_PROFILE, _INCOMPATIBLE,
 * _LIMIT_EXCEEDED, _HANDSHAKE as the server refuses; _TIMEOUT if it does not answer; _RECV, _SEND,
 * _PROTOCOL, _PATH_TOO_LONG, _BAD_PARAM. config may be NULL: all zero.
 *
 * Where rings are selected, all functions of this header use them, and nothing is left to do. If they
 * cannot be used, a session without them takes the place of the first.
 *
 * Where a profile of netipc_shm.h is selected, attach with nipc_shm_client_attach() and the session_id
 * before sending anything, and keep the session open: its end is the end of the region.
 */
nipc_uds_error_t nipc_uds_connect(const char *run_dir, const char *service_name,
                                  const nipc_uds_client_config_t *config,
                                  nipc_uds_session_t *out);

/*
 * Sends one message, in as many packets or records as it takes. Blocks while the peer does not read.
 *
 * The caller sets kind, code, flags, item_count, message_id and transport_status; magic, version,
 * header_len and payload_len are filled in here. A client's request is in flight from here until
 * its response was received.
 *
 * Nothing was sent and the session stays usable: NIPC_UDS_ERR_LIMIT_EXCEEDED for a client's request
 * or a server's response over the agreed limits, _DUPLICATE_MSG_ID, _BAD_PARAM, _ALLOC. After _SEND
 * close the session.
 *
 * The session of a client of netipc_service.h can be used as well, but not over rings (_BAD_PARAM).
 */
nipc_uds_error_t nipc_uds_send(nipc_uds_session_t *session, nipc_header_t *hdr,
                               const void *payload, size_t payload_len);

/*
 * nipc_uds_send() for event loops: it never waits. NIPC_UDS_ERR_TIMEOUT if there is no room for all of
 * the message: call it again with the same one when nipc_uds_session_fd() is writable, or over rings,
 * which never are, readable. Until then no other message can be sent (_BAD_PARAM).
 */
nipc_uds_error_t nipc_uds_try_send(nipc_uds_session_t *session, nipc_header_t *hdr,
                                   const void *payload, size_t payload_len);

/*
 * Receives one message and waits for it as long as it takes.
 *
 * *payload_out points into buf or recv_buf and stays valid until the next receive on this session
 * or its close. buf may be of any size, or NULL with size 0: what does not fit is received into
 * recv_buf. One of packet_size bytes saves the copy for messages of one packet, and over rings one of
 * 32 bytes and the payload for small ones.
 *
 * After an error close the session: the rest of a message may be in the way. Its codes are _RECV,
 * _PROTOCOL, _CHUNK, _LIMIT_EXCEEDED (hdr_out is filled, to answer it), _UNKNOWN_MSG_ID, _ALLOC,
 * _BAD_PARAM. The other outputs are written only on success.
 */
nipc_uds_error_t nipc_uds_receive(nipc_uds_session_t *session, void *buf, size_t buf_size,
                                  nipc_header_t *hdr_out, const void **payload_out,
                                  size_t *payload_len_out);

/*
 * nipc_uds_receive() with an end: NIPC_UDS_ERR_TIMEOUT after timeout_ms milliseconds (0: never) for
 * the whole message, NIPC_UDS_ERR_ABORTED when abort_fd (-1: none) is readable. The abort_fd is
 * never read.
 */
nipc_uds_error_t nipc_uds_receive_timeout(nipc_uds_session_t *session, void *buf, size_t buf_size,
                                          nipc_header_t *hdr_out, const void **payload_out,
                                          size_t *payload_len_out, uint32_t timeout_ms,
                                          int abort_fd);

/*
 * nipc_uds_receive() for event loops: it never waits. NIPC_UDS_ERR_TIMEOUT if not all of a message is
 * there; what is there is kept, and the next receive of any kind goes on with it.
 *
 * Before you wait for nipc_uds_session_fd(), call it until it returns NIPC_UDS_ERR_TIMEOUT: over rings
 * the descriptor tells of nothing that came before that.
 */
nipc_uds_error_t nipc_uds_try_receive(nipc_uds_session_t *session, void *buf, size_t buf_size,
                                      nipc_header_t *hdr_out, const void **payload_out,
                                      size_t *payload_len_out);

/*
 * What to wait for, with poll, epoll, libuv's uv_poll_t and the like; -1 of NULL. Only wait for it: it is
 * the session's until that is closed. Readable: call nipc_uds_try_receive(), which finds a message, a part
 * of one, the peer's end, or nothing. It is the socket, or over rings an epoll descriptor of the session's
 * own, which is readable as well when there is room again for nipc_uds_try_send().
 */
int nipc_uds_session_fd(const nipc_uds_session_t *session);

/* Closes the socket and the rings, and frees the buffers. NULL, closed and zeroed sessions are left alone. */
void nipc_uds_close_session(nipc_uds_session_t *session);

/* ---- Listeners ------------------------------------------------------------------------------ */

typedef struct {
    int fd;                          /* -1 when closed */
    nipc_uds_server_config_t config; /* may be changed between two accepts */
    char path[108];                  /* run_dir/service_name.sock */
    void *_endpoint;                 /* the library's: what it needs to remove only its own socket */
} nipc_uds_listener_t;

/*
 * Listens as run_dir/service_name.sock, mode 0600, and takes the place of a dead server's socket.
 * The directory must exist. A service name has letters, digits, '.', '_' and '-', and is not "." or
 * "..". config may be NULL: all zero.
 *
 * NIPC_UDS_ERR_ADDR_IN_USE if a server lives there, _PATH_TOO_LONG, _BAD_PARAM, _SOCKET.
 */
nipc_uds_error_t nipc_uds_listen(const char *run_dir, const char *service_name,
                                 const nipc_uds_server_config_t *config,
                                 nipc_uds_listener_t *out);

/*
 * Waits for a client and agrees with it on limits, as listener->config says. The session gets
 * session_id, which must be unique within the server. The client has 5 seconds for its part. Where there
 * is no memory or no descriptor left for rings, another profile that both offer is selected.
 *
 * A client that is refused or breaks the protocol is hung up on and reported: _AUTH_FAILED,
 * _NO_PROFILE, _INCOMPATIBLE, _LIMIT_EXCEEDED, _PROTOCOL, _RECV, _SEND, _TIMEOUT. The listener
 * stays usable. _ACCEPT if the system refused, or the listener is closed.
 */
nipc_uds_error_t nipc_uds_accept(nipc_uds_listener_t *listener, uint64_t session_id,
                                 nipc_uds_session_t *out);

/* The socket, for poll; -1 of NULL. Readable: a client waits. */
int nipc_uds_listener_fd(const nipc_uds_listener_t *listener);

/* Stops listening and removes the socket, unless the path is another server's by now. A program that
   has closed fd itself sets it to -1 before this, as with any descriptor. NULL, closed and zeroed
   listeners are left alone. */
void nipc_uds_close_listener(nipc_uds_listener_t *listener);

#ifdef __cplusplus
}
#endif

#endif
