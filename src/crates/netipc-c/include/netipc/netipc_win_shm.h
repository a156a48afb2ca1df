/*
 * netipc_win_shm.h - messages through shared memory on Windows (PROTOCOL.md, section 25). Empty for
 * other systems.
 *
 * A region carries one request and one response at a time between one server and one client. It
 * belongs to a session of netipc_named_pipe.h that agreed on one of the profiles below: the server
 * creates it before accepting, the client attaches after connecting, and the end of the session's pipe
 * is the end of the region. It is a named object of the system, which goes with its last user.
 *
 * Messages are a nipc_header_t and its payload in one piece, up to the capacity of the area.
 *
 * Structs are the caller's and may be uninitialised before create or attach. Do not copy one that is
 * open. After a failed create or attach it is closed; one of all zero bytes counts as closed, too.
 *
 * Threads: a context belongs to one thread at a time. Different ones are independent.
 *
 * Errors: the returned code decides; where the system refused, GetLastError() says why;
 * nipc_last_error() says it in words.
 */
#ifndef NETIPC_WIN_SHM_H
#define NETIPC_WIN_SHM_H

#include "netipc/netipc_protocol.h"

#if defined(_WIN32) || defined(__MSYS__)

#include <windows.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NIPC_WIN_SHM_MAGIC 0x4e535748u
#define NIPC_WIN_SHM_VERSION 3u
#define NIPC_WIN_SHM_HEADER_LEN 128u
#define NIPC_WIN_SHM_CACHELINE 64u
#define NIPC_WIN_SHM_PROFILE_HYBRID 0x02u   /* NIPC_PROFILE_SHM_HYBRID: readers sleep on events */
#define NIPC_WIN_SHM_PROFILE_BUSYWAIT 0x04u /* NIPC_PROFILE_SHM_FUTEX: readers never sleep */
#define NIPC_WIN_SHM_DEFAULT_SPIN 1024u     /* looks before a receiver sleeps */
#define NIPC_WIN_SHM_BUSYWAIT_POLL_MASK 1023u
#define NIPC_WIN_SHM_MAX_NAME 256 /* characters, the NUL included */

typedef enum {
    NIPC_WIN_SHM_OK = 0,
    NIPC_WIN_SHM_ERR_BAD_PARAM = 1,
    NIPC_WIN_SHM_ERR_CREATE_MAPPING = 2, /* see GetLastError(); of the events, too */
    NIPC_WIN_SHM_ERR_OPEN_MAPPING = 3,   /* see GetLastError(); of the events, too */
    NIPC_WIN_SHM_ERR_MAP_VIEW = 4,       /* see GetLastError() */
    NIPC_WIN_SHM_ERR_CREATE_EVENT = 5,   /* never returned */
    NIPC_WIN_SHM_ERR_OPEN_EVENT = 6,     /* never returned */
    NIPC_WIN_SHM_ERR_ADDR_IN_USE = 7,    /* somebody has objects of that name */
    NIPC_WIN_SHM_ERR_BAD_MAGIC = 8,
    NIPC_WIN_SHM_ERR_BAD_VERSION = 9,
    NIPC_WIN_SHM_ERR_BAD_HEADER = 10,  /* header_len is not 128, areas are not aligned, overlap or
                                          pass the end; or an empty message was published */
    NIPC_WIN_SHM_ERR_BAD_PROFILE = 11, /* the region is of the other profile */
    NIPC_WIN_SHM_ERR_MSG_TOO_LARGE = 12,
    NIPC_WIN_SHM_ERR_TIMEOUT = 13,
    NIPC_WIN_SHM_ERR_DISCONNECTED = 14 /* the peer has closed its end, and all it sent was received */
} nipc_win_shm_error_t;

/* The name of an error without its prefix, such as "BAD_PROFILE"; "unknown" for any other number. */
const char *nipc_win_shm_error_name(nipc_win_shm_error_t error);

typedef enum {
    NIPC_WIN_SHM_ROLE_SERVER = 1,
    NIPC_WIN_SHM_ROLE_CLIENT = 2
} nipc_win_shm_role_t;

/* The first 128 bytes of a region, at nipc_win_shm_ctx_t.base. The volatile members are only to be
   used with interlocked functions. */
typedef struct {
    uint32_t magic;
    uint32_t version;
    uint32_t header_len;
    uint32_t profile;
    uint32_t request_offset;
    uint32_t request_capacity;
    uint32_t response_offset;
    uint32_t response_capacity;
    uint32_t spin_tries;
    volatile LONG req_len;
    volatile LONG resp_len;
    volatile LONG req_client_closed;
    volatile LONG req_server_waiting;
    volatile LONG resp_server_closed;
    volatile LONG resp_client_waiting;
    uint32_t _padding;
    volatile LONG64 req_seq;
    volatile LONG64 resp_seq;
    uint8_t _reserved[48];
} nipc_win_shm_region_header_t;

/* One end of a region. The members may be read at any time. */
typedef struct {
    nipc_win_shm_role_t role;
    HANDLE mapping; /* NULL when closed */
    void *base;     /* of the mapping; NULL when closed */
    size_t region_size;
    HANDLE req_event; /* NULL unless the profile is HYBRID */
    HANDLE resp_event;
    uint32_t profile;
    uint32_t request_offset; /* as checked once; the region's own copy is not read again */
    uint32_t request_capacity;
    uint32_t response_offset;
    uint32_t response_capacity;
    uint32_t spin_tries; /* looks before sleeping */
    LONG64 local_req_seq; /* messages sent or received so far in each direction */
    LONG64 local_resp_seq;
    void *_region; /* the library's */
    void *_client; /* the library's, where the region is a client's of netipc_service.h */
} nipc_win_shm_ctx_t;

/*
 * Creates the region of a session and, for HYBRID, its events, for processes of the same user. Their
 * names are made of run_dir, service_name and auth_token, which client and server both know, and of
 * session_id and profile. run_dir is UTF-8 and only a name.
 *
 * The capacities are in bytes, headers included, and rounded up to a multiple of 64.
 * NIPC_WIN_SHM_ERR_BAD_PARAM for a capacity of 0 or over 4 GiB in all, a profile that is neither of
 * the two, or a service name of no use; _ADDR_IN_USE, _CREATE_MAPPING, _MAP_VIEW. Nothing is left
 * behind on failure.
 */
nipc_win_shm_error_t nipc_win_shm_server_create(const char *run_dir, const char *service_name,
                                                uint64_t auth_token, uint64_t session_id,
                                                uint32_t profile, uint32_t req_capacity,
                                                uint32_t resp_capacity, nipc_win_shm_ctx_t *out);

/* Tells the client that this end is closed and gives the region up. NULL, closed and zeroed contexts
   are left alone. */
void nipc_win_shm_destroy(nipc_win_shm_ctx_t *ctx);

/*
 * Maps the region a server created for session_id. It is checked first: _OPEN_MAPPING, _MAP_VIEW,
 * _BAD_MAGIC, _BAD_VERSION, _BAD_HEADER, _BAD_PROFILE, _BAD_PARAM.
 */
nipc_win_shm_error_t nipc_win_shm_client_attach(const char *run_dir, const char *service_name,
                                                uint64_t auth_token, uint64_t session_id,
                                                uint32_t profile, nipc_win_shm_ctx_t *out);

/* Tells the server that this end is closed and gives the region up. NULL, closed and zeroed contexts
   are left alone. */
void nipc_win_shm_close(nipc_win_shm_ctx_t *ctx);

/* Does nothing: the system leaves no regions behind. */
void nipc_win_shm_cleanup_stale(const char *run_dir, const char *service_name);

/*
 * Publishes one message and wakes the peer. A client sends requests, a server responses.
 *
 * Never waits: send again only after the peer's answer came, or it overwrites the message.
 * NIPC_WIN_SHM_ERR_BAD_PARAM for an empty message, _MSG_TOO_LARGE over the capacity.
 */
nipc_win_shm_error_t nipc_win_shm_send(nipc_win_shm_ctx_t *ctx, const void *msg, size_t msg_len);

/*
 * Waits for the next message, at most timeout_ms milliseconds (0: as long as it takes), and copies
 * it into buf. Nothing is consumed on NIPC_WIN_SHM_ERR_TIMEOUT.
 *
 * NIPC_WIN_SHM_ERR_DISCONNECTED once the peer has closed its end. That it was killed is not noticed:
 * receive in slices and ask nipc_np_wait_readable() of the session's pipe between.
 * _MSG_TOO_LARGE if it is longer than buf or the area: the message is lost, *msg_len_out is its length.
 * _BAD_HEADER if its length is 0. *msg_len_out is written on no other error.
 */
nipc_win_shm_error_t nipc_win_shm_receive(nipc_win_shm_ctx_t *ctx, void *buf, size_t buf_size,
                                          size_t *msg_len_out, uint32_t timeout_ms);

#ifdef __cplusplus
}
#endif

#endif

#endif
