/*
 * protocol/cgroups_lookup.h - cgroups-lookup: what is known of the cgroups at given paths
 * (PROTOCOL.md, section 18).
 *
 * Include netipc/netipc_protocol.h. A client of the service reads with nipc_cgroups_lookup_resp_item()
 * and nipc_cgroups_lookup_item_label(), a handler reads with nipc_cgroups_lookup_req_item() and writes
 * with nipc_cgroups_lookup_builder_add().
 */
#ifndef NETIPC_PROTOCOL_CGROUPS_LOOKUP_H
#define NETIPC_PROTOCOL_CGROUPS_LOOKUP_H

#include "netipc/protocol/lookup.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NIPC_CGROUPS_LOOKUP_REQ_HDR_SIZE 16u
#define NIPC_CGROUPS_LOOKUP_RESP_HDR_SIZE 16u
#define NIPC_CGROUPS_LOOKUP_ITEM_HDR_SIZE 28u

/* item.status */
typedef enum {
    NIPC_CGROUP_LOOKUP_KNOWN = 0,
    NIPC_CGROUP_LOOKUP_UNKNOWN_RETRY_LATER = 1, /* not known yet, but may be later */
    NIPC_CGROUP_LOOKUP_UNKNOWN_PERMANENT = 2,   /* not known, and never will be */
    NIPC_CGROUP_LOOKUP_PAYLOAD_EXCEEDED = 3,    /* the reply was full: ask again for this key and
                                                   those behind it. Clients do so by themselves */
    NIPC_CGROUP_LOOKUP_OVERSIZED_ITEM = 4       /* fits in no reply: do not ask again */
} nipc_cgroup_lookup_status_t;

/* ---- Reading a reply ----------------------------------------------------------------------- */

/* A reply as received. Valid until the buffer changes; of a client: until its next call. */
typedef struct {
    uint16_t layout_version;
    uint16_t flags;
    uint32_t item_count;
    uint64_t generation; /* smaller than before: the provider restarted, forget UNKNOWN_PERMANENT */
    const uint8_t *_payload;
    size_t _payload_len;
} nipc_cgroups_lookup_resp_view_t;

/* One cgroup. Unless status is KNOWN only the path is set. */
typedef struct {
    uint16_t status;       /* nipc_cgroup_lookup_status_t */
    uint16_t orchestrator; /* nipc_orchestrator_t */
    nipc_str_view_t path;  /* the key that was asked */
    nipc_str_view_t name;
    uint16_t label_count;
    const uint8_t *_item;
    uint32_t _item_len;
    uint32_t _label_table_offset;
} nipc_cgroups_lookup_item_view_t;

/*
 * Reads a reply and checks every item of it.
 *
 * NIPC_ERR_TRUNCATED, _BAD_LAYOUT, _BAD_ALIGNMENT, _OUT_OF_BOUNDS, _MISSING_NUL, _BAD_ITEM_COUNT.
 */
nipc_error_t nipc_cgroups_lookup_resp_decode(const void *buf, size_t len,
                                             nipc_cgroups_lookup_resp_view_t *out);

/* Reads item `index`, counted from 0. NIPC_ERR_OUT_OF_BOUNDS for index >= item_count; the errors of
   resp_decode for a view that was filled by hand. */
nipc_error_t nipc_cgroups_lookup_resp_item(const nipc_cgroups_lookup_resp_view_t *view,
                                           uint32_t index, nipc_cgroups_lookup_item_view_t *out);

/* Reads label `index` of an item. NIPC_ERR_OUT_OF_BOUNDS for index >= label_count. */
nipc_error_t nipc_cgroups_lookup_item_label(const nipc_cgroups_lookup_item_view_t *item,
                                            uint32_t index, nipc_lookup_label_view_t *out);

/* ---- Answering a request --------------------------------------------------------------------- */

/* A request as received. */
typedef struct {
    const uint8_t *_payload;
    size_t _payload_len;
    uint32_t item_count;
} nipc_cgroups_lookup_req_view_t;

/* One key. */
typedef struct {
    nipc_str_view_t path; /* never empty; opaque: ".." means nothing */
} nipc_cgroups_lookup_req_item_t;

/* Reads key `index`. NIPC_ERR_OUT_OF_BOUNDS for index >= item_count; the errors of req_decode for
   a view that was filled by hand. */
nipc_error_t nipc_cgroups_lookup_req_item(const nipc_cgroups_lookup_req_view_t *view,
                                          uint32_t index, nipc_cgroups_lookup_req_item_t *out);

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
    const uint32_t *payload_exceeded_item_lens; /* borrowed; see below */
    uint32_t *payload_exceeded_suffix_bytes; /* NULL, or the room that the keys from each one on
                                                need as PAYLOAD_EXCEEDED items: max_items sums */
    uint32_t payload_exceeded_item_lens_count;
} nipc_cgroups_lookup_builder_t;

/* Sets the generation of the reply. A handler calls this: it is 0 before. */
void nipc_cgroups_lookup_builder_set_generation(nipc_cgroups_lookup_builder_t *builder,
                                                uint64_t generation);

/*
 * Answers the next key; answers must come in the order of the keys. Strings and labels are copied.
 * Unless status is KNOWN orchestrator, name and labels must be 0 or empty.
 *
 * An item that does not fit is replaced: the first one by OVERSIZED_ITEM, if it fits in no reply of
 * this size; any other by PAYLOAD_EXCEEDED, and so are all after it. That is success.
 *
 * NIPC_ERR_OVERFLOW for more answers than keys, if not even the replacement fits, or if the first
 * item would fit alone; _BAD_LAYOUT for values the layout forbids.
 */
nipc_error_t nipc_cgroups_lookup_builder_add(nipc_cgroups_lookup_builder_t *builder,
                                             uint16_t status, uint16_t orchestrator,
                                             const char *path, uint32_t path_len,
                                             const char *name, uint32_t name_len,
                                             const nipc_lookup_label_view_t *labels,
                                             uint16_t label_count);

/* nipc_cgroups_lookup_builder_add() with the path of key `index` of the request.
   NIPC_ERR_OUT_OF_BOUNDS, remembered in builder->error, for index >= item_count. */
nipc_error_t nipc_cgroups_lookup_builder_add_request_item(
    nipc_cgroups_lookup_builder_t *builder, const nipc_cgroups_lookup_req_view_t *request,
    uint32_t index, uint16_t status, uint16_t orchestrator, const char *name, uint32_t name_len,
    const nipc_lookup_label_view_t *labels, uint16_t label_count);

/* Starts a reply to max_items keys in buf. */
void nipc_cgroups_lookup_builder_init(nipc_cgroups_lookup_builder_t *builder, void *buf,
                                      size_t buf_len, uint32_t max_items, uint64_t generation);

/*
 * Tells the builder how long the PAYLOAD_EXCEEDED item of each key would be (30 + path length), so
 * that it keeps room for those of the keys behind. Takes effect if count is max_items.
 *
 * `lens` is borrowed until finish.
 */
void nipc_cgroups_lookup_builder_set_payload_exceeded_item_lens(
    nipc_cgroups_lookup_builder_t *builder, const uint32_t *lens, uint32_t count);

/* Closes the reply and returns its length: 16 for no items, 0 if not even those fit. */
size_t nipc_cgroups_lookup_builder_finish(nipc_cgroups_lookup_builder_t *builder);

/* How many of the shortest items a buffer holds: (buf_len - 16) / 40, 0 up to 16. */
uint32_t nipc_cgroups_lookup_builder_estimate_max_items(size_t buf_len);

/*
 * Answers one request: one add per key, in order, then true; false if it cannot.
 *
 * `user` is what was registered. Managed servers call handlers from several threads at once. A
 * handler must return; it must not throw, longjmp or end its thread.
 */
typedef bool (*nipc_cgroups_lookup_handler_fn)(void *user,
                                               const nipc_cgroups_lookup_req_view_t *request,
                                               nipc_cgroups_lookup_builder_t *builder);

/* ---- Carrying the bytes yourself ------------------------------------------------------------- */

/* Writes a request for `count` paths (0 is allowed). Returns its length; 0 also for an empty path
   or one with a NUL inside. */
size_t nipc_cgroups_lookup_req_encode(const nipc_str_view_t *paths, uint32_t count, void *buf,
                                      size_t buf_len);

/* Reads a request and checks every key. NIPC_ERR_TRUNCATED, _BAD_LAYOUT, _BAD_ITEM_COUNT,
   _BAD_ALIGNMENT, _OUT_OF_BOUNDS, _MISSING_NUL. */
nipc_error_t nipc_cgroups_lookup_req_decode(const void *buf, size_t buf_len,
                                            nipc_cgroups_lookup_req_view_t *out);

/* Points *item at the bytes of item `index` of a reply. The item borrows the reply. */
nipc_error_t nipc_cgroups_lookup_resp_raw_item(const nipc_cgroups_lookup_resp_view_t *view,
                                               uint32_t index, const uint8_t **item,
                                               uint32_t *item_len);

/* Puts `count` checked items under one head, as when parts of a lookup are joined.
   NIPC_ERR_OVERFLOW if they do not fit; the errors of resp_decode for a malformed item. */
nipc_error_t nipc_cgroups_lookup_raw_resp_encode(const uint8_t *const *items,
                                                 const uint32_t *item_lens, uint32_t count,
                                                 uint64_t generation, void *buf, size_t buf_len,
                                                 size_t *len_out);

/*
 * Reads a request, lets the handler answer it into resp, and sets *resp_len to the reply's length.
 *
 * The builder's error comes first, whatever the handler returned; NIPC_ERR_HANDLER_FAILED if it
 * returned false without one; _BAD_ITEM_COUNT unless there is one answer per key; the errors of
 * req_decode.
 */
nipc_error_t nipc_dispatch_cgroups_lookup(const uint8_t *req, size_t req_len, uint8_t *resp,
                                          size_t resp_size, size_t *resp_len,
                                          nipc_cgroups_lookup_handler_fn handler, void *user);

#ifdef __cplusplus
}
#endif

#endif
