/*
 * One INCREMENT a call. Typed clients in C have no such call, so the client is a session of its own,
 * or for the published shared memory a region.
 */
#include "peer.h"

#include <string.h>

enum { LIMIT_MS = 10000, MESSAGE = NIPC_HEADER_LEN + NIPC_INCREMENT_PAYLOAD_SIZE };

static bool next(void *user, uint64_t request, uint64_t *response)
{
    (void)user;
    *response = request + 1;
    return true;
}

static nipc_error_t answer(void *user, const nipc_header_t *header, const uint8_t *request,
                           size_t request_len, uint8_t *response, size_t size, size_t *len)
{
    (void)header;
    return nipc_dispatch_increment(request, request_len, response, size, len, next, user)
               ? NIPC_OK : NIPC_ERR_HANDLER_FAILED;
}

bool increment_serve(const struct bench *bench)
{
    nipc_uds_server_config_t config = {
        .supported_profiles = profiles(bench), .preferred_profiles = profiles(bench),
    };
    nipc_managed_server_t server;
    if (nipc_server_init(&server, bench->dir, bench->service, &config, bench->workers,
                         NIPC_METHOD_INCREMENT, answer, NULL) != NIPC_OK)
        return fail("%s", nipc_last_error());
    return run(&server);
}

struct caller {
    nipc_uds_session_t session;
    nipc_shm_ctx_t shm;
    uint64_t number, id;
};

static bool check(struct caller *caller, const nipc_header_t *header, const void *payload, size_t len)
{
    uint64_t answer;
    if (header->message_id != caller->id || header->transport_status != NIPC_STATUS_OK ||
        nipc_increment_decode(payload, len, &answer) != NIPC_OK || answer != caller->number + 1)
        return fail("%llu was answered wrongly", (unsigned long long)caller->number);
    caller->number = answer;
    return true;
}

static nipc_header_t request_of(struct caller *caller)
{
    nipc_header_t header = {
        .magic = NIPC_MAGIC_MSG, .version = NIPC_VERSION, .header_len = NIPC_HEADER_LEN,
        .kind = NIPC_KIND_REQUEST, .code = NIPC_METHOD_INCREMENT,
        .payload_len = NIPC_INCREMENT_PAYLOAD_SIZE, .item_count = 1, .message_id = ++caller->id,
    };
    return header;
}

static bool call_in_session(void *user)
{
    struct caller *caller = user;
    uint8_t payload[NIPC_INCREMENT_PAYLOAD_SIZE], packet[256];
    nipc_header_t header = request_of(caller);
    const void *answer;
    size_t len;
    nipc_increment_encode(caller->number, payload, sizeof payload);
    if (nipc_uds_send(&caller->session, &header, payload, sizeof payload) != NIPC_UDS_OK ||
        nipc_uds_receive_timeout(&caller->session, packet, sizeof packet, &header, &answer, &len,
                                 LIMIT_MS, -1) != NIPC_UDS_OK)
        return fail("%s", nipc_last_error());
    return check(caller, &header, answer, len);
}

static bool call_in_region(void *user)
{
    struct caller *caller = user;
    uint8_t message[256];
    nipc_header_t header = request_of(caller);
    size_t len;
    nipc_header_encode(&header, message, sizeof message);
    nipc_increment_encode(caller->number, message + NIPC_HEADER_LEN, NIPC_INCREMENT_PAYLOAD_SIZE);
    if (nipc_shm_send(&caller->shm, message, MESSAGE) != NIPC_SHM_OK ||
        nipc_shm_receive(&caller->shm, message, sizeof message, &len, LIMIT_MS) != NIPC_SHM_OK)
        return fail("%s", nipc_last_error());
    if (nipc_header_decode(message, len, &header) != NIPC_OK)
        return fail("no message: %s", nipc_last_error());
    return check(caller, &header, message + NIPC_HEADER_LEN, len - NIPC_HEADER_LEN);
}

bool increment_call(const struct bench *bench)
{
    nipc_uds_client_config_t config = {
        .supported_profiles = profiles(bench), .preferred_profiles = profiles(bench),
    };
    struct caller caller;
    memset(&caller, 0, sizeof caller);
    if (nipc_uds_connect(bench->dir, bench->service, &config, &caller.session) != NIPC_UDS_OK)
        return fail("%s", nipc_last_error());
    bool in_region = bench->transport == REGION;
    bool good = caller.session.selected_profile == profile(bench) ||
                fail("the session is over another transport");
    if (good && in_region &&
        nipc_shm_client_attach(bench->dir, bench->service, caller.session.session_id,
                               &caller.shm) != NIPC_SHM_OK)
        good = fail("%s", nipc_last_error());
    good = good && measure(bench, in_region ? call_in_region : call_in_session, &caller);
    nipc_shm_close(&caller.shm);
    nipc_uds_close_session(&caller.session);
    return good;
}
