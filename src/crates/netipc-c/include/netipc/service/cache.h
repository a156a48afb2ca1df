/*
 * service/cache.h - keep the last snapshot of cgroups-snapshot and look things up in it.
 *
 * Include netipc/netipc_service.h, which states the rules common to all of these functions.
 *
 *     nipc_cgroups_cache_t cache;
 *     nipc_cgroups_cache_init(&cache, "/run/netdata", "cgroups-snapshot", NULL);
 *     if (nipc_cgroups_cache_refresh(&cache))          // every second, say
 *         printf("%u cgroups\n", cache.item_count);
 *
 *     nipc_cgroups_cache_read_guard_t guard;           // from any thread
 *     if (nipc_cgroups_cache_read_lock(&cache, &guard)) {
 *         const nipc_cgroups_cache_item_view_t *item = nipc_cgroups_cache_get(&guard, hash, "name");
 *         if (item)
 *             use(item->path);
 *         nipc_cgroups_cache_read_unlock(&guard);
 *     }
 *     nipc_cgroups_cache_close(&cache);
 *
 * Threads: refreshes wait for one another; everything else waits for nothing. Any number of threads
 * may hold guards and ask for the status while a refresh is under way. close, and init, must be alone.
 * Single-threaded programs can use nipc_cgroups_cache_lookup() without a guard.
 *
 * Names are compared as C strings. A cgroup is identified by hash and name together; of two with both
 * alike the first one of the snapshot is found.
 */
#ifndef NETIPC_SERVICE_CACHE_H
#define NETIPC_SERVICE_CACHE_H

#include "netipc/service/client.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NIPC_CGROUPS_CACHE_BUF_SIZE_DEFAULT 65536

/* The library's copy of one snapshot. */
typedef struct nipc_cgroups_cache_snapshot nipc_cgroups_cache_snapshot_t;

/* One cgroup, read under a guard. */
typedef struct {
    uint32_t hash;
    uint32_t options;
    uint32_t enabled;
    const char *name;
    const char *path;
} nipc_cgroups_cache_item_view_t;

/* One cgroup, found without a guard or copied. Do not change it. */
typedef struct {
    uint32_t hash;
    uint32_t options;
    uint32_t enabled;
    char *name;
    char *path;
} nipc_cgroups_cache_item_t;

typedef struct {
    bool populated; /* a refresh succeeded since init, even with an empty snapshot */
    uint32_t item_count;
    uint32_t systemd_enabled;
    uint64_t generation;
    uint32_t refresh_success_count;
    uint32_t refresh_failure_count;
    nipc_client_state_t connection_state; /* after the last refresh */
    uint64_t last_refresh_ts; /* of the last success, in ms of CLOCK_MONOTONIC, on
                                Windows of GetTickCount64(); 0: none */
} nipc_cgroups_cache_status_t;

/* A cache. Members marked (unused) stay for programs that name them. */
typedef struct {
    nipc_client_ctx_t client; /* abort and set_call_timeout of the client work on the cache */
    nipc_cgroups_cache_snapshot_t *snapshot; /* NULL before the first success; the library's */
    uint32_t refresh_success_count;
    uint32_t refresh_failure_count;
    uint64_t last_refresh_ts;
    uint8_t *response_buf;         /* (unused) */
    size_t response_buf_size;      /* (unused) */
    void *cache_lock;              /* (unused) */
    void *writer_lock;             /* (unused) */
    bool cache_lock_initialized;   /* (unused) */
    bool writer_lock_initialized;  /* (unused) */
    uint32_t item_count;           /* of the snapshot last published */
    void *_cache;                  /* the library's */
} nipc_cgroups_cache_t;

/* Keeps one snapshot alive. */
typedef struct {
    nipc_cgroups_cache_t *cache;
    const nipc_cgroups_cache_snapshot_t *snapshot; /* NULL of an empty cache */
    bool locked;
} nipc_cgroups_cache_read_guard_t;

/* Makes a cache of service `service_name` in the directory run_dir. Does no I/O. */
void nipc_cgroups_cache_init(nipc_cgroups_cache_t *cache, const char *run_dir,
                             const char *service_name, const nipc_client_config_t *config);

/*
 * Connects if need be, fetches a snapshot and publishes it. Returns whether it did; on failure the
 * last one stays, and nipc_last_error() says why. Takes no longer than the call timeout.
 */
bool nipc_cgroups_cache_refresh(nipc_cgroups_cache_t *cache);

/* Whether there is a snapshot, even an empty one. */
bool nipc_cgroups_cache_ready(nipc_cgroups_cache_t *cache);

/*
 * Finds a cgroup in the last snapshot. No I/O. NULL if there is none.
 *
 * The item is valid until the next successful refresh or close: only for programs that look up and
 * refresh in one thread. Others use a guard.
 */
const nipc_cgroups_cache_item_t *nipc_cgroups_cache_lookup(const nipc_cgroups_cache_t *cache,
                                                           uint32_t hash, const char *name);

/*
 * Holds on to the last snapshot, so that its items stay valid until unlock, whatever is refreshed
 * meanwhile. An empty cache can be held, too. Returns false, and nothing is to be unlocked, if the
 * cache is closed or an argument NULL.
 */
bool nipc_cgroups_cache_read_lock(nipc_cgroups_cache_t *cache,
                                  nipc_cgroups_cache_read_guard_t *guard);

/* Lets go. Items got through the guard are invalid then. Safe twice and on NULL. All guards must be
   unlocked before close. */
void nipc_cgroups_cache_read_unlock(nipc_cgroups_cache_read_guard_t *guard);

/* Finds a cgroup. NULL if there is none. The item is valid until unlock. */
const nipc_cgroups_cache_item_view_t *nipc_cgroups_cache_get(
    const nipc_cgroups_cache_read_guard_t *guard, uint32_t hash, const char *name);

/* Item `index` of the snapshot held, in the provider's order; NULL behind the last one. Valid until
   unlock. To visit all: for (i = 0; (item = nipc_cgroups_cache_at(&guard, i)); i++) */
const nipc_cgroups_cache_item_view_t *nipc_cgroups_cache_at(
    const nipc_cgroups_cache_read_guard_t *guard, uint32_t index);

/* Copies an item so that it survives the guard. NULL without memory or with a NULL. Release it with
   nipc_cgroups_cache_item_free(), not free(). */
nipc_cgroups_cache_item_t *nipc_cgroups_cache_item_dup(
    const nipc_cgroups_cache_read_guard_t *guard, const nipc_cgroups_cache_item_view_t *item);

/* Releases a copy. NULL is left alone. */
void nipc_cgroups_cache_item_free(nipc_cgroups_cache_item_t *item);

/* How the cache is doing. Never waits for a refresh. All zero of a closed cache. */
void nipc_cgroups_cache_status(nipc_cgroups_cache_t *cache, nipc_cgroups_cache_status_t *out);

/* Sets how long a refresh may take as a whole. 0: 30000. */
void nipc_cgroups_cache_set_call_timeout(nipc_cgroups_cache_t *cache, uint32_t timeout_ms);

/* Makes the running refresh, and every later one, fail, until clear_abort or close. From any thread. */
void nipc_cgroups_cache_abort(nipc_cgroups_cache_t *cache);

/* Lets refreshes be made again after an abort. */
void nipc_cgroups_cache_clear_abort(nipc_cgroups_cache_t *cache);

/* Disconnects and frees everything. Safe twice, on NULL and on zeroed structs. */
void nipc_cgroups_cache_close(nipc_cgroups_cache_t *cache);

#ifdef __cplusplus
}
#endif

#endif
