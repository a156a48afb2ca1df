/* Sessions with well-behaved peers, over what this system carries them by. */
#include "carrier.h"
#include "check.h"

/* What carries the messages where a test does not say. */
static uint32_t carrier = NIPC_PROFILE_BASELINE;

struct pair {
    L1(listener_t) listener;
    L1(session_t) client, server;
    L1(error_t) accepted;
};

static void *accept_one(void *arg)
{
    struct pair *pair = arg;
    pair->accepted = L1(accept)(&pair->listener, 42, &pair->server);
    return NULL;
}

static L1(error_t) connect_pair(struct pair *pair, const L1(server_config_t) *server,
                                     const L1(client_config_t) *client)
{
    pthread_t thread;
    L1(server_config_t) granted = {0};
    L1(client_config_t) asked = {0};
    if (carrier != NIPC_PROFILE_BASELINE) {
        if (server)
            granted = *server;
        if (client)
            asked = *client;
        if (!granted.supported_profiles)
            granted.supported_profiles = carrier;
        if (!asked.supported_profiles)
            asked.supported_profiles = carrier;
        server = &granted;
        client = &asked;
    }
    REQUIRE(L1(listen)(check_dir(), "uds", server, &pair->listener) == L1_CODE(OK));
    pthread_create(&thread, NULL, accept_one, pair);
    L1(error_t) connected = L1(connect)(check_dir(), "uds", client, &pair->client);
    pthread_join(thread, NULL);
    return connected;
}

static void close_pair(struct pair *pair)
{
    L1(close_session)(&pair->client);
    L1(close_session)(&pair->server);
    L1(close_listener)(&pair->listener);
}

static nipc_header_t request(uint64_t id)
{
    nipc_header_t header = {.kind = NIPC_KIND_REQUEST, .code = 1, .item_count = 1, .message_id = id};
    return header;
}

static void sessions_agree_and_carry_messages(void)
{
    struct pair pair;
    CHECK_EQ(connect_pair(&pair, NULL, NULL), L1_CODE(OK));
    CHECK_EQ(pair.accepted, L1_CODE(OK));
    CHECK(pair.client.session_id == 42 && pair.server.session_id == 42);
    CHECK_EQ(pair.client.role, L1_CODE(ROLE_CLIENT));
    CHECK_EQ(pair.server.role, L1_CODE(ROLE_SERVER));
    CHECK_EQ(pair.client.selected_profile, carrier);
    CHECK_EQ(pair.server.selected_profile, carrier);
    CHECK_EQ(pair.client.max_request_payload_bytes, 1024);
    CHECK_EQ(pair.client.max_response_payload_bytes, 1024);
    CHECK_EQ(pair.client.max_request_batch_items, 1);
    CHECK(pair.client.packet_size <= 65536);

    nipc_header_t header = request(9), got;
    const void *payload;
    size_t len;
    uint8_t buf[2048];
    CHECK_EQ(L1(send)(&pair.client, &header, "ping", 4), L1_CODE(OK));
    CHECK(header.magic == NIPC_MAGIC_MSG && header.payload_len == 4 && header.header_len == 32);
    CHECK_EQ(pair.client.inflight_count, 1);
    CHECK_EQ(pair.client.inflight_ids[0], 9);
    CHECK_EQ(L1(receive)(&pair.server, buf, sizeof buf, &got, &payload, &len), L1_CODE(OK));
    CHECK(payload == buf + 32 && len == 4 && memcmp(payload, "ping", 4) == 0 && got.message_id == 9);
    got.kind = NIPC_KIND_RESPONSE;
    CHECK_EQ(L1(send)(&pair.server, &got, NULL, 0), L1_CODE(OK));
    /* a buffer that holds no packet is no problem */
    CHECK_EQ(L1(receive)(&pair.client, buf, 3, &got, &payload, &len), L1_CODE(OK));
    CHECK(len == 0 && pair.client.inflight_count == 0);
    close_pair(&pair);
    CHECK(L1_IS_CLOSED(&pair.client));
    close_pair(&pair);
}

static void names_are_checked(void)
{
    L1(session_t) session;
    L1(listener_t) listener, second;
    const char *bad[] = {"", ".", "..", "a/b", "a b", "\xff"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK_EQ(L1(connect)(check_dir(), bad[i], NULL, &session), L1_CODE(ERR_BAD_PARAM));
        CHECK_EQ(L1(listen)(check_dir(), bad[i], NULL, &listener), L1_CODE(ERR_BAD_PARAM));
    }
    error_number_clear();
    CHECK_EQ(L1(connect)(check_dir(), "nobody", NULL, &session), L1_CODE(ERR_CONNECT));
    CHECK_EQ(error_number(), NUMBER_NOT_FOUND);
    CHECK(strstr(nipc_last_error(), ENDPOINT_NAME("nobody")) != NULL);
    CHECK_EQ(L1(connect)(NULL, "x", NULL, &session), L1_CODE(ERR_BAD_PARAM));
    L1(close_session)(&session);
    REQUIRE(L1(listen)(check_dir(), "once", NULL, &listener) == L1_CODE(OK));
    if (second_is_refused()) {
        CHECK_EQ(L1(listen)(check_dir(), "once", NULL, &second), L1_CODE(ERR_ADDR_IN_USE));
        CHECK(L1_IS_CLOSED(&second));
        L1(close_listener)(&second);
    }
    L1(close_listener)(&listener);
    L1(close_listener)(&listener);
    REQUIRE(L1(listen)(check_dir(), "once", NULL, &listener) == L1_CODE(OK));
    L1(close_listener)(&listener);
    CHECK_EQ(L1(accept)(&listener, 1, &session), L1_CODE(ERR_ACCEPT));
}

static void refusals_have_their_reason(void)
{
    struct pair pair;
    L1(server_config_t) server = {.auth_token = 1, .max_request_payload_bytes = 100};
    L1(client_config_t) client = {.auth_token = 2};
    CHECK_EQ(connect_pair(&pair, &server, &client), L1_CODE(ERR_AUTH_FAILED));
    CHECK_EQ(pair.accepted, L1_CODE(ERR_AUTH_FAILED));
    close_pair(&pair);
    client.auth_token = 1;
    client.max_request_payload_bytes = 101;
    CHECK_EQ(connect_pair(&pair, &server, &client), L1_CODE(ERR_LIMIT_EXCEEDED));
    close_pair(&pair);
    client.max_request_payload_bytes = 100;
    client.supported_profiles = NIPC_PROFILE_SHM_HYBRID;
    CHECK_EQ(connect_pair(&pair, &server, &client), L1_CODE(ERR_NO_PROFILE));
    close_pair(&pair);
    client.supported_profiles = 0;
    client.packet_size = 32;
    CHECK_EQ(connect_pair(&pair, &server, &client), L1_CODE(ERR_INCOMPATIBLE));
    close_pair(&pair);
}

static void large_messages_travel_in_parts(void)
{
    enum { SIZE = 1 << 20 };
    struct pair pair;
    L1(server_config_t) server = {.max_request_payload_bytes = SIZE,
                                       .max_response_payload_bytes = SIZE, .packet_size = 4096};
    L1(client_config_t) client = {.max_request_payload_bytes = SIZE};
    CHECK_EQ(connect_pair(&pair, &server, &client), L1_CODE(OK));
    CHECK_EQ(pair.client.packet_size, 4096);
    uint8_t *message = malloc(SIZE);
    for (int i = 0; i < SIZE; i++)
        message[i] = (uint8_t)(i * 7);
    size_t sizes[] = {0, 1, 4064, 4065, 8128, 8129, 40000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (int in_buf = 0; in_buf < 2; in_buf++) {
            uint8_t buf[8192];
            nipc_header_t header = request(i * 2 + (size_t)in_buf), got;
            const void *payload;
            size_t len;
            CHECK_EQ(L1(send)(&pair.client, &header, message, sizes[i]), L1_CODE(OK));
            CHECK_EQ(L1(receive)(&pair.server, buf, in_buf ? sizeof buf : 0, &got, &payload,
                                      &len), L1_CODE(OK));
            CHECK(len == sizes[i] && memcmp(payload, message, len) == 0);
            if (sizes[i] > 4064)
                CHECK(payload == pair.server.recv_buf);
            else if (in_buf)
                CHECK(payload == buf + 32);
        }
    }
    nipc_header_t header = request(1000);
    uint32_t count = pair.client.inflight_count;
    CHECK_EQ(L1(send)(&pair.client, &header, message, SIZE + 1ul), L1_CODE(ERR_LIMIT_EXCEEDED));
    CHECK_EQ(pair.client.inflight_count, count);
    free(message);
    close_pair(&pair);
}

static void ids_in_flight_are_the_public_array(void)
{
    struct pair pair;
    nipc_header_t header = request(1), got;
    const void *payload;
    size_t len;
    CHECK_EQ(connect_pair(&pair, NULL, NULL), L1_CODE(OK));
    for (uint64_t id = 0; id < 50; id++) {
        header = request(id);
        CHECK_EQ(L1(send)(&pair.client, &header, "x", 1), L1_CODE(OK));
        CHECK_EQ(L1(send)(&pair.client, &header, "x", 1), L1_CODE(ERR_DUPLICATE_MSG_ID));
    }
    CHECK_EQ(pair.client.inflight_count, 50);
    CHECK(pair.client.inflight_capacity >= 51);
    pair.client.inflight_ids[pair.client.inflight_count++] = 777; /* by hand */
    header = request(777);
    CHECK_EQ(L1(send)(&pair.client, &header, "x", 1), L1_CODE(ERR_DUPLICATE_MSG_ID));
    header.kind = NIPC_KIND_RESPONSE;
    CHECK_EQ(L1(send)(&pair.server, &header, "r", 1), L1_CODE(OK));
    CHECK_EQ(L1(receive)(&pair.client, NULL, 0, &got, &payload, &len), L1_CODE(OK));
    CHECK_EQ(pair.client.inflight_count, 50);
    CHECK_EQ(L1(send)(&pair.server, &header, "r", 1), L1_CODE(OK));
    CHECK_EQ(L1(receive)(&pair.client, NULL, 0, &got, &payload, &len),
             L1_CODE(ERR_UNKNOWN_MSG_ID));
    close_pair(&pair);
}

static void receives_end_at_their_deadline_and_by_the_abort(void)
{
    struct pair pair;
    nipc_header_t got;
    const void *payload;
    size_t len;
    stopper stop = stopper_new();
    CHECK_EQ(connect_pair(&pair, NULL, NULL), L1_CODE(OK));
    long long start = check_now_ms();
    CHECK_EQ(L1(receive_timeout)(&pair.server, NULL, 0, &got, &payload, &len, 50, stopper_watched(stop)),
             L1_CODE(ERR_TIMEOUT));
    CHECK(strstr(nipc_last_error(), "timed out") != NULL);
    CHECK(check_now_ms() - start >= 50);
    nipc_header_t header = request(1);
    CHECK_EQ(L1(send)(&pair.client, &header, "x", 1), L1_CODE(OK));
    stopper_set(stop);
    CHECK_EQ(L1(receive_timeout)(&pair.server, NULL, 0, &got, &payload, &len, 0, stopper_watched(stop)),
             L1_CODE(ERR_ABORTED));
    CHECK_EQ(L1(receive_timeout)(&pair.server, NULL, 0, &got, &payload, &len, 0, stopper_watched(stop)),
             L1_CODE(ERR_ABORTED)); /* it was only looked at */
    CHECK_EQ(L1(receive_timeout)(&pair.server, NULL, 0, &got, &payload, &len, 5000, L1_NO_ABORT),
             L1_CODE(OK));
    stopper_free(stop);
    close_pair(&pair);
}

static void peer_that_hung_up_is_told_after_what_it_sent(void)
{
    struct pair pair;
    nipc_header_t header = request(1), got;
    const void *payload;
    size_t len;
    CHECK_EQ(connect_pair(&pair, NULL, NULL), L1_CODE(OK));
    CHECK_EQ(L1(send)(&pair.client, &header, "last", 4), L1_CODE(OK));
    L1(close_session)(&pair.client);
    CHECK_EQ(L1(receive)(&pair.server, NULL, 0, &got, &payload, &len), L1_CODE(OK));
    CHECK(len == 4 && memcmp(payload, "last", 4) == 0);
    CHECK_EQ(L1(receive_timeout)(&pair.server, NULL, 0, &got, &payload, &len, 5000, L1_NO_ABORT),
             L1_HUNG_UP);
    CHECK_EQ(L1(receive)(&pair.server, NULL, 0, &got, &payload, &len), L1_CODE(ERR_RECV));
    got.kind = NIPC_KIND_RESPONSE;
    CHECK(L1(send)(&pair.server, &got, NULL, 0) != L1_CODE(OK));
    close_pair(&pair);
}

static void batch_directories_are_checked_on_receipt(void)
{
    struct pair pair;
    L1(client_config_t) client = {.max_request_batch_items = 4};
    CHECK_EQ(connect_pair(&pair, NULL, &client), L1_CODE(OK));
    CHECK_EQ(pair.server.max_request_batch_items, 4);
    uint8_t batch[64];
    uint32_t count;
    nipc_batch_builder_t builder;
    nipc_batch_builder_init(&builder, batch, sizeof batch, 2);
    nipc_batch_builder_add(&builder, "one", 3);
    nipc_batch_builder_add(&builder, "two", 3);
    size_t size = nipc_batch_builder_finish(&builder, &count);
    nipc_header_t header = request(1), got;
    const void *payload;
    size_t len;
    header.flags = NIPC_FLAG_BATCH;
    header.item_count = count;
    CHECK_EQ(L1(send)(&pair.client, &header, batch, size), L1_CODE(OK));
    CHECK_EQ(L1(receive)(&pair.server, NULL, 0, &got, &payload, &len), L1_CODE(OK));
    header.item_count = 5;
    header.message_id = 2;
    CHECK_EQ(L1(send)(&pair.client, &header, batch, size), L1_CODE(ERR_LIMIT_EXCEEDED));
    header.item_count = count;
    batch[0] = 1;
    CHECK_EQ(L1(send)(&pair.client, &header, batch, size), L1_CODE(OK));
    CHECK_EQ(L1(receive)(&pair.server, NULL, 0, &got, &payload, &len), L1_CODE(ERR_PROTOCOL));
    close_pair(&pair);
}

static void null_is_refused_everywhere(void)
{
    nipc_header_t header = request(1);
    const void *payload;
    size_t len;
    L1(session_t) session;
    CHECK_EQ(L1(connect)(check_dir(), "x", NULL, NULL), L1_CODE(ERR_BAD_PARAM));
    CHECK_EQ(L1(listen)(check_dir(), "x", NULL, NULL), L1_CODE(ERR_BAD_PARAM));
    CHECK_EQ(L1(accept)(NULL, 1, &session), L1_CODE(ERR_BAD_PARAM));
    CHECK(L1_IS_CLOSED(&session));
    CHECK_EQ(L1(send)(NULL, &header, NULL, 0), L1_CODE(ERR_BAD_PARAM));
    CHECK_EQ(L1(send)(&session, NULL, NULL, 0), L1_CODE(ERR_BAD_PARAM));
    CHECK_EQ(L1(send)(&session, &header, NULL, 1), L1_CODE(ERR_BAD_PARAM));
    CHECK_EQ(L1(receive)(NULL, NULL, 0, &header, &payload, &len), L1_CODE(ERR_BAD_PARAM));
    CHECK_EQ(L1(receive)(&session, NULL, 0, NULL, NULL, NULL), L1_CODE(ERR_BAD_PARAM));
    CHECK(strcmp(L1(error_name)(L1_CODE(ERR_CHUNK)), "CHUNK") == 0);
}

static void over_any_carrier(void)
{
    RUN(sessions_agree_and_carry_messages);
    RUN(refusals_have_their_reason);
    RUN(ids_in_flight_are_the_public_array);
    RUN(receives_end_at_their_deadline_and_by_the_abort);
    RUN(peer_that_hung_up_is_told_after_what_it_sent);
    RUN(batch_directories_are_checked_on_receipt);
}

int main(void)
{
    over_any_carrier();
#ifndef _WIN32
    carrier = NIPC_PROFILE_RING;
    over_any_carrier();
    carrier = NIPC_PROFILE_BASELINE;
#endif
    RUN(names_are_checked);
    RUN(large_messages_travel_in_parts);
    RUN(null_is_refused_everywhere);
    return check_result();
}
