/*
 * protocol/apps_lookup.h - apps-lookup: what is known of the processes with given PIDs
 * (PROTOCOL.md, section 19).
 *
 * Include netipc/netipc_protocol.h. The functions are those of cgroups_lookup.h for another item;
 * what is said there of a function holds here for its twin.
 */
#ifndef NETIPC_PROTOCOL_APPS_LOOKUP_H
#define NETIPC_PROTOCOL_APPS_LOOKUP_H

#include "netipc/protocol/lookup.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NIPC_APPS_LOOKUP_REQ_HDR_SIZE 16u
#define NIPC_APPS_LOOKUP_RESP_HDR_SIZE 16u
#define NIPC_APPS_LOOKUP_ITEM_HDR_SIZE 60u /* a C struct of these fields would have 64 */
#define NIPC_APPS_LOOKUP_KEY_SIZE 8u

#define NIPC_UID_UNSET 0xFFFFFFFFu /* item.uid: not known */

/* item.status */
typedef enum {
    NIPC_PID_LOOKUP_KNOWN = 0,
    NIPC_PID_LOOKUP_UNKNOWN = 1,
    NIPC_PID_LOOKUP_PAYLOAD_EXCEEDED = 2, /* the reply was full: ask again. Clients do so */
    NIPC_PID_LOOKUP_OVERSIZED_ITEM = 3    /* fits in no reply: do not ask again */
} nipc_pid_lookup_status_t;

/* item.cgroup_status: what is known of the cgroup of a process that is known */
typedef enum {
    NIPC_APPS_CGROUP_KNOWN = 0,               /* the path is not empty */
    NIPC_APPS_CGROUP_UNKNOWN_RETRY_LATER = 1, /* not known yet; the path may be set */
    NIPC_APPS_CGROUP_UNKNOWN_PERMANENT = 2,   /* never will be; the path is not empty */
    NIPC_APPS_CGROUP_HOST_ROOT = 3            /* in no cgroup of its own; the path is empty */
} nipc_apps_cgroup_status_t;

/* ---- Reading a reply ----------------------------------------------------------------------- */

/* A reply as received. Valid until the buffer changes; of a client: until its next call. */
typedef struct {
    uint16_t layout_version;
    uint16_t flags;
    uint32_t item_count;
    uint64_t generation; /* smaller than before: the provider restarted */
    const uint8_t *_payload;
    size_t _payload_len;
} nipc_apps_lookup_resp_view_t;

/* One process. Unless status is KNOWN only the pid is set, and uid is NIPC_UID_UNSET. */
typedef struct {
    uint16_t status;        /* nipc_pid_lookup_status_t */
    uint16_t orchestrator;  /* nipc_orchestrator_t */
    uint16_t cgroup_status; /* nipc_apps_cgroup_status_t */
    uint32_t pid;           /* the key that was asked */
    uint32_t ppid;
    uint32_t uid;
    uint64_t starttime;   /* jiffies since boot, as in /proc/PID/stat; 0 off Linux */
    nipc_str_view_t comm; /* 1 to 15 bytes */
    nipc_str_view_t cgroup_path;
    nipc_str_view_t cgroup_name;
    uint16_t label_count;
    const uint8_t *_item;
    uint32_t _item_len;
    uint32_t _label_table_offset;
} nipc_apps_lookup_item_view_t;

/* Reads a reply and checks every item of it. */
nipc_error_t nipc_apps_lookup_resp_decode(const void *buf, size_t len,
                                          nipc_apps_lookup_resp_view_t *out);

/* Reads item `index`, counted from 0. */
nipc_error_t nipc_apps_lookup_resp_item(const nipc_apps_lookup_resp_view_t *view, uint32_t index,
                                        nipc_apps_lookup_item_view_t *out);

/* Reads label `index` of an item. */
nipc_error_t nipc_apps_lookup_item_label(const nipc_apps_lookup_item_view_t *item, uint32_t index,
                                         nipc_lookup_label_view_t *out);

/* ---- Answering a request --------------------------------------------------------------------- */

/* A request as received. */
typedef struct {
    const uint8_t *_payload;
    size_t _payload_len;
    uint32_t item_count;
} nipc_apps_lookup_req_view_t;

/* One key. */
typedef struct {
    uint32_t pid; /* 0 is a key like any other */
} nipc_apps_lookup_req_item_t;

/* Reads key `index`. */
nipc_error_t nipc_apps_lookup_req_item(const nipc_apps_lookup_req_view_t *view, uint32_t index,
                                       nipc_apps_lookup_req_item_t *out);

/* A reply being written. The members are the builder's whole state. */
typedef struct {
    uint8_t *buf; /* the caller's, borrowed until finish */
    size_t buf_len;
    uint64_t generation;
    uint32_t item_count; /* items added */
    uint32_t max_items;  /* keys asked */
    nipc_error_t error;  /* of the last add: the next one that succeeds clears it */
    size_t data_offset;  /* where the next item may start */
    bool payload_exceeded_suffix; /* the reply is full: all further items say PAYLOAD_EXCEEDED */
    const uint32_t *payload_exceeded_item_lens; /* borrowed */
    uint32_t *payload_exceeded_suffix_bytes; /* NULL, or the room that the keys from each one on
                                                need as PAYLOAD_EXCEEDED items: max_items sums */
    uint32_t payload_exceeded_item_lens_count;
} nipc_apps_lookup_builder_t;

/* Sets the generation of the reply. A handler calls this: it is 0 before. */
void nipc_apps_lookup_builder_set_generation(nipc_apps_lookup_builder_t *builder,
                                             uint64_t generation);

/*
 * Answers the next key; answers must come in the order of the keys. Strings and labels are copied.
 *
 * Unless status is KNOWN, uid must be NIPC_UID_UNSET and everything but pid 0 or empty. If it is,
 * comm has 1 to 15 bytes and the cgroup is what its status allows, see above; orchestrator, name and
 * labels only of a KNOWN cgroup. Replacement of items that do not fit and errors are those of
 * nipc_cgroups_lookup_builder_add().
 */
nipc_error_t nipc_apps_lookup_builder_add(
    nipc_apps_lookup_builder_t *builder, uint16_t status, uint16_t cgroup_status,
    uint16_t orchestrator, uint32_t pid, uint32_t ppid, uint32_t uid, uint64_t starttime,
    const char *comm, uint32_t comm_len, const char *cgroup_path, uint32_t cgroup_path_len,
    const char *cgroup_name, uint32_t cgroup_name_len, const nipc_lookup_label_view_t *labels,
    uint16_t label_count);

/* Starts a reply to max_items keys in buf. */
void nipc_apps_lookup_builder_init(nipc_apps_lookup_builder_t *builder, void *buf, size_t buf_len,
                                   uint32_t max_items, uint64_t generation);

/* Tells the builder how long the PAYLOAD_EXCEEDED item of each key would be (63). `lens` is
   borrowed until finish; takes effect if count is max_items. */
void nipc_apps_lookup_builder_set_payload_exceeded_item_lens(nipc_apps_lookup_builder_t *builder,
                                                             const uint32_t *lens, uint32_t count);

/* Closes the reply and returns its length: 16 for no items, 0 if not even those fit. */
size_t nipc_apps_lookup_builder_finish(nipc_apps_lookup_builder_t *builder);

/* How many of the shortest items a buffer holds: (buf_len - 16) / 72, 0 up to 16. */
uint32_t nipc_apps_lookup_builder_estimate_max_items(size_t buf_len);

/* Answers one request: one add per key, in order, then true; false if it cannot. Called like
   nipc_cgroups_lookup_handler_fn. */
typedef bool (*nipc_apps_lookup_handler_fn)(void *user, const nipc_apps_lookup_req_view_t *request,
                                            nipc_apps_lookup_builder_t *builder);

/* ---- Carrying the bytes yourself ------------------------------------------------------------- */

/* Writes a request for `count` PIDs (0 is allowed). Returns its length, 16 + 16 * count, or 0. */
size_t nipc_apps_lookup_req_encode(const uint32_t *pids, uint32_t count, void *buf,
                                   size_t buf_len);

/* Reads a request and checks every key. */
nipc_error_t nipc_apps_lookup_req_decode(const void *buf, size_t buf_len,
                                         nipc_apps_lookup_req_view_t *out);

/* Points *item at the bytes of item `index` of a reply. The item borrows the reply. */
nipc_error_t nipc_apps_lookup_resp_raw_item(const nipc_apps_lookup_resp_view_t *view,
                                            uint32_t index, const uint8_t **item,
                                            uint32_t *item_len);

/* Puts `count` checked items under one head, as when parts of a lookup are joined. */
nipc_error_t nipc_apps_lookup_raw_resp_encode(const uint8_t *const *items,
                                              const uint32_t *item_lens, uint32_t count,
                                              uint64_t generation, void *buf, size_t buf_len,
                                              size_t *len_out);

/* Reads a request, lets the handler answer it into resp, and sets *resp_len to the reply's length.
   Errors as nipc_dispatch_cgroups_lookup(). */
nipc_error_t nipc_dispatch_apps_lookup(const uint8_t *req, size_t req_len, uint8_t *resp,
                                       size_t resp_size, size_t *resp_len,
                                       nipc_apps_lookup_handler_fn handler, void *user);

#ifdef __cplusplus
}
#endif

#endif
