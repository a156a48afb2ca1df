/*
 * service/server.h - provide a service (PROTOCOL.md, section 12).
 *
 * Include netipc/netipc_service.h, which states the rules common to all of these functions.
 *
 *     static bool answer(void *user, const nipc_cgroups_req_t *request, nipc_cgroups_builder_t *reply)
 *     {
 *         nipc_cgroups_builder_set_header(reply, 1, generation);
 *         for (...)
 *             nipc_cgroups_builder_add(reply, hash, options, 1, name, name_len, path, path_len);
 *         return true;
 *     }
 *
 *     nipc_cgroups_service_handler_t handler = { .handle = answer };
 *     nipc_managed_server_t server;
 *     if (nipc_server_init_typed(&server, "/run/netdata", "cgroups-snapshot", NULL, 4, &handler) != NIPC_OK)
 *         die(nipc_last_error());
 *     nipc_server_run(&server);          // until nipc_server_stop(&server) in another thread
 *     nipc_server_drain(&server, 5000);
 *     nipc_server_destroy(&server);
 *
 * Threads: run, stop and drain may be called from different threads at the same time. Handlers are
 * called from up to worker_count threads at once; one client's requests come one after the other.
 */
#ifndef NETIPC_SERVICE_SERVER_H
#define NETIPC_SERVICE_SERVER_H

#include "netipc/netipc_protocol.h"
#include "netipc/service/transport.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    uint32_t supported_profiles;        /* NIPC_PROFILE_ bits, or NIPC_PROFILES_SHARED_MEMORY; 0: BASELINE */
    uint32_t preferred_profiles;        /* 0: none */
    uint32_t max_request_payload_bytes; /* 0: start at 1024 and grow to NIPC_MAX_PAYLOAD_CAP;
                                           otherwise clients that propose more are refused */
    uint32_t max_request_batch_items;   /* 0: 1 */
    uint32_t max_response_payload_bytes; /* 0: start at 65536 and grow to NIPC_MAX_PAYLOAD_CAP;
                                            otherwise never more than this */
    uint64_t auth_token;                /* must equal the client's */
    int32_t spin_us; /* before it sleeps a wait looks again and again, at most for so many microseconds;
                        0: as long as that pays, which it finds out by itself; below 0: not at all */
} nipc_server_config_t;

/* What answers requests. `user` is handed to `handle` and must live until destroy. A NULL `handle`
   makes a server that refuses every request as unsupported. */
typedef struct {
    nipc_cgroups_handler_fn handle;
    uint32_t snapshot_max_items; /* items a reply may have; 0: as many as may fit */
    void *user;
} nipc_cgroups_service_handler_t;

typedef struct {
    nipc_cgroups_lookup_handler_fn handle;
    void *user;
} nipc_cgroups_lookup_service_handler_t;

typedef struct {
    nipc_apps_lookup_handler_fn handle;
    void *user;
} nipc_apps_lookup_service_handler_t;

typedef union {
    nipc_cgroups_service_handler_t cgroups_snapshot;
    nipc_cgroups_lookup_service_handler_t cgroups_lookup;
    nipc_apps_lookup_service_handler_t apps_lookup;
} nipc_server_typed_handler_t;

/* Answers a raw request into resp and sets *resp_len_out. Only servers for tests have one, see
   service/testing.h. */
typedef nipc_error_t (*nipc_server_handler_fn)(void *user, const nipc_header_t *request_hdr,
                                               const uint8_t *request_payload, size_t request_len,
                                               uint8_t *resp, size_t resp_size,
                                               size_t *resp_len_out);

typedef struct nipc_managed_server nipc_managed_server_t;

/* A connected client, for programs that name it: no function gives one out. */
typedef struct nipc_session_ctx {
    nipc_managed_server_t *server;
    nipc_transport_session_t session;
    nipc_transport_shm_t *shm;
#if defined(_WIN32) || defined(__MSYS__)
    HANDLE thread;
    uint64_t id;
    volatile LONG active;
#else
    pthread_t thread;
    uint64_t id;
    bool active;
#endif
} nipc_session_ctx_t;

/*
 * A server. Members marked (atomic) may be read from any thread, atomically. Those marked (start) say
 * what the server started with, and are neither read nor changed afterwards; those marked (unused) stay
 * for programs that name them.
 */
struct nipc_managed_server {
    nipc_transport_listener_t listener; /* (unused) closed: the library has its own */
    nipc_transport_server_config_t base_config; /* as configured */
    int worker_count;
    nipc_server_handler_fn handler; /* of a server for tests */
    void *handler_user;
    nipc_server_typed_handler_t typed_handler;
    uint16_t expected_method_code; /* (atomic) the method served; may be set, even while running */
    uint32_t learned_request_payload_bytes;   /* (start) payload limits, */
    uint32_t learned_response_payload_bytes;  /* (start) */
    uint32_t request_payload_growth_ceiling;  /* (start) and how far they grow */
    uint32_t response_payload_growth_ceiling; /* (start) */
#if defined(_WIN32) || defined(__MSYS__)
    volatile LONG running;            /* (atomic) clients are served */
    volatile LONG accept_loop_active; /* (atomic) the same */
    DWORD accept_loop_thread_id;      /* which called nipc_server_run() last */
#else
    bool running; /* (atomic) clients are served */
#endif
    nipc_session_ctx_t **sessions; /* (unused) NULL: the library has its own */
    int session_count;             /* (atomic) clients connected, those in the handshake included */
    int session_capacity;          /* (start) how many there may be */
    uint64_t next_session_id;      /* (start) */
#if defined(_WIN32) || defined(__MSYS__)
    CRITICAL_SECTION sessions_lock; /* (unused) guards nothing, but can be entered */
#else
    pthread_mutex_t sessions_lock; /* (unused) guards nothing, but can be locked */
    pthread_t acceptor_thread;     /* which called nipc_server_run(), if acceptor_started */
    bool acceptor_started;
#endif
    char run_dir[256];
    char service_name[128];
#if defined(_WIN32) || defined(__MSYS__)
    uint64_t auth_token; /* (start) */
#endif
    void *_server; /* the library's */
};

/*
 * Makes a server of cgroups-snapshot and listens as service `service_name` in the directory run_dir,
 * which must exist. Clients can connect from here on and are served once nipc_server_run() is called.
 * Takes the place of a dead server.
 *
 * worker_count is how many requests may be answered at once (less than 1: 1). It does not limit how
 * many clients are connected: a client that is silent costs the others nothing.
 *
 * NIPC_ERR_BAD_LAYOUT for a NULL, a name that cannot be used or a failure to listen: nipc_last_error()
 * says which, and if a live server has the endpoint errno is EADDRINUSE, or on Windows GetLastError() is
 * ERROR_PIPE_BUSY. _OVERFLOW without memory.
 * The struct is closed then; destroying it does nothing.
 */
nipc_error_t nipc_server_init_typed(nipc_managed_server_t *server, const char *run_dir,
                                    const char *service_name, const nipc_server_config_t *config,
                                    int worker_count,
                                    const nipc_cgroups_service_handler_t *handler);

/* The same for cgroups-lookup. */
nipc_error_t nipc_server_init_cgroups_lookup(nipc_managed_server_t *server, const char *run_dir,
                                             const char *service_name,
                                             const nipc_server_config_t *config, int worker_count,
                                             const nipc_cgroups_lookup_service_handler_t *handler);

/* The same for apps-lookup. */
nipc_error_t nipc_server_init_apps_lookup(nipc_managed_server_t *server, const char *run_dir,
                                          const char *service_name,
                                          const nipc_server_config_t *config, int worker_count,
                                          const nipc_apps_lookup_service_handler_t *handler);

/*
 * Serves clients until nipc_server_stop(), from this thread or any other; returns at once if that
 * came first. A server that was stopped does not run again: destroy and init it.
 */
void nipc_server_run(nipc_managed_server_t *server);

/* Makes nipc_server_run() return within 100 ms, however long handlers take, and sessions end after the
   request they are at: that is for drain or destroy to wait for.
   Returns at once. May be called from any thread, a handler's too, from a signal handler, and any
   number of times. The thread that runs the server may destroy it as soon as run has returned, even
   if this has not yet. */
void nipc_server_stop(nipc_managed_server_t *server);

/*
 * Stops, and waits up to timeout_ms for requests being answered. What remains is cut off.
 * Returns whether nothing had to be cut off. Takes no longer than timeout_ms and a second; a handler
 * that never returns is left behind in its thread, so keep its `user` alive.
 */
bool nipc_server_drain(nipc_managed_server_t *server, uint32_t timeout_ms);

/* Stops, waits for all sessions, removes the endpoint and frees everything. Safe twice, without run,
   after drain, on NULL and on zeroed structs. Not from a handler. */
void nipc_server_destroy(nipc_managed_server_t *server);

#ifdef __cplusplus
}
#endif

#endif
