/* The raw server for tests: any method, batches split, and how its errors arrive. */
#define NIPC_INTERNAL_TESTING
#include "netipc/netipc_service.h"

#include "carrier.h"
#include "check.h"

static nipc_error_t increment(void *user, const nipc_header_t *header, const uint8_t *payload,
                              size_t len, uint8_t *resp, size_t resp_size, size_t *resp_len)
{
    uint64_t value;
    (void)user;
    CHECK_EQ(header->code, NIPC_METHOD_INCREMENT);
    CHECK(header->flags == 0 && header->item_count == 1 && header->payload_len == len);
    nipc_error_t error = nipc_increment_decode(payload, len, &value);
    if (error != NIPC_OK)
        return error;
    if (value == 999)
        return NIPC_ERR_HANDLER_FAILED;
    if (value == 998)
        return NIPC_ERR_OVERFLOW;
    *resp_len = nipc_increment_encode(value + 1, resp, resp_size);
    return *resp_len ? NIPC_OK : NIPC_ERR_OVERFLOW;
}

static void *run(void *server)
{
    nipc_server_run(server);
    return NULL;
}

static L1(session_t) connect_to(const char *service)
{
    L1(client_config_t) config = {.max_request_batch_items = 8};
    L1(session_t) session;
    REQUIRE(L1(connect)(check_dir(), service, &config, &session) == L1_CODE(OK));
    return session;
}

static nipc_header_t ask(L1(session_t) *session, uint16_t code, uint16_t flags, uint32_t items,
                         const void *payload, size_t len, const void **answer, size_t *answer_len)
{
    nipc_header_t header = {.kind = NIPC_KIND_REQUEST, .code = code, .flags = flags,
                            .item_count = items, .message_id = 5};
    CHECK_EQ(L1(send)(session, &header, payload, len), L1_CODE(OK));
    CHECK_EQ(L1(receive_timeout)(session, NULL, 0, &header, answer, answer_len, 10000, L1_NO_ABORT),
             L1_CODE(OK));
    CHECK(header.kind == NIPC_KIND_RESPONSE && header.code == code && header.message_id == 5);
    return header;
}

int main(void)
{
    check_test = "raw_server_answers_any_method";
    check_tests = 1;
    nipc_managed_server_t server;
    pthread_t thread;
    L1(server_config_t) config = {.max_request_batch_items = 8};
    REQUIRE(nipc_server_init(&server, check_dir(), "raw", &config, 2, NIPC_METHOD_INCREMENT,
                             increment, NULL) == NIPC_OK);
    pthread_create(&thread, NULL, run, &server);

    const void *answer;
    size_t len;
    uint8_t number[8];
    uint64_t value;
    L1(session_t) session = connect_to("raw");
    nipc_increment_encode(41, number, sizeof number);
    nipc_header_t header = ask(&session, NIPC_METHOD_INCREMENT, 0, 1, number, 8, &answer, &len);
    CHECK_EQ(header.transport_status, NIPC_STATUS_OK);
    CHECK(nipc_increment_decode(answer, len, &value) == NIPC_OK && value == 42);
    header = ask(&session, 77, 0, 1, number, 8, &answer, &len);
    CHECK_EQ(header.transport_status, NIPC_STATUS_UNSUPPORTED);

    uint8_t batch[256];
    uint32_t count;
    nipc_batch_builder_t builder;
    nipc_batch_builder_init(&builder, batch, sizeof batch, 3);
    for (uint64_t i = 0; i < 3; i++) {
        nipc_increment_encode(i * 10, number, sizeof number);
        CHECK_EQ(nipc_batch_builder_add(&builder, number, 8), NIPC_OK);
    }
    size_t size = nipc_batch_builder_finish(&builder, &count);
    header = ask(&session, NIPC_METHOD_INCREMENT, NIPC_FLAG_BATCH, 3, batch, size, &answer, &len);
    CHECK(header.transport_status == NIPC_STATUS_OK && header.item_count == 3);
    CHECK_EQ(header.flags, NIPC_FLAG_BATCH);
    for (uint32_t i = 0; i < 3; i++) {
        const void *item;
        uint32_t item_len;
        CHECK_EQ(nipc_batch_item_get(answer, len, 3, i, &item, &item_len), NIPC_OK);
        CHECK(nipc_increment_decode(item, item_len, &value) == NIPC_OK && value == i * 10 + 1);
    }

    struct { uint64_t value; size_t len; uint16_t status; } failures[] = {
        {999, 8, NIPC_STATUS_INTERNAL_ERROR}, {998, 8, NIPC_STATUS_LIMIT_EXCEEDED},
        {1, 7, NIPC_STATUS_BAD_ENVELOPE}};
    for (int i = 0; i < 3; i++) {
        nipc_increment_encode(failures[i].value, number, sizeof number);
        header = ask(&session, NIPC_METHOD_INCREMENT, 0, 1, number, failures[i].len, &answer, &len);
        CHECK_EQ(header.transport_status, failures[i].status);
        CHECK(len == 0 && header.item_count == 1);
        /* the session ends with it */
        CHECK_EQ(L1(receive_timeout)(&session, NULL, 0, &header, &answer, &len, 10000, L1_NO_ABORT),
                 L1_HUNG_UP);
        L1(close_session)(&session);
        session = connect_to("raw");
    }
    L1(close_session)(&session);
    nipc_server_stop(&server);
    pthread_join(thread, NULL);
    nipc_server_destroy(&server);
    return check_result();
}
