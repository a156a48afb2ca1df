/*
 * service/client.h - ask a service (PROTOCOL.md, sections 13 and 21).
 *
 * Include netipc/netipc_service.h, which states the rules common to all of these functions.
 *
 *     nipc_client_ctx_t client;
 *     nipc_client_init(&client, "/run/netdata", "cgroups-snapshot", NULL);
 *     for (;;) {                       // every second, say
 *         nipc_client_refresh(&client);
 *         nipc_cgroups_resp_view_t view;
 *         if (nipc_client_ready(&client) &&
 *             nipc_client_call_cgroups_snapshot(&client, &view) == NIPC_OK)
 *             use(&view);
 *     }
 *     nipc_client_close(&client);
 *
 * Threads: a client belongs to one thread at a time. Only nipc_client_abort() may be called from
 * another thread, at any time between init and close.
 */
#ifndef NETIPC_SERVICE_CLIENT_H
#define NETIPC_SERVICE_CLIENT_H

#include "netipc/netipc_protocol.h"
#include "netipc/service/transport.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NIPC_CLIENT_CALL_TIMEOUT_DEFAULT_MS 30000u
#define NIPC_CLIENT_ABORT_POLL_MS 100u /* an abort is noticed within this time */
#define NIPC_SERVICE_MIN_PAYLOAD_BUFFER_BYTES 1024u
#define NIPC_LOGICAL_LOOKUP_ITEMS_DEFAULT 65536u
#define NIPC_LOGICAL_LOOKUP_SUBCALLS_DEFAULT 4096u
#define NIPC_LOGICAL_LOOKUP_RESPONSE_BYTES_DEFAULT (64u * 1024u * 1024u)

typedef enum {
    NIPC_CLIENT_DISCONNECTED = 0, /* not tried yet, or the attempt failed for another reason */
    NIPC_CLIENT_CONNECTING = 1,   /* never seen */
    NIPC_CLIENT_READY = 2,        /* connected; calls may be made */
    NIPC_CLIENT_NOT_FOUND = 3,    /* nobody provides the service now: a normal condition */
    NIPC_CLIENT_AUTH_FAILED = 4,  /* the server expects another auth_token */
    NIPC_CLIENT_INCOMPATIBLE = 5, /* another version, no common profile, or limits refused */
    NIPC_CLIENT_BROKEN = 6        /* was connected; the last call failed */
} nipc_client_state_t;

typedef struct {
    uint32_t supported_profiles;         /* NIPC_PROFILE_ bits, or NIPC_PROFILES_SHARED_MEMORY; 0: BASELINE */
    uint32_t preferred_profiles;         /* 0: none */
    uint32_t max_request_payload_bytes;  /* 0: start at 1024 and grow to NIPC_MAX_PAYLOAD_CAP */
    uint32_t max_request_batch_items;    /* 0: 1 */
    uint32_t max_response_payload_bytes; /* a hint to the server; 0: 65536, may grow */
    uint64_t auth_token;                 /* must equal the server's */
    uint32_t call_timeout_ms;            /* of a whole call, retries included; 0: 30000 */
    uint32_t max_logical_lookup_items;   /* keys of one lookup; 0: 65536 */
    uint32_t max_logical_lookup_subcalls; /* messages it may be cut into; 0: 4096 */
    uint32_t max_logical_lookup_response_bytes; /* of the joined reply; 0: 64 MiB */
    int32_t spin_us; /* before it sleeps a wait looks again and again, at most for so many microseconds;
                        0: as long as that pays, which it finds out by itself; below 0: not at all */
} nipc_client_config_t;

typedef struct {
    nipc_client_state_t state;
    uint32_t connect_count;   /* connections made, after never having had one */
    uint32_t reconnect_count; /* connections made again */
    uint32_t call_count;      /* requests answered */
    uint32_t error_count;     /* calls that failed */
} nipc_client_status_t;

/* A client. Members marked (unused) stay for programs that name them. */
typedef struct {
    nipc_client_state_t state;
    char run_dir[256];
    char service_name[128];
    nipc_transport_client_config_t transport_config; /* what the next connection will propose; may be
                                                        set */
    nipc_transport_session_t session; /* meaningful while session_valid; limits may be set, to hold
                                         until the next session */
    bool session_valid;
    nipc_transport_shm_t *shm; /* NULL unless messages go through a region of shared memory. Over rings it
                                  is NULL: what carries messages session.selected_profile tells */
#if defined(_WIN32) || defined(__MSYS__)
    HANDLE abort_event; /* (unused) NULL */
#else
    int abort_pipe[2];                /* (unused) */
    bool abort_pipe_valid;            /* (unused) */
    pthread_mutex_t abort_pipe_lock;  /* (unused) */
    bool abort_pipe_lock_initialized; /* (unused) */
#endif
    uint32_t call_timeout_ms;         /* as configured, 0 replaced; the limits below, too */
    uint32_t max_logical_lookup_items;
    uint32_t max_logical_lookup_subcalls;
    uint32_t max_logical_lookup_response_bytes;
    uint32_t abort_requested; /* 1 between abort and clear_abort */
    uint32_t connect_count;   /* as in nipc_client_status_t */
    uint32_t reconnect_count;
    uint32_t call_count;
    uint32_t error_count;
    uint8_t *response_buf;    /* the last response; the library's */
    size_t response_buf_size;
    uint8_t *send_buf;        /* (unused) */
    size_t send_buf_size;     /* (unused) */
    void *_client;            /* the library's */
} nipc_client_ctx_t;

/*
 * Makes a client of service `service_name` in the directory run_dir. Does no I/O, and neither needs
 * to exist. Names too long for their members are refused by the first refresh, not cut.
 */
void nipc_client_init(nipc_client_ctx_t *ctx, const char *run_dir, const char *service_name,
                      const nipc_client_config_t *config);

/*
 * Connects if there is no connection: one attempt, of at most 5 seconds and never longer than the
 * call timeout. Does nothing when READY. Call it regularly.
 *
 * Returns true if the state changed.
 */
bool nipc_client_refresh(nipc_client_ctx_t *ctx);

/* Whether calls may be made. No I/O: a dead server is noticed by the next call. */
bool nipc_client_ready(const nipc_client_ctx_t *ctx);

/*
 * Asks for the snapshot of all cgroups. The view is valid until the next call, refresh or close of
 * ctx.
 *
 * A call over a broken connection is made once more over a new one, so that a handler may be asked
 * twice. A reply or request larger than agreed makes the client agree on more and ask again.
 *
 * NIPC_ERR_NOT_READY without a connection; _TIMEOUT, _ABORTED; _OVERFLOW if the message is too large
 * for what both sides allow; _TRUNCATED if the peer hung up or broke the protocol; _BAD_LAYOUT if
 * the server refused, or the reply is malformed (then also the errors of nipc_cgroups_resp_decode()).
 * After most errors the state is BROKEN: refresh. *view is zeroed on an error.
 */
nipc_error_t nipc_client_call_cgroups_snapshot(nipc_client_ctx_t *ctx,
                                               nipc_cgroups_resp_view_t *view);

/* The same with a deadline of its own. timeout_ms 0: the client's. */
nipc_error_t nipc_client_call_cgroups_snapshot_timeout(nipc_client_ctx_t *ctx,
                                                       nipc_cgroups_resp_view_t *view,
                                                       uint32_t timeout_ms);

/*
 * Looks up `count` cgroup paths. The view has as many items, in the same order, however many
 * messages it took. It is valid until the next call, refresh or close of ctx. For count 0 paths may be NULL:
 * the view then tells the generation.
 *
 * Errors as of the snapshot call; also NIPC_ERR_OVERFLOW over a max_logical_lookup_ limit, and
 * _BAD_LAYOUT or _BAD_ITEM_COUNT for answers that do not match the keys.
 */
nipc_error_t nipc_client_call_cgroups_lookup(nipc_client_ctx_t *ctx, const nipc_str_view_t *paths,
                                             uint32_t count,
                                             nipc_cgroups_lookup_resp_view_t *view);

/* The same with a deadline of its own. timeout_ms 0: the client's. */
nipc_error_t nipc_client_call_cgroups_lookup_timeout(nipc_client_ctx_t *ctx,
                                                     const nipc_str_view_t *paths, uint32_t count,
                                                     nipc_cgroups_lookup_resp_view_t *view,
                                                     uint32_t timeout_ms);

/* Looks up `count` PIDs. All else as nipc_client_call_cgroups_lookup(). */
nipc_error_t nipc_client_call_apps_lookup(nipc_client_ctx_t *ctx, const uint32_t *pids,
                                          uint32_t count, nipc_apps_lookup_resp_view_t *view);

/* The same with a deadline of its own. timeout_ms 0: the client's. */
nipc_error_t nipc_client_call_apps_lookup_timeout(nipc_client_ctx_t *ctx, const uint32_t *pids,
                                                  uint32_t count,
                                                  nipc_apps_lookup_resp_view_t *view,
                                                  uint32_t timeout_ms);

/* Copies state and counters. */
void nipc_client_status(const nipc_client_ctx_t *ctx, nipc_client_status_t *out);

/* Sets how long a call may take as a whole. 0: 30000. */
void nipc_client_set_call_timeout(nipc_client_ctx_t *ctx, uint32_t timeout_ms);

/* Makes the running call, and every later one, end with NIPC_ERR_ABORTED, until clear_abort or
   close. May be called from any thread. */
void nipc_client_abort(nipc_client_ctx_t *ctx);

/* Lets calls be made again after an abort. */
void nipc_client_clear_abort(nipc_client_ctx_t *ctx);

/* Disconnects and frees everything; views of ctx are gone. A later refresh connects again. Safe twice,
   on NULL and on zeroed structs. No other thread may be inside a function on ctx, or about to abort
   it. */
void nipc_client_close(nipc_client_ctx_t *ctx);

#ifdef __cplusplus
}
#endif

#endif
