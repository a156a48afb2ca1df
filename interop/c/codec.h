/*
 * codec.h - messages as codec.c handles them; those of lookups are in codec_lookups.c.
 */
#ifndef NETIPC_INTEROP_CODEC_H
#define NETIPC_INTEROP_CODEC_H

#include <stddef.h>
#include <stdint.h>

enum { MOST = 4096, LOOKUP_MESSAGES = 7 };

/* One message: writes it from its values, or reads `in` and writes what was read. Both return the
   length of what stands in `out`, or 0. */
struct message {
    const char *name;
    size_t (*write)(uint8_t out[MOST]);
    size_t (*again)(const uint8_t *in, size_t len, uint8_t out[MOST]);
};

extern const struct message lookup_messages[LOOKUP_MESSAGES];

#endif
