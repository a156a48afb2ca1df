/*
 * link.h - whole messages over whatever was agreed on: a socket or a pipe, a region of shared
 * memory, or rings, which the functions of sessions use by themselves.
 */
#ifndef NETIPC_INTEROP_LINK_H
#define NETIPC_INTEROP_LINK_H

#include "peer.h"

enum {
    LINK_MOST = 1 << 20, /* the longest payload */
};

struct link {
    nipc_transport_session_t session;
    nipc_transport_shm_t shm; /* open if `in_region` */
    bool in_region;
    uint8_t *message; /* of NIPC_HEADER_LEN + LINK_MOST bytes: the last one through the region */
};

/* What receiving came to. */
enum received { MESSAGE, GONE, FAILED };

bool link_listen(nipc_transport_listener_t *listener, const struct meeting *meeting);
/* Says READY and waits for a client. To be closed whatever it returns. */
bool link_accept(struct link *link, const struct meeting *meeting, nipc_transport_listener_t *listener);
void link_close_listener(nipc_transport_listener_t *listener);

/* To be closed whatever it returns. */
bool link_connect(struct link *link, const struct meeting *meeting);

bool link_send(struct link *link, nipc_header_t *header, const uint8_t *payload, size_t len);
/* The payload stays until the next call. */
enum received link_receive(struct link *link, nipc_header_t *header, const uint8_t **payload,
                           size_t *len);
void link_close(struct link *link);

#endif
