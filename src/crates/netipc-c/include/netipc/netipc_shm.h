/*
 * netipc_shm.h - messages through shared memory on Linux (PROTOCOL.md, section 24).
 *
 * A region carries one request and one response at a time between one server and one client. It
 * belongs to a session of netipc_uds.h that agreed on NIPC_PROFILE_SHM_HYBRID or _SHM_FUTEX: the
 * server creates it before accepting, the client attaches after connecting, and the end of the
 * session's socket is the end of the region.
 *
 * Messages are a nipc_header_t and its payload in one piece, up to the capacity of the area.
 *
 * Structs are the caller's and may be uninitialised before create or attach. Do not copy one that is
 * open. After a failed create or attach it is closed; one of all zero bytes counts as closed, too.
 *
 * Threads: a context belongs to one thread at a time. Different ones are independent.
 *
 * Errors: the returned code decides; where the system refused, errno says why; nipc_last_error()
 * says it in words.
 */
#ifndef NETIPC_SHM_H
#define NETIPC_SHM_H

#include "netipc/netipc_protocol.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NIPC_SHM_REGION_MAGIC 0x4e53484du
#define NIPC_SHM_REGION_VERSION 3u
#define NIPC_SHM_REGION_ALIGNMENT 64u
#define NIPC_SHM_HEADER_LEN 64u
#define NIPC_SHM_DEFAULT_SPIN 128u /* looks before a receiver sleeps */

typedef enum {
    NIPC_SHM_OK = 0,
    NIPC_SHM_ERR_PATH_TOO_LONG = 1,
    NIPC_SHM_ERR_OPEN = 2,     /* see errno */
    NIPC_SHM_ERR_TRUNCATE = 3, /* never returned */
    NIPC_SHM_ERR_MMAP = 4,     /* see errno */
    NIPC_SHM_ERR_BAD_MAGIC = 5,
    NIPC_SHM_ERR_BAD_VERSION = 6,
    NIPC_SHM_ERR_BAD_HEADER = 7,  /* header_len is not 64; or an empty message was published */
    NIPC_SHM_ERR_BAD_SIZE = 8,    /* areas are not aligned, overlap, or pass the end of the file */
    NIPC_SHM_ERR_ADDR_IN_USE = 9, /* the region of a live server */
    NIPC_SHM_ERR_NOT_READY = 10,  /* the file is not a complete region yet */
    NIPC_SHM_ERR_MSG_TOO_LARGE = 11,
    NIPC_SHM_ERR_TIMEOUT = 12,
    NIPC_SHM_ERR_BAD_PARAM = 13,
    NIPC_SHM_ERR_PEER_DEAD = 14, /* never returned: watch the session's socket */
    NIPC_SHM_ERR_ALLOCATE = 15   /* no room for the region; see errno */
} nipc_shm_error_t;

/* The name of an error without its prefix, such as "NOT_READY"; "unknown" for any other number. */
const char *nipc_shm_error_name(nipc_shm_error_t error);

typedef enum {
    NIPC_SHM_ROLE_SERVER = 1,
    NIPC_SHM_ROLE_CLIENT = 2
} nipc_shm_role_t;

/* The first 64 bytes of a region, at nipc_shm_ctx_t.base. The last six members are only to be used
   atomically. */
typedef struct {
    uint32_t magic;
    uint16_t version;
    uint16_t header_len;
    int32_t owner_pid;
    uint32_t owner_generation; /* never 0 in a complete region */
    uint32_t request_offset;
    uint32_t request_capacity;
    uint32_t response_offset;
    uint32_t response_capacity;
    uint64_t req_seq;
    uint64_t resp_seq;
    uint32_t req_len;
    uint32_t resp_len;
    uint32_t req_signal;
    uint32_t resp_signal;
} nipc_shm_region_header_t;

/* One end of a region. The members may be read at any time. */
typedef struct {
    nipc_shm_role_t role;
    int fd;     /* -1 when closed */
    void *base; /* of the mapping; NULL when closed */
    size_t region_size;
    uint32_t request_offset; /* as checked once; the region's own copy is not read again */
    uint32_t request_capacity;
    uint32_t response_offset;
    uint32_t response_capacity;
    uint64_t local_req_seq; /* messages sent or received so far in each direction */
    uint64_t local_resp_seq;
    uint32_t spin_tries; /* looks before sleeping */
    uint32_t owner_generation;
    char path[256];
    void *_region; /* the library's */
    void *_client; /* the library's, where the region is a client's of netipc_service.h */
} nipc_shm_ctx_t;

/*
 * Creates run_dir/service_name-SESSION.ipcshm, SESSION as 16 hexadecimal digits, mode 0600, with all
 * its storage. Takes the place of a dead server's file.
 *
 * The capacities are in bytes, headers included, and rounded up to a multiple of 64.
 * NIPC_SHM_ERR_BAD_PARAM for a capacity of 0 or over 4 GiB in all, or a service name of no use;
 * _PATH_TOO_LONG, _OPEN, _ADDR_IN_USE, _ALLOCATE, _MMAP. Nothing is left behind on failure.
 */
nipc_shm_error_t nipc_shm_server_create(const char *run_dir, const char *service_name,
                                        uint64_t session_id, uint32_t req_capacity,
                                        uint32_t resp_capacity, nipc_shm_ctx_t *out);

/* Unmaps, closes and removes the region. NULL, closed and zeroed contexts are left alone. */
void nipc_shm_destroy(nipc_shm_ctx_t *ctx);

/*
 * Maps the region a server created for session_id. The file is checked first: _OPEN, _NOT_READY,
 * _BAD_MAGIC, _BAD_VERSION, _BAD_HEADER, _BAD_SIZE, _MMAP, _PATH_TOO_LONG, _BAD_PARAM.
 *
 * Since the server creates the region before it answers the handshake, there is no need to try
 * again: after a failure, connect again without the shared memory profiles.
 */
nipc_shm_error_t nipc_shm_client_attach(const char *run_dir, const char *service_name,
                                        uint64_t session_id, nipc_shm_ctx_t *out);

/* Unmaps and closes, and leaves the file to its server. NULL, closed and zeroed contexts are left
   alone. */
void nipc_shm_close(nipc_shm_ctx_t *ctx);

/*
 * Publishes one message and wakes the peer. A client sends requests, a server responses.
 *
 * Never waits: send again only after the peer's answer came, or it overwrites the message.
 * NIPC_SHM_ERR_BAD_PARAM for an empty message, _MSG_TOO_LARGE over the capacity.
 */
nipc_shm_error_t nipc_shm_send(nipc_shm_ctx_t *ctx, const void *msg, size_t msg_len);

/*
 * Waits for the next message, at most timeout_ms milliseconds (0: as long as it takes), and copies
 * it into buf. Nothing is consumed on NIPC_SHM_ERR_TIMEOUT.
 *
 * Does not notice that the peer died: receive in slices and look at the session's socket between.
 * NIPC_SHM_ERR_MSG_TOO_LARGE if it is longer than buf or the area: the message is lost, *msg_len_out
 * is its length. _BAD_HEADER if its length is 0. *msg_len_out is written on no other error.
 */
nipc_shm_error_t nipc_shm_receive(nipc_shm_ctx_t *ctx, void *buf, size_t buf_size,
                                  size_t *msg_len_out, uint32_t timeout_ms);

/* Whether the server that created the region still runs, as far as its PID tells. */
bool nipc_shm_owner_alive(const nipc_shm_ctx_t *ctx);

/* Removes regions of this service that a dead server left in run_dir. */
void nipc_shm_cleanup_stale(const char *run_dir, const char *service_name);

/* The file, -1 of NULL. It never becomes readable: there is nothing to poll. */
int nipc_shm_fd(const nipc_shm_ctx_t *ctx);

#ifdef NIPC_INTERNAL_TESTING
/* Declared for test programs that define them, around a fallocate of their own. The library has
   neither. */
typedef enum {
    NIPC_SHM_TEST_FAULT_NONE = 0,
    NIPC_SHM_TEST_FAULT_ALLOCATE = 1
} nipc_shm_test_fault_site_t;
void nipc_shm_test_fault_set(nipc_shm_test_fault_site_t site, int errno_value);
void nipc_shm_test_fault_clear(void);
#endif

#ifdef __cplusplus
}
#endif

#endif
