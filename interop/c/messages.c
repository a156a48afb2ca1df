/*
 * Messages of any content: sessions without a service, over a socket or through shared memory.
 */
#include "peer.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

enum {
    LIMIT_MS = 20000,
    SLICE_MS = 50, /* how often the socket is looked at while shared memory is waited on */
    CODE = 1000,
    PACKET = 4096,
    MOST = 1 << 20, /* the longest payload */
    MOST_DEPTH = 64,
};

/* Lengths around those where a message takes another packet. */
static const size_t lengths[] = {0, 1, 31, 4064, 4065, 8128, 8129, 65504, 300000, MOST};

/* Whole messages over whatever was agreed on. */
struct link {
    nipc_uds_session_t session;
    nipc_shm_ctx_t shm; /* open if `shared` */
    bool shared;
    uint8_t *message; /* of NIPC_HEADER_LEN + MOST bytes: the last one through shared memory */
};

static bool link_send(struct link *link, nipc_header_t *header, const uint8_t *payload, size_t len)
{
    if (!link->shared) {
        nipc_uds_error_t error = nipc_uds_send(&link->session, header, payload, len);
        return error == NIPC_UDS_OK || fail("send: %s", nipc_last_error());
    }
    header->magic = NIPC_MAGIC_MSG;
    header->version = NIPC_VERSION;
    header->header_len = NIPC_HEADER_LEN;
    header->payload_len = (uint32_t)len;
    nipc_header_encode(header, link->message, NIPC_HEADER_LEN);
    if (len > 0)
        memcpy(link->message + NIPC_HEADER_LEN, payload, len);
    nipc_shm_error_t error = nipc_shm_send(&link->shm, link->message, NIPC_HEADER_LEN + len);
    return error == NIPC_SHM_OK || fail("send: %s", nipc_last_error());
}

static bool peer_gone(const struct link *link)
{
    struct pollfd fd = {.fd = nipc_uds_session_fd(&link->session), .events = POLLIN};
    return poll(&fd, 1, 0) == 1; /* nothing but its end comes over this socket */
}

/* What receiving came to. */
enum received { MESSAGE, GONE, FAILED };

static enum received receive_shared(struct link *link, nipc_header_t *header, size_t *len)
{
    for (int waited = 0; waited < LIMIT_MS; waited += SLICE_MS) {
        bool gone = peer_gone(link); /* before looking: it may have sent something just before */
        size_t size;
        nipc_shm_error_t error = nipc_shm_receive(&link->shm, link->message,
                                                  NIPC_HEADER_LEN + MOST, &size, SLICE_MS);
        if (error == NIPC_SHM_OK) {
            if (nipc_header_decode(link->message, size, header) != NIPC_OK ||
                header->payload_len != size - NIPC_HEADER_LEN) {
                fail("receive: not a message");
                return FAILED;
            }
            *len = size - NIPC_HEADER_LEN;
            return MESSAGE;
        }
        if (error != NIPC_SHM_ERR_TIMEOUT) {
            fail("receive: %s", nipc_last_error());
            return FAILED;
        }
        if (gone)
            return GONE;
    }
    fail("receive: nothing came");
    return FAILED;
}

static enum received link_receive(struct link *link, nipc_header_t *header, const uint8_t **payload,
                                  size_t *len)
{
    if (link->shared) {
        *payload = link->message + NIPC_HEADER_LEN;
        return receive_shared(link, header, len);
    }
    const void *at;
    nipc_uds_error_t error =
        nipc_uds_receive_timeout(&link->session, NULL, 0, header, &at, len, LIMIT_MS, -1);
    if (error == NIPC_UDS_ERR_RECV)
        return GONE;
    if (error != NIPC_UDS_OK) {
        fail("receive: %s", nipc_last_error());
        return FAILED;
    }
    *payload = at;
    return MESSAGE;
}

static void link_close(struct link *link)
{
    if (link->shared && link->shm.role == NIPC_SHM_ROLE_SERVER)
        nipc_shm_destroy(&link->shm);
    else if (link->shared)
        nipc_shm_close(&link->shm);
    nipc_uds_close_session(&link->session);
    free(link->message);
}

/* ---- The server -------------------------------------------------------------------------------- */

struct taken {
    nipc_header_t header;
    uint8_t *payload;
    size_t len;
};

/* Takes `depth` requests and answers them, the last one first. */
static enum received echo_some(struct link *link, uint64_t depth)
{
    struct taken taken[MOST_DEPTH];
    uint64_t count = 0;
    enum received received = MESSAGE;
    while (count < depth) {
        struct taken *one = &taken[count];
        const uint8_t *payload;
        received = link_receive(link, &one->header, &payload, &one->len);
        if (received != MESSAGE)
            break;
        one->payload = malloc(one->len + 1);
        if (!one->payload) {
            fail("no memory");
            received = FAILED;
            break;
        }
        memcpy(one->payload, payload, one->len);
        count++;
    }
    while (count > 0) {
        struct taken *one = &taken[--count];
        one->header.kind = NIPC_KIND_RESPONSE;
        if (received == MESSAGE && !link_send(link, &one->header, one->payload, one->len))
            received = FAILED;
        free(one->payload);
    }
    return received;
}

/* Opens both ends of a session that was agreed on. */
static bool link_open(struct link *link)
{
    link->message = malloc(NIPC_HEADER_LEN + MOST);
    return link->message != NULL || fail("no memory");
}

static bool serve_one(const struct meeting *meeting, nipc_uds_listener_t *listener)
{
    const uint64_t id = 1;
    uint64_t depth = strcmp(meeting->scenario, "pipeline") == 0 ? meeting->depth : 1;
    struct link link = {.shared = meeting->shared, .session = {.fd = -1}};
    if (depth > MOST_DEPTH)
        return fail("a depth of at most %d is known here", MOST_DEPTH);
    /* A client that is accepted may look for the shared memory at once. */
    if (link.shared &&
        nipc_shm_server_create(meeting->dir, meeting->service, id, NIPC_HEADER_LEN + MOST,
                               NIPC_HEADER_LEN + MOST, &link.shm) != NIPC_SHM_OK)
        return fail("shared memory: %s", nipc_last_error());
    say("READY");
    enum received received = FAILED;
    if (nipc_uds_accept(listener, id, &link.session) != NIPC_UDS_OK)
        fail("accept: %s", nipc_last_error());
    else if (link_open(&link))
        do
            received = echo_some(&link, depth);
        while (received == MESSAGE);
    link_close(&link);
    return received == GONE;
}

bool messages_serve(const struct meeting *meeting)
{
    nipc_uds_server_config_t config = {
        .supported_profiles = profiles(meeting), .preferred_profiles = profiles(meeting),
        .max_request_payload_bytes = MOST, .max_response_payload_bytes = MOST,
        .max_request_batch_items = 16, .max_response_batch_items = 16, .packet_size = PACKET,
    };
    nipc_uds_listener_t listener;
    if (nipc_uds_listen(meeting->dir, meeting->service, &config, &listener) != NIPC_UDS_OK)
        return fail("%s", nipc_last_error());
    bool served = serve_one(meeting, &listener);
    nipc_uds_close_listener(&listener);
    if (served)
        wait_for_the_end();
    return served;
}

/* ---- The clients ------------------------------------------------------------------------------- */

static bool link_connect(struct link *link, const struct meeting *meeting)
{
    nipc_uds_client_config_t config = {
        .supported_profiles = profiles(meeting), .preferred_profiles = profiles(meeting),
        .max_request_payload_bytes = MOST, .max_response_payload_bytes = MOST,
        .max_request_batch_items = 16, .max_response_batch_items = 16, .packet_size = PACKET,
    };
    memset(link, 0, sizeof *link);
    if (nipc_uds_connect(meeting->dir, meeting->service, &config, &link->session) != NIPC_UDS_OK)
        return fail("%s", nipc_last_error());
    if ((link->session.selected_profile != NIPC_PROFILE_BASELINE) != meeting->shared ||
        link->session.packet_size != PACKET)
        return fail("another transport or packet size was agreed on");
    if (meeting->shared) {
        if (nipc_shm_client_attach(meeting->dir, meeting->service, link->session.session_id,
                                   &link->shm) != NIPC_SHM_OK)
            return fail("%s", nipc_last_error());
        link->shared = true;
    }
    return link_open(link);
}

static nipc_header_t request_of(uint64_t id)
{
    nipc_header_t header = {
        .kind = NIPC_KIND_REQUEST, .code = CODE, .item_count = 1, .message_id = id,
    };
    return header;
}

static bool expect(struct link *link, const nipc_header_t *request, const uint8_t *payload, size_t len)
{
    nipc_header_t header;
    const uint8_t *got;
    size_t got_len;
    unsigned long long id = request->message_id;
    switch (link_receive(link, &header, &got, &got_len)) {
    case FAILED:
        return false;
    case GONE:
        return fail("the server hung up before it answered %llu", id);
    case MESSAGE:
        break;
    }
    if (header.kind != NIPC_KIND_RESPONSE || header.flags != request->flags ||
        header.code != CODE || header.transport_status != NIPC_STATUS_OK ||
        header.item_count != request->item_count || header.message_id != id)
        return fail("%llu was answered with kind %u, code %u, flags %u, status %u, %u items, id %llu",
                    id, header.kind, header.code, header.flags, header.transport_status,
                    header.item_count, (unsigned long long)header.message_id);
    if (got_len != len || memcmp(got, payload, len) != 0)
        return fail("%llu came back with another payload", id);
    return true;
}

static bool echo_batch(struct link *link)
{
    static const size_t sizes[] = {1, 7, 8};
    uint8_t batch[256];
    uint32_t count;
    nipc_batch_builder_t builder;
    nipc_batch_builder_init(&builder, batch, sizeof batch, 3);
    for (size_t i = 0; i < 3; i++) {
        uint8_t item[8];
        payload_of(sizes[i], item, sizes[i]);
        if (nipc_batch_builder_add(&builder, item, sizes[i]) != NIPC_OK)
            return fail("a batch: %s", nipc_last_error());
    }
    size_t len = nipc_batch_builder_finish(&builder, &count);
    nipc_header_t header = request_of(100);
    header.flags = NIPC_FLAG_BATCH;
    header.item_count = count;
    return link_send(link, &header, batch, len) && expect(link, &header, batch, len);
}

bool messages_echo(const struct meeting *meeting)
{
    struct link link;
    uint8_t *payload = malloc(MOST);
    bool good = link_connect(&link, meeting) && (payload || fail("no memory"));
    for (size_t i = 0; good && i < sizeof lengths / sizeof *lengths; i++) {
        nipc_header_t header = request_of(i + 1);
        payload_of(i + 1, payload, lengths[i]);
        good = link_send(&link, &header, payload, lengths[i]) &&
               expect(&link, &header, payload, lengths[i]);
    }
    good = good && echo_batch(&link);
    link_close(&link);
    free(payload);
    return good;
}

bool messages_pipeline(const struct meeting *meeting)
{
    struct link link;
    uint8_t payload[9000];
    uint64_t depth = meeting->depth;
    bool good = link_connect(&link, meeting);
    for (uint64_t round = 0; good && round < meeting->rounds; round++) {
        for (uint64_t id = round * depth + 1; good && id <= (round + 1) * depth; id++) {
            nipc_header_t header = request_of(id);
            payload_of(id, payload, id * 523 % 9000);
            good = link_send(&link, &header, payload, id * 523 % 9000);
        }
        for (uint64_t id = (round + 1) * depth; good && id > round * depth; id--) {
            nipc_header_t header = request_of(id);
            payload_of(id, payload, id * 523 % 9000);
            good = expect(&link, &header, payload, id * 523 % 9000);
        }
    }
    link_close(&link);
    return good;
}
