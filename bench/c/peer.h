/*
 * peer.h - the parts of the benchmark peer in C. See bench/README.md for what it does.
 */
#ifndef NETIPC_BENCH_PEER_H
#define NETIPC_BENCH_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NIPC_INTERNAL_TESTING /* the server of increments answers raw requests */
#include "netipc/netipc_service.h"

enum transport { SOCKET, REGION, RINGS };

/* One side of a case: where it meets the other, and what is measured. */
struct bench {
    const char *dir, *service, *scenario;
    enum transport transport;
    uint64_t duration_ns;
    uint64_t count; /* of calls in each part, at most */
    uint32_t items;
    int workers;
};

/* Both sides of the scenarios. False: failure() says why. */
bool increment_serve(const struct bench *bench);
bool increment_call(const struct bench *bench);
bool snapshot_serve(const struct bench *bench);
bool snapshot_call(const struct bench *bench);
bool cgroups_serve(const struct bench *bench);
bool cgroups_call(const struct bench *bench);
bool apps_serve(const struct bench *bench);
bool apps_call(const struct bench *bench);

/* Remembers why something failed, and returns false. */
bool fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
const char *failure(void);

void say(const char *line);
bool wait_for_go(void);
void wait_until_the_driver_leaves(void);

/* Says READY, serves until the driver leaves, and destroys the server. */
bool run(nipc_managed_server_t *server);

/* Warms `step` up, waits for GO, measures it and reports. Each step is one call. */
bool measure(const struct bench *bench, bool (*step)(void *user), void *user);

/* ---- Configurations that make every call one message each way -------------------------------- */

/* The profile that is measured, and those that are offered. */
uint32_t profile(const struct bench *bench);
uint32_t profiles(const struct bench *bench);
nipc_server_config_t server_config(const struct bench *bench);
nipc_client_config_t client_config(const struct bench *bench);
/* Makes a client that has a session over the transport that is measured. */
bool connected(nipc_client_ctx_t *client, const struct bench *bench);

/* ---- What is served: the same as by the peer in Rust ------------------------------------------ */

struct cgroup {
    uint32_t hash;
    uint32_t name_len, path_len;
    char name[32], path[48], image[32];
    nipc_lookup_label_view_t labels[2];
};
/* `count` cgroups, for free(); NULL without memory. */
struct cgroup *cgroups_make(uint32_t count);
/* The index of the cgroup at a path, or UINT32_MAX. */
uint32_t cgroup_index(nipc_str_view_t path);

struct process {
    uint32_t comm_len, path_len, name_len;
    char comm[16], path[48], name[32];
};
struct process *processes_make(uint32_t count);

#endif
