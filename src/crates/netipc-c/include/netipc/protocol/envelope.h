/*
 * protocol/envelope.h - the header in front of every message, its codes, and what surrounds payloads.
 *
 * Include netipc/netipc_protocol.h, which states the rules common to all of these functions.
 */
#ifndef NETIPC_PROTOCOL_ENVELOPE_H
#define NETIPC_PROTOCOL_ENVELOPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Errors ------------------------------------------------------------------------------- */

/* What a function of the protocol or service headers reports. */
typedef enum {
    NIPC_OK = 0,                 /* done */
    NIPC_ERR_TRUNCATED = 1,      /* fewer bytes than the layout needs; of a call: the peer hung up
                                    or broke the protocol */
    NIPC_ERR_BAD_MAGIC = 2,      /* not a netipc message */
    NIPC_ERR_BAD_VERSION = 3,    /* another version of the protocol */
    NIPC_ERR_BAD_HEADER_LEN = 4, /* header_len is not 32 */
    NIPC_ERR_BAD_KIND = 5,       /* kind is unknown, or not the one expected here */
    NIPC_ERR_BAD_LAYOUT = 6,     /* a reserved field, flag or value that the layout forbids; an
                                    argument that cannot be used; of a call: the server refused */
    NIPC_ERR_OUT_OF_BOUNDS = 7,  /* an offset, length or index points outside */
    NIPC_ERR_MISSING_NUL = 8,    /* a string does not end with NUL */
    NIPC_ERR_BAD_ALIGNMENT = 9,  /* an item does not start at a multiple of 8 */
    NIPC_ERR_BAD_ITEM_COUNT = 10, /* too many items, or not one answer per key */
    NIPC_ERR_OVERFLOW = 11,      /* does not fit the buffer, the agreed limit or the memory */
    NIPC_ERR_HANDLER_FAILED = 12, /* the handler returned false */
    NIPC_ERR_NOT_READY = 13,     /* the client has no session, or could not send */
    NIPC_ERR_TIMEOUT = 14,       /* the deadline of the call passed */
    NIPC_ERR_ABORTED = 15        /* nipc_client_abort() was called */
} nipc_error_t;

/* The name of an error without its prefix, such as "BAD_LAYOUT"; "unknown" for any other number.
   The string is static. */
const char *nipc_error_name(nipc_error_t error);

/*
 * Says in words why the last failed netipc function of this thread failed: what was tried, on what,
 * and the system's reason, as in "connect to /run/x/y.sock: connection refused".
 *
 * Never NULL; empty if nothing failed yet. The string belongs to the thread and changes with its
 * next failure. It is for people and logs: programs decide by the returned codes.
 */
const char *nipc_last_error(void);

/* ---- The envelope header (PROTOCOL.md, section 4) ---------------------------------------- */

#define NIPC_MAGIC_MSG 0x4e495043u
#define NIPC_VERSION 1u
#define NIPC_HEADER_LEN 32u

/* header.kind */
#define NIPC_KIND_REQUEST 1u
#define NIPC_KIND_RESPONSE 2u
#define NIPC_KIND_CONTROL 3u /* the handshake */

/* header.flags: the payload is a batch of header.item_count items. Other bits are written as 0 and
   ignored. */
#define NIPC_FLAG_BATCH 0x0001u

/* header.transport_status of a response or a HELLO_ACK; 0 in requests */
#define NIPC_STATUS_OK 0u
#define NIPC_STATUS_BAD_ENVELOPE 1u   /* the request could not be read */
#define NIPC_STATUS_AUTH_FAILED 2u    /* another auth_token is expected */
#define NIPC_STATUS_INCOMPATIBLE 3u   /* another version or layout */
#define NIPC_STATUS_UNSUPPORTED 4u    /* no common profile; a method not served here */
#define NIPC_STATUS_LIMIT_EXCEEDED 5u /* larger than agreed */
#define NIPC_STATUS_INTERNAL_ERROR 6u /* the handler failed */

/* header.code of a CONTROL message */
#define NIPC_CODE_HELLO 1u
#define NIPC_CODE_HELLO_ACK 2u

/* header.code of a request or response: the method */
#define NIPC_METHOD_INCREMENT 1u
#define NIPC_METHOD_CGROUPS_SNAPSHOT 2u
#define NIPC_METHOD_STRING_REVERSE 3u
#define NIPC_METHOD_CGROUPS_LOOKUP 4u
#define NIPC_METHOD_APPS_LOOKUP 5u

/* Profiles: the ways to carry messages, one bit each, or-ed into a set. */
#define NIPC_PROFILE_BASELINE 0x01u     /* a SOCK_SEQPACKET socket (Windows: a named pipe) */
#define NIPC_PROFILE_SHM_HYBRID 0x02u   /* shared memory: spin shortly, then sleep */
#define NIPC_PROFILE_SHM_FUTEX 0x04u    /* on Linux the same as SHM_HYBRID */
#define NIPC_PROFILE_SHM_WAITADDR 0x08u /* reserved, do not offer */
#define NIPC_PROFILE_RING 0x10u         /* rings in shared memory: many messages under way, no files;
                                           Linux only, ignored elsewhere (PROTOCOL.md, section 27) */

/* What to put into supported_profiles and preferred_profiles for the best shared memory that both sides
   have, and the socket where they have none. */
#define NIPC_PROFILES_SHARED_MEMORY \
    (NIPC_PROFILE_BASELINE | NIPC_PROFILE_SHM_HYBRID | NIPC_PROFILE_RING)

/* Payload limits in bytes, the 32 bytes of the header not counted. */
#define NIPC_MAX_PAYLOAD_DEFAULT 1024u /* of a limit configured as 0 */
#define NIPC_MAX_PAYLOAD_CAP 1048576u  /* how far such a limit grows by itself */

#define NIPC_ALIGNMENT 8u /* items start at multiples of this */

/* One header as it lies on the wire. */
typedef struct {
    uint32_t magic;
    uint16_t version;
    uint16_t header_len;
    uint16_t kind;
    uint16_t flags;
    uint16_t code;
    uint16_t transport_status;
    uint32_t payload_len; /* bytes behind the header */
    uint32_t item_count;  /* 1, or the number of items of a batch */
    uint64_t message_id;  /* chosen by the client, echoed by the server */
} nipc_header_t;

/* Writes the 32 bytes of a header, every field as given. Returns 32, or 0. */
size_t nipc_header_encode(const nipc_header_t *header, void *buf, size_t buf_len);

/*
 * Reads a header and checks magic, version, header_len and kind, in this order, and nothing else:
 * limits are the session's business.
 *
 * NIPC_ERR_TRUNCATED below 32 bytes; NIPC_ERR_BAD_MAGIC, _BAD_VERSION, _BAD_HEADER_LEN, _BAD_KIND.
 * `out` is filled on every error but TRUNCATED, so that a refusal can name what came.
 */
nipc_error_t nipc_header_decode(const void *buf, size_t buf_len, nipc_header_t *out);

/* v rounded up to a multiple of 8; wraps to 0 for the last 7 values. */
size_t nipc_align8(size_t v);

/* ---- Messages larger than a packet (PROTOCOL.md, section 6) --------------------------------- */

#define NIPC_MAGIC_CHUNK 0x4e43484bu

/* The header of every packet of a message but the first. */
typedef struct {
    uint32_t magic;
    uint16_t version;
    uint16_t flags;
    uint64_t message_id;
    uint32_t total_message_len; /* 32 + payload_len of the whole message */
    uint32_t chunk_index;       /* the first of these packets has 1 */
    uint32_t chunk_count;       /* packets of the message, the first one counted */
    uint32_t chunk_payload_len; /* bytes behind this header */
} nipc_chunk_header_t;

/* Writes the 32 bytes of a chunk header, every field as given. Returns 32, or 0. */
size_t nipc_chunk_header_encode(const nipc_chunk_header_t *chunk, void *buf, size_t buf_len);

/*
 * Reads a chunk header. Whether it continues the message at hand is for nipc_uds_receive() to check.
 *
 * NIPC_ERR_TRUNCATED, _BAD_MAGIC, _BAD_VERSION; _BAD_LAYOUT for flags or an empty part.
 */
nipc_error_t nipc_chunk_header_decode(const void *buf, size_t buf_len, nipc_chunk_header_t *out);

/* ---- Batches (PROTOCOL.md, section 5) ------------------------------------------------------ */

/* Where an item of a batch lies, counted from the end of the directory. */
typedef struct {
    uint32_t offset; /* a multiple of 8 */
    uint32_t length; /* exact, without padding; may be 0 */
} nipc_batch_entry_t;

/* Writes a directory of item_count entries. Returns item_count * 8, or 0. */
size_t nipc_batch_dir_encode(const nipc_batch_entry_t *entries, uint32_t item_count, void *buf,
                             size_t buf_len);

/*
 * Reads a directory into out[item_count] and checks it against the packed_area_len bytes behind it.
 * Entries may overlap.
 *
 * NIPC_ERR_BAD_ITEM_COUNT if item_count * 8 overflows, _TRUNCATED, _BAD_ALIGNMENT, _OUT_OF_BOUNDS.
 * On an error `out` is left as it was.
 */
nipc_error_t nipc_batch_dir_decode(const void *buf, size_t buf_len, uint32_t item_count,
                                   uint32_t packed_area_len, nipc_batch_entry_t *out);

/* The checks of nipc_batch_dir_decode() without an output. */
nipc_error_t nipc_batch_dir_validate(const void *buf, size_t buf_len, uint32_t item_count,
                                     uint32_t packed_area_len);

/*
 * Points *item at item `index` of a batch payload. The item borrows the payload.
 *
 * NIPC_ERR_OUT_OF_BOUNDS for index >= item_count or an entry that points outside, _TRUNCATED,
 * _BAD_ALIGNMENT.
 */
nipc_error_t nipc_batch_item_get(const void *payload, size_t payload_len, uint32_t item_count,
                                 uint32_t index, const void **item, uint32_t *item_len);

/* A batch payload being written. The members are the builder's whole state. */
typedef struct {
    uint8_t *buf;        /* the caller's, borrowed until finish */
    size_t buf_len;
    uint32_t item_count; /* items added */
    uint32_t max_items;  /* entries reserved */
    size_t dir_end;      /* where the reserved directory ends */
    size_t data_offset;  /* where the next item may start, counted from dir_end */
} nipc_batch_builder_t;

/* Starts a batch with room for max_items directory entries at the front of buf. */
void nipc_batch_builder_init(nipc_batch_builder_t *builder, void *buf, size_t buf_len,
                             uint32_t max_items);

/* Appends one item. NIPC_ERR_OVERFLOW if max_items are in or it does not fit; the builder can go
   on with a smaller item then. */
nipc_error_t nipc_batch_builder_add(nipc_batch_builder_t *builder, const void *item,
                                    size_t item_len);

/* Closes the gap of unused entries and returns the length of the payload; 0 if nothing can stand
   in the buffer. *item_count_out, where not NULL, gets the number of items. */
size_t nipc_batch_builder_finish(nipc_batch_builder_t *builder, uint32_t *item_count_out);

#ifdef __cplusplus
}
#endif

#endif
