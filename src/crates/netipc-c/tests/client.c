/* Clients, as a C program uses and abuses them. */
#include "provider.h"

#include "carrier.h"

#include <sched.h>

static int item_is(const nipc_cgroups_resp_view_t *view, uint32_t index, const char *name)
{
    nipc_cgroups_item_view_t item;
    return nipc_cgroups_resp_item(view, index, &item) == NIPC_OK && item.hash == index * 31 &&
           strcmp(item.name.ptr, name) == 0 && item.name.len == strlen(name);
}

static void snapshot_arrives_whatever_carries_it(void)
{
    for (int i = 0; i < CARRIERS; i++) {
        struct provider provider = {.items = 20, .generation = 3};
        provider_start(&provider, "snap", carriers[i]);
        nipc_client_config_t config = provider_client(carriers[i]);
        nipc_client_ctx_t client;
        nipc_client_init(&client, check_dir(), "snap", &config);
        CHECK(!nipc_client_ready(&client));
        CHECK(nipc_client_refresh(&client));
        CHECK(nipc_client_ready(&client));
        CHECK_EQ(client.shm != NULL, carriers[i] == PROFILES_SHM);
        CHECK_EQ(client.session.selected_profile == NIPC_PROFILE_RING, IS_RING(carriers[i]));
        CHECK(client.session_valid && !L1_IS_CLOSED(&client.session));
        CHECK_EQ(client.session.role, L1_CODE(ROLE_CLIENT));
        CHECK_EQ(client.session.session_id, 1);

        for (int round = 0; round < 100; round++) {
            nipc_cgroups_resp_view_t view;
            CHECK_EQ(nipc_client_call_cgroups_snapshot(&client, &view), NIPC_OK);
            CHECK(view.item_count == 20 && view.generation == 3 && view.systemd_enabled == 1);
            CHECK(item_is(&view, 19, "cgroup_19"));
            CHECK(client.response_buf == view._payload);
        }
        nipc_client_status_t status;
        nipc_client_status(&client, &status);
        CHECK(status.state == NIPC_CLIENT_READY && status.connect_count == 1);
        CHECK(status.call_count == 100 && status.error_count == 0);
        nipc_client_close(&client);
        CHECK_EQ(client.state, NIPC_CLIENT_DISCONNECTED);
        CHECK(!client.session_valid && client.shm == NULL);
        provider_stop(&provider);
    }
}

static void absent_provider_costs_an_error_and_no_time(void)
{
    nipc_client_ctx_t client;
    nipc_cgroups_resp_view_t view;
    long long start = check_now_ms();
    nipc_client_init(&client, check_dir(), "nobody", NULL);
    CHECK(nipc_client_refresh(&client));
    CHECK_EQ(client.state, NIPC_CLIENT_NOT_FOUND);
    CHECK(!nipc_client_refresh(&client));
    memset(&view, 0xff, sizeof view);
    CHECK_EQ(nipc_client_call_cgroups_snapshot(&client, &view), NIPC_ERR_NOT_READY);
    CHECK(view.item_count == 0 && view._payload == NULL);
    CHECK_EQ(client.error_count, 1);
    CHECK(check_now_ms() - start < 2000);
    nipc_client_close(&client);
    nipc_client_close(&client);
}

static void client_recovers_when_the_provider_restarts(void)
{
    for (int i = 0; i < CARRIERS; i++) {
        struct provider provider = {.items = 2, .generation = 1};
        nipc_client_config_t config = provider_client(carriers[i]);
        nipc_client_ctx_t client;
        nipc_cgroups_resp_view_t view;
        provider_start(&provider, "restart", carriers[i]);
        nipc_client_init(&client, check_dir(), "restart", &config);
        nipc_client_refresh(&client);
        CHECK_EQ(nipc_client_call_cgroups_snapshot(&client, &view), NIPC_OK);
        provider_stop(&provider);
        provider.generation = 2;
        provider_start(&provider, "restart", carriers[i]);
        CHECK_EQ(nipc_client_call_cgroups_snapshot(&client, &view), NIPC_OK);
        CHECK(view.generation == 2 && client.reconnect_count == 1);
        provider_stop(&provider);
        CHECK(nipc_client_call_cgroups_snapshot(&client, &view) != NIPC_OK);
        CHECK(!nipc_client_ready(&client));
        nipc_client_close(&client);
    }
}

static void client_can_be_used_again_after_close(void)
{
    struct provider provider = {.items = 1};
    nipc_client_config_t config = provider_client(PROFILES_SOCKET);
    nipc_client_ctx_t client;
    nipc_cgroups_resp_view_t view;
    provider_start(&provider, "again", PROFILES_SOCKET);
    nipc_client_init(&client, check_dir(), "again", &config);
    nipc_client_refresh(&client);
    nipc_client_close(&client);
    CHECK_EQ(nipc_client_call_cgroups_snapshot(&client, &view), NIPC_ERR_NOT_READY);
    CHECK(nipc_client_refresh(&client));
    CHECK_EQ(nipc_client_call_cgroups_snapshot(&client, &view), NIPC_OK);
    CHECK(client.connect_count == 2 && client.error_count == 1); /* counters go on */
    nipc_client_close(&client);
    provider_stop(&provider);
}

static void limits_set_by_hand_hold_until_the_next_session(void)
{
    struct provider provider = {.items = 100};
    nipc_client_config_t config = provider_client(PROFILES_SOCKET);
    nipc_client_ctx_t client;
    nipc_cgroups_resp_view_t view;
    provider_start(&provider, "limits", PROFILES_SOCKET);
    nipc_client_init(&client, check_dir(), "limits", &config);
    nipc_client_refresh(&client);
    uint32_t agreed = client.session.max_response_payload_bytes;
    client.session.max_response_payload_bytes = 100;
    CHECK_EQ(nipc_client_call_cgroups_snapshot(&client, &view), NIPC_OK);
    CHECK(client.reconnect_count == 1 && client.session.max_response_payload_bytes == agreed);
    client.session.max_request_payload_bytes = 3; /* a request has 4 bytes */
    CHECK_EQ(nipc_client_call_cgroups_snapshot(&client, &view), NIPC_OK);
    CHECK_EQ(client.reconnect_count, 2);
    nipc_client_close(&client);
    provider_stop(&provider);
}

static void wrong_token_is_told_and_tried_again(void)
{
    struct provider provider = {.items = 1};
    nipc_client_config_t config = provider_client(PROFILES_SOCKET);
    nipc_client_ctx_t client;
    config.auth_token = 8;
    provider_start(&provider, "token", PROFILES_SOCKET);
    nipc_client_init(&client, check_dir(), "token", &config);
    CHECK(nipc_client_refresh(&client));
    CHECK_EQ(client.state, NIPC_CLIENT_AUTH_FAILED);
    CHECK(strstr(nipc_last_error(), ENDPOINT_NAME("token")) != NULL);
    client.transport_config.auth_token = 7; /* members are heeded */
    CHECK(nipc_client_refresh(&client));
    CHECK(nipc_client_ready(&client));
    nipc_client_close(&client);
    provider_stop(&provider);
}

static void waits_look_before_a_sleep_as_configured(void)
{
    const int32_t limits[] = {0, 5, -1};
    for (int i = 0; i < CARRIERS; i++) {
        for (size_t l = 0; l < sizeof limits / sizeof *limits; l++) {
            struct provider provider = {.items = 1};
            nipc_client_config_t config = provider_client(carriers[i]);
            nipc_client_ctx_t client;
            nipc_cgroups_resp_view_t view;
            config.spin_us = limits[l];
            provider_start(&provider, "spin", carriers[i]);
            nipc_client_init(&client, check_dir(), "spin", &config);
            CHECK_EQ(client.transport_config.spin_us, limits[l]);
            nipc_client_refresh(&client);
            for (int call = 0; call < 100; call++)
                CHECK_EQ(nipc_client_call_cgroups_snapshot(&client, &view), NIPC_OK);
            client.transport_config.spin_us = -7; /* members are heeded; all below 0 are one */
            nipc_client_refresh(&client);
            CHECK_EQ(client.transport_config.spin_us, -1);
            nipc_client_close(&client);
            provider_stop(&provider);
        }
    }
}

static void large_snapshot_grows_the_session(void)
{
    for (int i = 0; i < CARRIERS; i++) {
        struct provider provider = {.items = 4000};
        nipc_client_config_t config = provider_client(carriers[i]);
        nipc_client_ctx_t client;
        nipc_cgroups_resp_view_t view;
        provider_start(&provider, "large", carriers[i]);
        nipc_client_init(&client, check_dir(), "large", &config);
        nipc_client_refresh(&client);
        uint32_t before = client.session.max_response_payload_bytes;
        CHECK_EQ(nipc_client_call_cgroups_snapshot(&client, &view), NIPC_OK);
        CHECK_EQ(view.item_count, 4000);
        CHECK(item_is(&view, 3999, "cgroup_3999"));
        CHECK(client.session.max_response_payload_bytes > before);
        provider.items = 200000;
        CHECK_EQ(nipc_client_call_cgroups_snapshot(&client, &view), NIPC_ERR_OVERFLOW);
        nipc_client_close(&client);
        provider_stop(&provider);
    }
}

static void failing_handler_is_an_error_of_the_call(void)
{
    struct provider provider = {.items = 1, .fails = true};
    nipc_client_config_t config = provider_client(PROFILES_SOCKET);
    nipc_client_ctx_t client;
    nipc_cgroups_resp_view_t view;
    provider_start(&provider, "fails", PROFILES_SOCKET);
    nipc_client_init(&client, check_dir(), "fails", &config);
    nipc_client_refresh(&client);
    CHECK_EQ(nipc_client_call_cgroups_snapshot(&client, &view), NIPC_ERR_BAD_LAYOUT);
    CHECK_EQ(client.error_count, 1);
    provider.fails = false;
    nipc_client_refresh(&client);
    CHECK_EQ(nipc_client_call_cgroups_snapshot(&client, &view), NIPC_OK);
    nipc_client_close(&client);
    provider_stop(&provider);
}

static void session_of_a_client_can_be_used_by_hand(void)
{
    for (int i = 0; i < 2; i++) {
        struct provider provider = {.items = 1};
        nipc_client_config_t config = provider_client(carriers[i]);
        nipc_client_ctx_t client;
        nipc_header_t header = {.kind = NIPC_KIND_REQUEST, .code = NIPC_METHOD_INCREMENT,
                                .item_count = 1, .message_id = 77};
        provider_start(&provider, "hand", carriers[i]);
        nipc_client_init(&client, check_dir(), "hand", &config);
        nipc_client_refresh(&client);
        if (client.shm) {
            uint8_t message[64];
            size_t len = 0;
            header.magic = NIPC_MAGIC_MSG;
            header.version = NIPC_VERSION;
            header.header_len = NIPC_HEADER_LEN;
            nipc_header_encode(&header, message, sizeof message);
            CHECK_EQ(REGION(send)(client.shm, message, 32), REGION_CODE(OK));
            CHECK_EQ(REGION(receive)(client.shm, message, sizeof message, &len, 5000), REGION_CODE(OK));
            CHECK_EQ(len, 32);
            CHECK_EQ(nipc_header_decode(message, len, &header), NIPC_OK);
        } else {
            const void *payload;
            size_t len;
            CHECK_EQ(L1(send)(&client.session, &header, NULL, 0), L1_CODE(OK));
            CHECK_EQ(client.session.inflight_count, 1);
            CHECK_EQ(L1(receive)(&client.session, NULL, 0, &header, &payload, &len),
                     L1_CODE(OK));
        }
        CHECK_EQ(header.transport_status, NIPC_STATUS_UNSUPPORTED);
        CHECK_EQ(header.message_id, 77);
        nipc_cgroups_resp_view_t view;
        CHECK_EQ(nipc_client_call_cgroups_snapshot(&client, &view), NIPC_OK);

        L1_CLOSE_BEHIND(&client.session);
        CHECK_EQ(nipc_client_call_cgroups_snapshot(&client, &view), NIPC_OK);
        CHECK(!L1_IS_CLOSED(&client.session));

        client.state = NIPC_CLIENT_DISCONNECTED; /* or lets go of it */
        CHECK_EQ(nipc_client_call_cgroups_snapshot(&client, &view), NIPC_ERR_NOT_READY);
        CHECK(!client.session_valid);
        CHECK(nipc_client_refresh(&client));
        L1(close_session)(&client.session);
        long long start = check_now_ms(); /* at once, as the server sees */
        while (__atomic_load_n(&provider.server.session_count, __ATOMIC_RELAXED) != 0 &&
               check_now_ms() - start < 20000)
            sched_yield();
        CHECK_EQ(__atomic_load_n(&provider.server.session_count, __ATOMIC_RELAXED), 0);
        client.session_valid = false;
        client.state = NIPC_CLIENT_BROKEN;
        CHECK(nipc_client_refresh(&client));
        CHECK_EQ(nipc_client_call_cgroups_snapshot(&client, &view), NIPC_OK);
        nipc_client_close(&client);
        provider_stop(&provider);
    }
}

struct never {
    struct event asked, finish;
    nipc_client_ctx_t client;
};

static void *abort_when_asked(void *arg)
{
    struct never *never = arg;
    event_wait(&never->asked);
    nipc_client_abort(&never->client);
    return NULL;
}

static bool never_answers(void *user, const nipc_cgroups_req_t *request,
                          nipc_cgroups_builder_t *reply)
{
    struct never *never = user;
    (void)request;
    (void)reply;
    event_set(&never->asked, true);
    event_wait(&never->finish);
    return true;
}

static void deadlines_and_aborts_end_calls(void)
{
    for (int i = 0; i < CARRIERS; i++) {
        struct never never = {.asked = EVENT, .finish = EVENT};
        nipc_managed_server_t server;
        nipc_server_config_t server_config = {.supported_profiles = carriers[i], .auth_token = 7};
        nipc_cgroups_service_handler_t handler = {.handle = never_answers, .user = &never};
        pthread_t thread, aborter;
        REQUIRE(nipc_server_init_typed(&server, check_dir(), "never", &server_config, 3, &handler) ==
                NIPC_OK);
        pthread_create(&thread, NULL, server_main, &server);

        nipc_client_config_t config = provider_client(carriers[i]);
        nipc_cgroups_resp_view_t view;
        nipc_client_init(&never.client, check_dir(), "never", &config);
        nipc_client_refresh(&never.client);
        long long start = check_now_ms();
        CHECK_EQ(nipc_client_call_cgroups_snapshot_timeout(&never.client, &view, 100), NIPC_ERR_TIMEOUT);
        CHECK(check_now_ms() - start >= 100 && check_now_ms() - start < 5000);
        CHECK_EQ(never.client.state, NIPC_CLIENT_BROKEN);

        nipc_client_refresh(&never.client);
        CHECK(nipc_client_ready(&never.client));
        start = check_now_ms();
        event_set(&never.asked, false);
        pthread_create(&aborter, NULL, abort_when_asked, &never);
        CHECK_EQ(nipc_client_call_cgroups_snapshot(&never.client, &view), NIPC_ERR_ABORTED);
        CHECK(check_now_ms() - start < 10000);
        pthread_join(aborter, NULL);
        CHECK_EQ(never.client.abort_requested, 1);
        CHECK(!nipc_client_refresh(&never.client));
        nipc_client_clear_abort(&never.client);
        CHECK(nipc_client_refresh(&never.client) && nipc_client_ready(&never.client));
        nipc_client_close(&never.client);

        event_set(&never.finish, true);
        nipc_server_stop(&server);
        pthread_join(thread, NULL);
        nipc_server_destroy(&server);
    }
}

int main(void)
{
    RUN(snapshot_arrives_whatever_carries_it);
    RUN(absent_provider_costs_an_error_and_no_time);
    RUN(client_recovers_when_the_provider_restarts);
    RUN(client_can_be_used_again_after_close);
    RUN(limits_set_by_hand_hold_until_the_next_session);
    RUN(wrong_token_is_told_and_tried_again);
    RUN(waits_look_before_a_sleep_as_configured);
    RUN(large_snapshot_grows_the_session);
    RUN(failing_handler_is_an_error_of_the_call);
    RUN(session_of_a_client_can_be_used_by_hand);
    RUN(deadlines_and_aborts_end_calls);
    return check_result();
}
