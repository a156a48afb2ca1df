/* What only pipes have: their names, and waiting without receiving. For all else see session.c. */
#include "netipc/netipc_named_pipe.h"

#include "check.h"

static void pipes_are_named_by_directory_and_service(void)
{
    wchar_t name[NIPC_NP_MAX_PIPE_NAME];
    CHECK(nipc_fnv1a_64("", 0) == NIPC_FNV1A_OFFSET_BASIS);
    CHECK(nipc_fnv1a_64("a", 1) == (NIPC_FNV1A_OFFSET_BASIS ^ 'a') * NIPC_FNV1A_PRIME);
    CHECK(nipc_fnv1a_64(NULL, 1) == 0);
    CHECK_EQ(nipc_np_build_pipe_name(name, NIPC_NP_MAX_PIPE_NAME, "/run/netdata", "x"), 0);
    CHECK(wcscmp(name, L"\\\\.\\pipe\\netipc-efc07ed598ac339b-x") == 0);
    size_t len = wcslen(name);
    name[0] = 'u';
    CHECK_EQ(nipc_np_build_pipe_name(name, len, "/run/netdata", "x"), -1);
    CHECK(name[0] == 'u');
    CHECK_EQ(nipc_np_build_pipe_name(name, len + 1, "/run/netdata", "x"), 0);
    CHECK_EQ(nipc_np_build_pipe_name(name, len + 1, "/run/netdata", "a/b"), -1);
    CHECK_EQ(nipc_np_build_pipe_name(name, len + 1, "\xff", "x"), -1);
    CHECK_EQ(nipc_np_build_pipe_name(NULL, len + 1, "/run/netdata", "x"), -1);
    CHECK_EQ(nipc_np_build_pipe_name(name, len + 1, NULL, "x"), -1);

    char service[300];
    nipc_np_session_t session;
    memset(service, 's', sizeof service);
    service[255 - wcslen(L"\\\\.\\pipe\\netipc-0123456789abcdef-")] = 0;
    CHECK_EQ(nipc_np_build_pipe_name(name, NIPC_NP_MAX_PIPE_NAME, "/run", service), 0);
    strcat(service, "s");
    CHECK_EQ(nipc_np_build_pipe_name(name, NIPC_NP_MAX_PIPE_NAME, "/run", service), -1);
    CHECK_EQ(nipc_np_connect("/run", service, NULL, &session), NIPC_NP_ERR_PIPE_NAME);
}

struct pair {
    nipc_np_listener_t listener;
    nipc_np_session_t client, server;
};

static void *accept_one(void *arg)
{
    struct pair *pair = arg;
    CHECK_EQ(nipc_np_accept(&pair->listener, 1, &pair->server), NIPC_NP_OK);
    return NULL;
}

static void open_pair(struct pair *pair)
{
    pthread_t thread;
    REQUIRE(nipc_np_listen(check_dir(), "pipe", NULL, &pair->listener) == NIPC_NP_OK);
    pthread_create(&thread, NULL, accept_one, pair);
    REQUIRE(nipc_np_connect(check_dir(), "pipe", NULL, &pair->client) == NIPC_NP_OK);
    pthread_join(thread, NULL);
}

static void close_pair(struct pair *pair)
{
    nipc_np_close_session(&pair->client);
    nipc_np_close_session(&pair->server);
    nipc_np_close_listener(&pair->listener);
}

static void listener_shows_its_pipe(void)
{
    struct pair pair;
    wchar_t name[NIPC_NP_MAX_PIPE_NAME];
    open_pair(&pair);
    nipc_np_build_pipe_name(name, NIPC_NP_MAX_PIPE_NAME, check_dir(), "pipe");
    CHECK(wcscmp(pair.listener.pipe_name, name) == 0);
    CHECK(nipc_np_listener_handle(&pair.listener) == pair.listener.pipe);
    CHECK(nipc_np_session_handle(&pair.server) == pair.server.pipe);
    CHECK(pair.listener.pipe != pair.server.pipe && pair.listener.pipe != INVALID_HANDLE_VALUE);
    CHECK(nipc_np_listener_handle(NULL) == INVALID_HANDLE_VALUE);
    CHECK(nipc_np_session_handle(NULL) == INVALID_HANDLE_VALUE);
    CHECK_EQ(pair.client.packet_size, NIPC_NP_DEFAULT_PACKET_SIZE);
    CHECK_EQ(pair.client.max_request_batch_items, NIPC_NP_DEFAULT_BATCH_ITEMS);
    close_pair(&pair);
}

static void waiting_tells_messages_silence_and_the_end_apart(void)
{
    struct pair pair;
    bool readable = true;
    nipc_header_t header = {.kind = NIPC_KIND_REQUEST, .code = 1, .item_count = 1}, got;
    const void *payload;
    size_t len;
    open_pair(&pair);
    CHECK_EQ(nipc_np_wait_readable(&pair.server, 0, &readable), NIPC_NP_OK);
    CHECK(!readable);
    long long start = check_now_ms();
    CHECK_EQ(nipc_np_wait_readable(&pair.server, 50, &readable), NIPC_NP_OK);
    CHECK(!readable && check_now_ms() - start >= 50);
    CHECK_EQ(nipc_np_send(&pair.client, &header, "x", 1), NIPC_NP_OK);
    CHECK_EQ(nipc_np_wait_readable(&pair.server, 10000, &readable), NIPC_NP_OK);
    CHECK(readable);
    CHECK_EQ(nipc_np_wait_readable(&pair.server, 0, &readable), NIPC_NP_OK);
    CHECK(readable); /* nothing was received by that */
    CHECK_EQ(nipc_np_receive(&pair.server, NULL, 0, &got, &payload, &len), NIPC_NP_OK);
    CHECK(len == 1);
    nipc_np_close_session(&pair.client);
    CHECK_EQ(nipc_np_wait_readable(&pair.server, 10000, &readable), NIPC_NP_ERR_DISCONNECTED);
    CHECK(!readable);
    CHECK_EQ(nipc_np_wait_readable(NULL, 0, &readable), NIPC_NP_ERR_BAD_PARAM);
    CHECK_EQ(nipc_np_wait_readable(&pair.server, 0, NULL), NIPC_NP_ERR_BAD_PARAM);
    close_pair(&pair);
    CHECK_EQ(nipc_np_wait_readable(&pair.server, 0, &readable), NIPC_NP_ERR_BAD_PARAM);
    CHECK(strcmp(nipc_np_error_name(NIPC_NP_ERR_DISCONNECTED), "DISCONNECTED") == 0);
}

int main(void)
{
    RUN(pipes_are_named_by_directory_and_service);
    RUN(listener_shows_its_pipe);
    RUN(waiting_tells_messages_silence_and_the_end_apart);
    return check_result();
}
