/* What clients make of servers that answer something else: the server is a loop over bare sessions. */
#include "netipc/netipc_service.h"

#include "carrier.h"
#include "check.h"

/* Answers one request; what it returns is sent as the payload. */
typedef size_t (*answer_fn)(nipc_header_t *header, const void *request, size_t len, uint8_t *reply);

struct fake {
    L1(listener_t) listener;
    pthread_t thread;
    answer_fn answer;
    int sessions; /* how many are taken, each of one request */
    int requests; /* how many came */
};

static void *fake_main(void *arg)
{
    struct fake *fake = arg;
    for (int i = 0; i < fake->sessions; i++) {
        L1(session_t) session;
        nipc_header_t header;
        const void *payload;
        size_t len;
        uint8_t reply[1024];
        REQUIRE(L1(accept)(&fake->listener, (uint64_t)i + 1, &session) == L1_CODE(OK));
        if (L1(receive)(&session, NULL, 0, &header, &payload, &len) == L1_CODE(OK)) {
            fake->requests++;
            header.kind = NIPC_KIND_RESPONSE;
            len = fake->answer(&header, payload, len, reply);
            CHECK_EQ(L1(send)(&session, &header, reply, len), L1_CODE(OK));
            /* until the client hangs up */
            CHECK_EQ(L1(receive)(&session, NULL, 0, &header, &payload, &len), L1_CODE(ERR_RECV));
        }
        L1(close_session)(&session);
    }
    return NULL;
}

static nipc_client_ctx_t ask_fake(struct fake *fake, answer_fn answer, int sessions)
{
    L1(server_config_t) config = {.max_response_payload_bytes = 4096};
    nipc_client_ctx_t client;
    *fake = (struct fake){.answer = answer, .sessions = sessions};
    REQUIRE(L1(listen)(check_dir(), "fake", &config, &fake->listener) == L1_CODE(OK));
    REQUIRE(pthread_create(&fake->thread, NULL, fake_main, fake) == 0);
    nipc_client_init(&client, check_dir(), "fake", NULL);
    CHECK(nipc_client_refresh(&client));
    return client; /* before anything points to it */
}

static void end_fake(struct fake *fake, nipc_client_ctx_t *client)
{
    nipc_client_close(client);
    pthread_join(fake->thread, NULL);
    L1(close_listener)(&fake->listener);
}

static size_t snapshot(nipc_header_t *header, const void *request, size_t len, uint8_t *reply)
{
    nipc_cgroups_builder_t builder;
    (void)header;
    (void)request;
    (void)len;
    nipc_cgroups_builder_init(&builder, reply, 1024, 1, 0, 1);
    return nipc_cgroups_builder_finish(&builder);
}

static size_t of_another_kind(nipc_header_t *header, const void *request, size_t len, uint8_t *reply)
{
    header->kind = NIPC_KIND_REQUEST;
    return snapshot(header, request, len, reply);
}

static size_t of_no_kind(nipc_header_t *header, const void *request, size_t len, uint8_t *reply)
{
    header->kind = 99;
    return snapshot(header, request, len, reply);
}

static size_t of_another_method(nipc_header_t *header, const void *request, size_t len, uint8_t *reply)
{
    header->code = NIPC_METHOD_INCREMENT;
    return snapshot(header, request, len, reply);
}

static size_t to_another_request(nipc_header_t *header, const void *request, size_t len, uint8_t *reply)
{
    header->message_id++;
    return snapshot(header, request, len, reply);
}

static size_t cut_short(nipc_header_t *header, const void *request, size_t len, uint8_t *reply)
{
    return snapshot(header, request, len, reply) - 1;
}

static size_t of_unknown_status(nipc_header_t *header, const void *request, size_t len, uint8_t *reply)
{
    (void)request;
    (void)len;
    (void)reply;
    header->transport_status = 77;
    return 0;
}

static void answers_to_something_else_have_their_error_and_are_asked_for_twice(void)
{
    const struct {
        answer_fn answer;
        nipc_error_t error;
    } cases[] = {{of_another_kind, NIPC_ERR_BAD_KIND},     {of_no_kind, NIPC_ERR_TRUNCATED},
                 {of_another_method, NIPC_ERR_BAD_LAYOUT}, {to_another_request, NIPC_ERR_TRUNCATED},
                 {cut_short, NIPC_ERR_TRUNCATED},          {of_unknown_status, NIPC_ERR_BAD_LAYOUT}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fake fake;
        nipc_cgroups_resp_view_t view;
        nipc_client_ctx_t client = ask_fake(&fake, cases[i].answer, 2);
        CHECK_EQ(nipc_client_call_cgroups_snapshot(&client, &view), cases[i].error);
        CHECK(client.state == NIPC_CLIENT_BROKEN && client.error_count == 1);
        CHECK(client.reconnect_count == 1 && client.call_count == 0 && view._payload == NULL);
        end_fake(&fake, &client);
        CHECK_EQ(fake.requests, 2);
    }
}

/* Looks up the first key, and whatever `other` adds. */
static size_t looked_up(const void *request, size_t len, uint8_t *reply, const char *other)
{
    nipc_cgroups_lookup_req_view_t keys;
    nipc_cgroups_lookup_req_item_t key;
    nipc_cgroups_lookup_builder_t builder;
    CHECK_EQ(nipc_cgroups_lookup_req_decode(request, len, &keys), NIPC_OK);
    CHECK_EQ(nipc_cgroups_lookup_req_item(&keys, 0, &key), NIPC_OK);
    nipc_cgroups_lookup_builder_init(&builder, reply, 1024, 2, 1);
    nipc_cgroups_lookup_builder_add(&builder, 0, 0, key.path.ptr, key.path.len, "a", 1, NULL, 0);
    if (other)
        nipc_cgroups_lookup_builder_add(&builder, 0, 0, other, (uint32_t)strlen(other), "b", 1, NULL,
                                        0);
    return nipc_cgroups_lookup_builder_finish(&builder);
}

static size_t one_of_two(nipc_header_t *header, const void *request, size_t len, uint8_t *reply)
{
    (void)header;
    return looked_up(request, len, reply, NULL);
}

static size_t another_key(nipc_header_t *header, const void *request, size_t len, uint8_t *reply)
{
    (void)header;
    return looked_up(request, len, reply, "/c");
}

static void lookups_that_do_not_match_their_keys_fail_and_leave_the_client_ready(void)
{
    const struct {
        answer_fn answer;
        nipc_error_t error;
    } cases[] = {{one_of_two, NIPC_ERR_BAD_ITEM_COUNT}, {another_key, NIPC_ERR_BAD_LAYOUT}};
    nipc_str_view_t paths[] = {{"/a", 2}, {"/b", 2}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fake fake;
        nipc_cgroups_lookup_resp_view_t view;
        nipc_client_ctx_t client = ask_fake(&fake, cases[i].answer, 1);
        CHECK_EQ(nipc_client_call_cgroups_lookup(&client, paths, 2, &view), cases[i].error);
        CHECK(nipc_client_ready(&client) && client.reconnect_count == 0);
        CHECK(view.item_count == 0 && view._payload == NULL);
        end_fake(&fake, &client);
        CHECK_EQ(fake.requests, 1);
    }
}

int main(void)
{
    RUN(answers_to_something_else_have_their_error_and_are_asked_for_twice);
    RUN(lookups_that_do_not_match_their_keys_fail_and_leave_the_client_ready);
    return check_result();
}
