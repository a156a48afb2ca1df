/*
 * protocol/samples.h - increment and string-reverse, two services for tests and benchmarks
 * (PROTOCOL.md, sections 14 and 15).
 *
 * Include netipc/netipc_protocol.h.
 */
#ifndef NETIPC_PROTOCOL_SAMPLES_H
#define NETIPC_PROTOCOL_SAMPLES_H

#include "netipc/protocol/envelope.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NIPC_INCREMENT_PAYLOAD_SIZE 8u
#define NIPC_STRING_REVERSE_HDR_SIZE 8u

/* ---- increment: a number, and the next number ------------------------------------------------ */

/* Writes the 8 bytes of a request or a reply. Returns 8, or 0. */
size_t nipc_increment_encode(uint64_t value, void *buf, size_t buf_len);

/* Reads a request or a reply. NIPC_ERR_TRUNCATED below 8 bytes. */
nipc_error_t nipc_increment_decode(const void *buf, size_t buf_len, uint64_t *value);

/* Sets *response and returns true, or returns false. */
typedef bool (*nipc_increment_handler_fn)(void *user, uint64_t request, uint64_t *response);

/* Reads a request, lets the handler answer it into resp, and sets *resp_len. False if any of it
   fails. */
bool nipc_dispatch_increment(const uint8_t *req, size_t req_len, uint8_t *resp, size_t resp_size,
                             size_t *resp_len, nipc_increment_handler_fn handler, void *user);

/* ---- string-reverse: a string, and the string backwards -------------------------------------- */

/* A request or a reply as received. May hold NULs inside. */
typedef struct {
    const char *str;
    uint32_t str_len; /* the NUL behind it is not counted */
} nipc_string_reverse_view_t;

/* Writes a request or a reply of 9 + str_len bytes. Returns its length, or 0. */
size_t nipc_string_reverse_encode(const char *str, uint32_t str_len, void *buf, size_t buf_len);

/* Reads a request or a reply. NIPC_ERR_TRUNCATED, _BAD_LAYOUT, _OUT_OF_BOUNDS, _MISSING_NUL. */
nipc_error_t nipc_string_reverse_decode(const void *buf, size_t buf_len,
                                        nipc_string_reverse_view_t *view);

/* Writes up to response_capacity bytes to response_str, sets *response_str_len and returns true, or
   returns false. */
typedef bool (*nipc_string_reverse_handler_fn)(void *user, const char *request_str,
                                               uint32_t request_str_len, char *response_str,
                                               uint32_t response_capacity,
                                               uint32_t *response_str_len);

/* Reads a request, lets the handler answer it into resp, and sets *resp_len. False if any of it
   fails. */
bool nipc_dispatch_string_reverse(const uint8_t *req, size_t req_len, uint8_t *resp,
                                  size_t resp_size, size_t *resp_len,
                                  nipc_string_reverse_handler_fn handler, void *user);

#ifdef __cplusplus
}
#endif

#endif
