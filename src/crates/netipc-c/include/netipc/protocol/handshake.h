/*
 * protocol/handshake.h - the two messages that open a session: what a client offers, what a server
 * grants (PROTOCOL.md, section 10).
 *
 * Include netipc/netipc_protocol.h. nipc_uds_connect() and nipc_uds_accept() exchange these for you.
 */
#ifndef NETIPC_PROTOCOL_HANDSHAKE_H
#define NETIPC_PROTOCOL_HANDSHAKE_H

#include "netipc/protocol/envelope.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NIPC_HELLO_WIRE_SIZE 44u /* sizeof(nipc_hello_t) is 48: do not send the struct */

/* What a client offers. */
typedef struct {
    uint16_t layout_version; /* 1 */
    uint16_t flags;          /* 0 */
    uint32_t supported_profiles;
    uint32_t preferred_profiles;
    uint32_t max_request_payload_bytes;
    uint32_t max_request_batch_items;
    uint32_t max_response_payload_bytes; /* a hint: the server decides */
    uint32_t max_response_batch_items;   /* a hint */
    uint32_t _reserved;                  /* 0 */
    uint64_t auth_token;
    uint32_t packet_size;
} nipc_hello_t;

/* What a server grants; both sides use exactly this. */
typedef struct {
    uint16_t layout_version; /* 1 */
    uint16_t flags;          /* 0 */
    uint32_t server_supported_profiles;
    uint32_t intersection_profiles;
    uint32_t selected_profile; /* one bit */
    uint32_t agreed_max_request_payload_bytes;
    uint32_t agreed_max_request_batch_items;
    uint32_t agreed_max_response_payload_bytes;
    uint32_t agreed_max_response_batch_items;
    uint32_t agreed_packet_size;
    uint32_t _reserved; /* 0 */
    uint64_t session_id;
} nipc_hello_ack_t;

/* Writes the 44 bytes of a HELLO payload, every field as given. Returns 44, or 0. */
size_t nipc_hello_encode(const nipc_hello_t *hello, void *buf, size_t buf_len);

/* Reads a HELLO payload. NIPC_ERR_TRUNCATED; _BAD_LAYOUT for another layout_version or a reserved
   word that is not 0. The flags are left to the caller to judge. */
nipc_error_t nipc_hello_decode(const void *buf, size_t buf_len, nipc_hello_t *out);

/* Writes the 48 bytes of a HELLO_ACK payload, every field as given. Returns 48, or 0. */
size_t nipc_hello_ack_encode(const nipc_hello_ack_t *ack, void *buf, size_t buf_len);

/* Reads a HELLO_ACK payload. NIPC_ERR_TRUNCATED; _BAD_LAYOUT for another layout_version or flags.
   The reserved word is not looked at. */
nipc_error_t nipc_hello_ack_decode(const void *buf, size_t buf_len, nipc_hello_ack_t *out);

#ifdef __cplusplus
}
#endif

#endif
