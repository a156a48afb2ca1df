/* Servers, and structs that were never initialised. */
#include "provider.h"

#include "carrier.h"

#ifdef _WIN32
#define LOCK_IS_FREE(lock) TryEnterCriticalSection(lock)
#define UNLOCK(lock) LeaveCriticalSection(lock)
#else
#include <fcntl.h>
#include <signal.h>
#define LOCK_IS_FREE(lock) (pthread_mutex_trylock(lock) == 0)
#define UNLOCK(lock) pthread_mutex_unlock(lock)
#endif

static void server_ends_in_every_order(void)
{
    nipc_managed_server_t server;
    nipc_cgroups_service_handler_t handler = {.handle = provider_answer};
    REQUIRE(nipc_server_init_typed(&server, check_dir(), "order", NULL, 0, &handler) == NIPC_OK);
    CHECK_EQ(server.worker_count, 1);
    nipc_server_stop(&server); /* before run: sticky */
    nipc_server_run(&server);
    nipc_server_stop(&server);
    CHECK(nipc_server_drain(&server, 5000));
    CHECK(nipc_server_drain(&server, 0));
    nipc_server_destroy(&server);
    nipc_server_destroy(&server);
    nipc_server_run(&server);
    CHECK(nipc_server_drain(&server, 0));
    REQUIRE(nipc_server_init_typed(&server, check_dir(), "order", NULL, 1, &handler) == NIPC_OK);
    nipc_server_destroy(&server); /* never run */
    L1(session_t) session;
    CHECK_EQ(L1(connect)(check_dir(), "order", NULL, &session), L1_CODE(ERR_CONNECT));
    CHECK_EQ(error_number(), NUMBER_NOT_FOUND);
}

static void second_server_is_refused_with_the_cause(void)
{
    nipc_managed_server_t first, second;
    nipc_cgroups_service_handler_t handler = {.handle = provider_answer};
    REQUIRE(nipc_server_init_typed(&first, check_dir(), "one", NULL, 1, &handler) == NIPC_OK);
    if (second_is_refused()) {
        error_number_clear();
        CHECK_EQ(nipc_server_init_typed(&second, check_dir(), "one", NULL, 1, &handler),
                 NIPC_ERR_BAD_LAYOUT);
        CHECK_EQ(error_number(), NUMBER_IN_USE);
        CHECK(strstr(nipc_last_error(), ENDPOINT_NAME("one")) != NULL);
        nipc_server_destroy(&second);
    }
    CHECK_EQ(nipc_server_init_typed(&second, check_dir(), "../x", NULL, 1, &handler),
             NIPC_ERR_BAD_LAYOUT);
#ifndef _WIN32 /* where no directory is needed */
    CHECK_EQ(nipc_server_init_typed(&second, "/nonexistent", "x", NULL, 1, &handler),
             NIPC_ERR_BAD_LAYOUT);
#endif
    CHECK_EQ(nipc_server_init_typed(&second, check_dir(), "x", NULL, 1, NULL), NIPC_ERR_BAD_LAYOUT);
    CHECK_EQ(nipc_server_init_typed(NULL, check_dir(), "x", NULL, 1, &handler), NIPC_ERR_BAD_LAYOUT);
    nipc_server_destroy(&first);
}

static void names_too_long_are_errors(void)
{
    static char dir[600], service[300];
    memset(dir, 'd', sizeof dir - 1);
    dir[0] = '/';
    memset(service, 's', sizeof service - 1);
    nipc_client_ctx_t client;
    nipc_client_init(&client, dir, "x", NULL);
    nipc_client_refresh(&client);
    CHECK(!nipc_client_ready(&client));
    CHECK(strlen(client.run_dir) == 255);
    nipc_client_close(&client);
    nipc_client_init(&client, "/tmp", service, NULL);
    nipc_client_refresh(&client);
    CHECK(!nipc_client_ready(&client));
    nipc_client_close(&client);
    nipc_client_init(&client, NULL, NULL, NULL);
    nipc_client_refresh(&client);
    CHECK(!nipc_client_ready(&client));
    nipc_client_close(&client);
    nipc_managed_server_t server;
    nipc_cgroups_service_handler_t handler = {.handle = provider_answer};
    CHECK_EQ(nipc_server_init_typed(&server, dir, "x", NULL, 1, &handler), NIPC_ERR_BAD_LAYOUT);
    nipc_server_destroy(&server);
}

static void method_served_can_be_changed_while_running(void)
{
    struct provider provider = {.items = 1};
    nipc_client_config_t config = provider_client(PROFILES_SOCKET);
    nipc_client_ctx_t client;
    nipc_cgroups_resp_view_t view;
    provider_start(&provider, "method", PROFILES_SOCKET);
    nipc_client_init(&client, check_dir(), "method", &config);
    nipc_client_refresh(&client);
    CHECK_EQ(provider.server.expected_method_code, NIPC_METHOD_CGROUPS_SNAPSHOT);
    __atomic_store_n(&provider.server.expected_method_code, 99, __ATOMIC_RELAXED);
    CHECK_EQ(nipc_client_call_cgroups_snapshot(&client, &view), NIPC_ERR_BAD_LAYOUT);
    CHECK(nipc_client_ready(&client)); /* the session goes on */
    __atomic_store_n(&provider.server.expected_method_code, NIPC_METHOD_CGROUPS_SNAPSHOT,
                     __ATOMIC_RELAXED);
    CHECK_EQ(nipc_client_call_cgroups_snapshot(&client, &view), NIPC_OK);
    nipc_client_close(&client);
    provider_stop(&provider);
}

static void members_show_the_server(void)
{
    struct provider provider = {.items = 1};
    nipc_client_config_t config = provider_client(PROFILES_SOCKET);
    nipc_client_ctx_t clients[2];
    provider_start(&provider, "members", PROFILES_SOCKET);
    nipc_managed_server_t *server = &provider.server;
    CHECK(strcmp(server->run_dir, check_dir()) == 0 && strcmp(server->service_name, "members") == 0);
    CHECK(server->worker_count == 4 && server->base_config.auth_token == 7);
    CHECK(server->learned_request_payload_bytes == NIPC_MAX_PAYLOAD_DEFAULT);
    CHECK(server->learned_response_payload_bytes == 65536);
    CHECK(server->request_payload_growth_ceiling == NIPC_MAX_PAYLOAD_CAP);
    CHECK(server->response_payload_growth_ceiling == NIPC_MAX_PAYLOAD_CAP);
    CHECK(server->session_capacity > 0 && server->next_session_id == 1);
    CHECK(LOCK_IS_FREE(&server->sessions_lock));
    CHECK_EQ(__atomic_load_n(&server->session_count, __ATOMIC_RELAXED), 0);
    UNLOCK(&server->sessions_lock);
    for (int i = 0; i < 2; i++) {
        nipc_client_init(&clients[i], check_dir(), "members", &config);
        nipc_client_refresh(&clients[i]);
        CHECK_EQ(__atomic_load_n(&server->session_count, __ATOMIC_RELAXED), i + 1);
        CHECK(__atomic_load_n(&server->running, __ATOMIC_ACQUIRE));
    }
    nipc_server_stop(server);
    pthread_join(provider.thread, NULL);
    CHECK(!server->running && server->session_count == 0);
#ifdef _WIN32
    CHECK(server->accept_loop_thread_id != 0 && !server->accept_loop_active);
    CHECK_EQ(server->auth_token, 7);
#else
    CHECK(server->acceptor_started && pthread_equal(server->acceptor_thread, provider.thread));
#endif
    nipc_server_destroy(server);
    for (int i = 0; i < 2; i++)
        nipc_client_close(&clients[i]);
}

struct stuck {
    struct event entered, release, left;
    nipc_managed_server_t *server;
    pthread_t running;
};

#define STUCK {EVENT, EVENT, EVENT, NULL, 0}

static bool stuck_handler(void *user, const nipc_cgroups_req_t *request,
                          nipc_cgroups_builder_t *reply)
{
    struct stuck *stuck = user;
    (void)request;
    event_set(&stuck->entered, true);
    event_wait(&stuck->release);
    nipc_cgroups_builder_set_header(reply, 0, 1);
    event_set(&stuck->left, true);
    return true;
}

static void *ask_once(void *arg)
{
    nipc_client_config_t config = provider_client(*(const uint32_t *)arg);
    nipc_client_ctx_t client;
    nipc_cgroups_resp_view_t view;
    nipc_client_init(&client, check_dir(), "stuck", &config);
    nipc_client_refresh(&client);
    CHECK(nipc_client_call_cgroups_snapshot(&client, &view) != NIPC_OK);
    nipc_client_close(&client);
    return NULL;
}

static void drain_leaves_a_stuck_handler_behind(void)
{
    for (int i = 0; i < CARRIERS; i++) {
        /* What a handler uses must live as long as the handler, the server need not. */
        static struct stuck stuck[] = {STUCK, STUCK, STUCK};
        nipc_server_config_t config = {.supported_profiles = carriers[i], .auth_token = 7};
        nipc_cgroups_service_handler_t handler = {.handle = stuck_handler, .user = &stuck[i]};
        nipc_managed_server_t *server = malloc(sizeof *server);
        pthread_t running, asking;
        REQUIRE(nipc_server_init_typed(server, check_dir(), "stuck", &config, 2, &handler) ==
                NIPC_OK);
        pthread_create(&running, NULL, server_main, server);
        pthread_create(&asking, NULL, ask_once, (void *)&carriers[i]);
        event_wait(&stuck[i].entered);
        long long start = check_now_ms();
        CHECK(!nipc_server_drain(server, 100));
        CHECK(check_now_ms() - start < 10000);
        pthread_join(running, NULL);
        nipc_server_destroy(server);
        free(server);
        pthread_join(asking, NULL);
        event_set(&stuck[i].release, true);
        event_wait(&stuck[i].left);
    }
}

static void *stop_when_asked(void *arg)
{
    struct stuck *stuck = arg;
    event_wait(&stuck->entered);
    nipc_server_stop(stuck->server);
    return NULL;
}

/* In the order of the guide, in one thread. */
static void run_returns_though_a_handler_does_not(void)
{
    for (int i = 0; i < CARRIERS; i++) {
        static struct stuck stuck[] = {STUCK, STUCK, STUCK};
        nipc_server_config_t config = {.supported_profiles = carriers[i], .auth_token = 7};
        nipc_cgroups_service_handler_t handler = {.handle = stuck_handler, .user = &stuck[i]};
        nipc_managed_server_t server;
        pthread_t asking, stopping;
        REQUIRE(nipc_server_init_typed(&server, check_dir(), "stuck", &config, 2, &handler) ==
                NIPC_OK);
        stuck[i].server = &server;
        pthread_create(&asking, NULL, ask_once, (void *)&carriers[i]);
        pthread_create(&stopping, NULL, stop_when_asked, &stuck[i]);
        nipc_server_run(&server);
        pthread_join(stopping, NULL);
        CHECK(!nipc_server_drain(&server, 100));
        nipc_server_destroy(&server);
        pthread_join(asking, NULL);
        event_set(&stuck[i].release, true);
        event_wait(&stuck[i].left);
    }
}

/* Stops a server whose handler is at it, and lets the handler go only when run has returned. */
static void *finish_server(void *arg)
{
    struct stuck *stuck = arg;
    event_wait(&stuck->entered);
    nipc_server_stop(stuck->server);
    pthread_join(stuck->running, NULL);
    event_set(&stuck->release, true);
    CHECK(nipc_server_drain(stuck->server, 10000));
    nipc_server_destroy(stuck->server);
    return NULL;
}

/* Requests under way when the server stops are answered while it drains. */
static void drain_waits_for_what_run_left(void)
{
    static struct stuck stuck = {EVENT, EVENT, EVENT, NULL, 0};
    nipc_server_config_t server_config = {.auth_token = 7};
    nipc_client_config_t config = provider_client(PROFILES_SOCKET);
    nipc_cgroups_service_handler_t handler = {.handle = stuck_handler, .user = &stuck};
    nipc_managed_server_t server;
    nipc_client_ctx_t client;
    nipc_cgroups_resp_view_t view;
    pthread_t releasing;
    REQUIRE(nipc_server_init_typed(&server, check_dir(), "left", &server_config, 1, &handler) ==
            NIPC_OK);
    stuck.server = &server;
    pthread_create(&stuck.running, NULL, server_main, &server);
    pthread_create(&releasing, NULL, finish_server, &stuck);
    nipc_client_init(&client, check_dir(), "left", &config);
    nipc_client_refresh(&client);
    CHECK_EQ(nipc_client_call_cgroups_snapshot(&client, &view), NIPC_OK);
    pthread_join(releasing, NULL);
    nipc_client_close(&client);
}

struct nested {
    nipc_managed_server_t server;
    struct provider *inner;
};

static bool nested_handler(void *user, const nipc_cgroups_req_t *request,
                           nipc_cgroups_builder_t *reply)
{
    struct nested *nested = user;
    nipc_client_config_t config = provider_client(PROFILES_SOCKET);
    nipc_client_ctx_t client;
    nipc_cgroups_resp_view_t view;
    (void)request;
    nipc_client_init(&client, check_dir(), "inner", &config);
    nipc_client_refresh(&client);
    bool answered = nipc_client_call_cgroups_snapshot(&client, &view) == NIPC_OK;
    if (answered)
        nipc_cgroups_builder_set_header(reply, 0, view.generation);
    nipc_client_close(&client);
    nipc_server_stop(&nested->server); /* the request under way is answered all the same */
    return answered;
}

static void handlers_may_ask_others_and_stop_their_server(void)
{
    static struct provider inner = {.items = 1, .generation = 99};
    static struct nested nested = {.inner = &inner};
    nipc_server_config_t server_config = {.auth_token = 7};
    nipc_cgroups_service_handler_t handler = {.handle = nested_handler, .user = &nested};
    nipc_client_config_t config = provider_client(PROFILES_SOCKET);
    nipc_client_ctx_t client;
    nipc_cgroups_resp_view_t view;
    pthread_t running;
    provider_start(&inner, "inner", PROFILES_SOCKET);
    REQUIRE(nipc_server_init_typed(&nested.server, check_dir(), "outer", &server_config, 1,
                                   &handler) == NIPC_OK);
    pthread_create(&running, NULL, server_main,
                   &nested.server);
    nipc_client_init(&client, check_dir(), "outer", &config);
    nipc_client_refresh(&client);
    CHECK_EQ(nipc_client_call_cgroups_snapshot(&client, &view), NIPC_OK);
    CHECK_EQ(view.generation, 99);
    nipc_client_close(&client);
    pthread_join(running, NULL);
    nipc_server_destroy(&nested.server);
    provider_stop(&inner);
}

#ifndef _WIN32 /* which has no signals */
static nipc_managed_server_t *signalled;

static void stop_signalled(int number)
{
    (void)number;
    nipc_server_stop(signalled);
}

/* The thread that runs the server is interrupted, and goes on with what ends it. */
static void signal_handlers_may_stop_a_server(void)
{
    static struct provider provider = {.items = 1};
    struct sigaction stop = {.sa_handler = stop_signalled}, before;
    nipc_client_config_t config = provider_client(PROFILES_SHM);
    nipc_client_ctx_t client;
    signalled = &provider.server;
    REQUIRE(sigaction(SIGUSR1, &stop, &before) == 0);
    provider_start(&provider, "signalled", PROFILES_SHM);
    nipc_client_init(&client, check_dir(), "signalled", &config);
    nipc_client_refresh(&client);
    CHECK(nipc_client_ready(&client));
    REQUIRE(pthread_kill(provider.thread, SIGUSR1) == 0);
    pthread_join(provider.thread, NULL);
    CHECK(nipc_server_drain(&provider.server, 5000)); /* the idle session has ended, too */
    nipc_server_destroy(&provider.server);
    nipc_client_close(&client);
    sigaction(SIGUSR1, &before, NULL);
}
#endif

static void zeroed_and_null_are_left_alone(void)
{
    static nipc_client_ctx_t client;
    static nipc_managed_server_t server;
    static nipc_cgroups_cache_t cache;
    static L1(session_t) session;
    static L1(listener_t) listener;
    static REGION(ctx_t) shm;
    static nipc_cgroups_cache_read_guard_t guard;
    nipc_client_close(&client);
    nipc_client_close(NULL);
    nipc_client_abort(&client);
    nipc_client_abort(NULL);
    nipc_client_clear_abort(NULL);
    nipc_client_set_call_timeout(NULL, 1);
    CHECK(!nipc_client_refresh(&client));
    CHECK(!nipc_client_refresh(NULL));
    CHECK(!nipc_client_ready(NULL));
    nipc_server_stop(&server);
    nipc_server_run(&server);
    nipc_server_destroy(&server);
    nipc_server_destroy(NULL);
    nipc_server_stop(NULL);
    nipc_server_drain(NULL, 0);
    CHECK(!nipc_cgroups_cache_refresh(&cache));
    CHECK(!nipc_cgroups_cache_ready(&cache));
    CHECK(nipc_cgroups_cache_lookup(&cache, 1, "x") == NULL);
    CHECK(!nipc_cgroups_cache_read_lock(&cache, &guard));
    nipc_cgroups_cache_read_unlock(&guard);
    nipc_cgroups_cache_read_unlock(NULL);
    nipc_cgroups_cache_close(&cache);
    nipc_cgroups_cache_close(NULL);
    nipc_cgroups_cache_item_free(NULL);
    L1(close_session)(&session);
    L1(close_session)(NULL);
    L1(close_listener)(&listener);
    L1(close_listener)(NULL);
    REGION(close)(&shm);
    REGION(destroy)(&shm);
    REGION(destroy)(NULL);
#ifndef _WIN32
    CHECK(fcntl(0, F_GETFD) >= 0); /* descriptor 0 is still open */
#endif
}

int main(void)
{
    RUN(server_ends_in_every_order);
    RUN(second_server_is_refused_with_the_cause);
    RUN(names_too_long_are_errors);
    RUN(method_served_can_be_changed_while_running);
    RUN(members_show_the_server);
    RUN(drain_leaves_a_stuck_handler_behind);
    RUN(run_returns_though_a_handler_does_not);
    RUN(drain_waits_for_what_run_left);
    RUN(handlers_may_ask_others_and_stop_their_server);
#ifndef _WIN32
    RUN(signal_handlers_may_stop_a_server);
#endif
    RUN(zeroed_and_null_are_left_alone);
    return check_result();
}
