/*
 * Messages of any content: sessions without a service, over a socket or through shared memory.
 */
#include "link.h"

#include <stdlib.h>
#include <string.h>

enum {
    CODE = 1000,
    MOST = LINK_MOST,
    MOST_DEPTH = 64,
};

/* Lengths around those where a message takes another packet. */
static const size_t lengths[] = {0, 1, 31, 4064, 4065, 8128, 8129, 65504, 300000, MOST};

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

static bool serve_one(const struct meeting *meeting, nipc_transport_listener_t *listener)
{
    uint64_t depth = strcmp(meeting->scenario, "pipeline") == 0 ? meeting->depth : 1;
    struct link link;
    if (depth > MOST_DEPTH)
        return fail("a depth of at most %d is known here", MOST_DEPTH);
    enum received received = FAILED;
    if (link_accept(&link, meeting, listener))
        do
            received = echo_some(&link, depth);
        while (received == MESSAGE);
    link_close(&link);
    return received == GONE;
}

bool messages_serve(const struct meeting *meeting)
{
    nipc_transport_listener_t listener;
    if (!link_listen(&listener, meeting))
        return false;
    bool served = serve_one(meeting, &listener);
    link_close_listener(&listener);
    if (served)
        wait_for_the_end();
    return served;
}

/* ---- The clients ------------------------------------------------------------------------------- */

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
