/*
 * peer.h - the parts of the interop peer in C. See interop/README.md for what it does.
 */
#ifndef NETIPC_INTEROP_PEER_H
#define NETIPC_INTEROP_PEER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "netipc/netipc_service.h"

#define INTEROP_OVERSIZED 4u /* the key whose answer fits in no response */
#define INTEROP_LABELS 3u    /* the most labels of an answer */

/* What carries messages: the socket or pipe, a region of shared memory, or rings. */
enum transport { OVER_SOCKET, OVER_REGION, OVER_RINGS };

/* Where two peers meet, and what for. */
struct meeting {
    const char *dir, *service, *scenario;
    enum transport transport;
    uint32_t items;          /* of a snapshot */
    uint32_t keys;           /* of a lookup */
    uint32_t response_bytes; /* the limit of the server's responses; 0: the usual one */
    uint64_t rounds;
    uint64_t depth; /* requests in flight */
    uint64_t generation;
};

/* Both sides of the scenarios. False: failure() says why. */
bool codec_serve(const struct meeting *meeting);
bool codec_call(const struct meeting *meeting);
bool messages_serve(const struct meeting *meeting);
bool messages_echo(const struct meeting *meeting);
bool messages_pipeline(const struct meeting *meeting);
bool snapshots_serve(const struct meeting *meeting);
bool snapshots_ask(const struct meeting *meeting);
bool snapshots_keep(const struct meeting *meeting);
bool snapshots_survive(const struct meeting *meeting);
bool lookups_serve_cgroups(const struct meeting *meeting);
bool lookups_ask_cgroups(const struct meeting *meeting);
bool lookups_serve_apps(const struct meeting *meeting);
bool lookups_ask_apps(const struct meeting *meeting);

/* Remembers why something failed, and returns false. */
bool fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
const char *failure(void);

/* Says a line to whoever started this, at once. */
void say(const char *line);
/* Returns when standard input is closed. */
void wait_for_the_end(void);

/* The profiles to offer. */
uint32_t profiles(const struct meeting *meeting);
/* What carries the messages of a session whose profile was selected. */
enum transport transport_of(uint32_t selected_profile);
/* Makes a client that has a session over the transport that was asked for. */
bool connected(nipc_client_ctx_t *client, const struct meeting *meeting);
/* Says READY, serves until standard input is closed, and destroys the server. */
bool run(nipc_managed_server_t *server);

/* ---- Data ------------------------------------------------------------------------------------ */

/* Cgroup i of a snapshot. */
struct member {
    uint32_t hash, options, enabled;
    char name[32], path[128];
};
void member_at(uint32_t i, struct member *member);

/* The key of a lookup of cgroups. */
void path_at(uint32_t i, char path[96]);
/* Which lookup a key is of; false if of none. */
bool index_of(nipc_str_view_t path, uint32_t *i);

/* What a lookup finds. Statuses that are not known leave the rest 0 or empty. */
struct answer {
    uint16_t status, cgroup_status, orchestrator;
    uint32_t pid, ppid, uid;
    uint64_t starttime;
    char comm[16], path[64], short_name[32];
    nipc_str_view_t name; /* short_name, or the one that fits nowhere */
    char label_text[INTEROP_LABELS][2][32];
    nipc_lookup_label_view_t labels[INTEROP_LABELS];
    uint16_t label_count;
};
/* The cgroup or process that lookup i finds. `long_name` is what the one that fits nowhere is called. */
void cgroup_at(uint32_t i, nipc_str_view_t long_name, struct answer *answer);
void process_at(uint32_t i, nipc_str_view_t long_name, struct answer *answer);

/* Fills the payload of message `id`. */
void payload_of(uint64_t id, uint8_t *payload, size_t len);

nipc_str_view_t view_of(const char *text);
bool same(nipc_str_view_t a, nipc_str_view_t b);

#endif
