/*
 * protocol/snapshot.h - cgroups-snapshot: one reply with all cgroups (PROTOCOL.md, section 16).
 *
 * Include netipc/netipc_protocol.h. A client of the service reads with nipc_cgroups_resp_item(), a
 * handler writes with nipc_cgroups_builder_add(); the rest is for those who carry bytes themselves.
 */
#ifndef NETIPC_PROTOCOL_SNAPSHOT_H
#define NETIPC_PROTOCOL_SNAPSHOT_H

#include "netipc/protocol/envelope.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NIPC_CGROUPS_RESP_HDR_SIZE 24u
#define NIPC_CGROUPS_DIR_ENTRY_SIZE 8u
#define NIPC_CGROUPS_ITEM_HDR_SIZE 32u

/* A string inside a buffer: `len` bytes at `ptr`, and in decoded views a NUL behind them. */
typedef struct {
    const char *ptr;
    uint32_t len; /* the NUL is not counted */
} nipc_str_view_t;

/* ---- Reading a reply ----------------------------------------------------------------------- */

/* A snapshot as received. Valid until the buffer changes; of a client: until its next call. */
typedef struct {
    uint16_t layout_version;
    uint16_t flags;
    uint32_t item_count;
    uint32_t systemd_enabled;
    uint64_t generation; /* moves when the provider's table does; smaller than before: it restarted */
    const uint8_t *_payload;
    size_t _payload_len;
} nipc_cgroups_resp_view_t;

/* One cgroup of a snapshot. The strings may hold NULs inside: the layout does not forbid it. */
typedef struct {
    uint16_t layout_version;
    uint16_t flags;
    uint32_t hash;    /* computed by the provider; with the name it identifies the cgroup */
    uint32_t options; /* not interpreted here */
    uint32_t enabled; /* not interpreted here */
    nipc_str_view_t name;
    nipc_str_view_t path;
} nipc_cgroups_item_view_t;

/*
 * Reads the head and the directory of a reply. Items are checked when they are read.
 *
 * NIPC_ERR_TRUNCATED, _BAD_LAYOUT, _BAD_ALIGNMENT, _OUT_OF_BOUNDS.
 */
nipc_error_t nipc_cgroups_resp_decode(const void *buf, size_t len, nipc_cgroups_resp_view_t *out);

/*
 * Reads item `index`, counted from 0.
 *
 * The view need not come from nipc_cgroups_resp_decode(): everything is checked again.
 * NIPC_ERR_OUT_OF_BOUNDS for index >= item_count or strings outside their item, _BAD_LAYOUT,
 * _TRUNCATED, _BAD_ALIGNMENT, _MISSING_NUL.
 */
nipc_error_t nipc_cgroups_resp_item(const nipc_cgroups_resp_view_t *view, uint32_t index,
                                    nipc_cgroups_item_view_t *out);

/* ---- Writing a reply ----------------------------------------------------------------------- */

/* A reply being written. The members are the builder's whole state. */
typedef struct {
    uint8_t *buf; /* the caller's, borrowed until finish */
    size_t buf_len;
    uint32_t systemd_enabled;
    uint64_t generation;
    uint32_t item_count; /* items added */
    uint32_t max_items;  /* entries reserved */
    nipc_error_t error;  /* the first failure of nipc_cgroups_builder_add(); it stays */
    size_t data_offset;  /* where the next item may start */
} nipc_cgroups_builder_t;

/* Sets what the reply says of the whole table. A handler calls this: both are 0 before. */
void nipc_cgroups_builder_set_header(nipc_cgroups_builder_t *builder, uint32_t systemd_enabled,
                                     uint64_t generation);

/*
 * Appends one cgroup. Empty strings are allowed; the bytes are copied.
 *
 * NIPC_ERR_OVERFLOW if max_items are in or it does not fit. The builder remembers it: a handler may
 * ignore the result and go on, the reply is then refused as a whole and the client comes back with
 * room for a larger one.
 */
nipc_error_t nipc_cgroups_builder_add(nipc_cgroups_builder_t *builder, uint32_t hash,
                                      uint32_t options, uint32_t enabled, const char *name,
                                      uint32_t name_len, const char *path, uint32_t path_len);

/* Starts a reply in buf with room for max_items directory entries. */
void nipc_cgroups_builder_init(nipc_cgroups_builder_t *builder, void *buf, size_t buf_len,
                               uint32_t max_items, uint32_t systemd_enabled, uint64_t generation);

/* Closes the reply and returns its length: 24 for no items, 0 if not even those fit. */
size_t nipc_cgroups_builder_finish(nipc_cgroups_builder_t *builder);

/* How many items a buffer holds if their strings are short: (buf_len - 24) / 48, 0 up to 24. */
uint32_t nipc_cgroups_builder_estimate_max_items(size_t buf_len);

/* ---- The request, and a reply as it lies on the wire ---------------------------------------- */

typedef struct {
    uint16_t layout_version; /* 1 */
    uint16_t flags;          /* 0 */
} nipc_cgroups_req_t;

typedef struct {
    uint16_t layout_version;
    uint16_t flags;
    uint32_t item_count;
    uint32_t systemd_enabled;
    uint32_t reserved;
    uint64_t generation;
} nipc_cgroups_resp_header_t;

/* Writes the 4 bytes of a request. Returns 4, or 0. */
size_t nipc_cgroups_req_encode(const nipc_cgroups_req_t *request, void *buf, size_t buf_len);

/* Reads a request. NIPC_ERR_TRUNCATED; _BAD_LAYOUT for another layout_version or flags. */
nipc_error_t nipc_cgroups_req_decode(const void *buf, size_t buf_len, nipc_cgroups_req_t *out);

/*
 * Answers one request: fills the builder and returns true, or false if it cannot.
 *
 * `user` is what was registered. Managed servers call handlers from several threads at once. A
 * handler must return; it must not throw, longjmp or end its thread.
 */
typedef bool (*nipc_cgroups_handler_fn)(void *user, const nipc_cgroups_req_t *request,
                                        nipc_cgroups_builder_t *builder);

/*
 * Reads a request, lets the handler answer it into resp, and sets *resp_len to the reply's length.
 *
 * The builder's error comes first, whatever the handler returned; NIPC_ERR_HANDLER_FAILED if it
 * returned false without one; the errors of nipc_cgroups_req_decode().
 */
nipc_error_t nipc_dispatch_cgroups_snapshot(const uint8_t *req, size_t req_len, uint8_t *resp,
                                            size_t resp_size, size_t *resp_len,
                                            uint32_t max_items, nipc_cgroups_handler_fn handler,
                                            void *user);

#ifdef __cplusplus
}
#endif

#endif
