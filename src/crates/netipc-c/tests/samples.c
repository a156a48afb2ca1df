/*
 * Programs as the getting-started guide shows them, unchanged but for the directory, what stops the
 * server, and what the guide leaves to the reader. Compiled as gnu11, gnu17 and gnu2x.
 */
#include "netipc/netipc_service.h"

#include <stdio.h>

#include "check.h"

#define RUN_DIR check_dir()

/* ---- The server of the guide ------------------------------------------------------------------ */

static bool my_handler(void *user, const nipc_cgroups_req_t *request,
                       nipc_cgroups_builder_t *builder)
{
    (void)user;
    (void)request;
    nipc_cgroups_builder_add(builder, 12345, 0, 1, "docker-abc123", 13, "/sys/fs/cgroup/docker/abc123",
                             28);
    return true;
}

static nipc_cgroups_service_handler_t handler = {
    .handle = my_handler,
    .user = NULL,
};

static nipc_managed_server_t *running_server; /* for whoever stops it */
static struct event ready = EVENT;

static void *server_main(void *arg)
{
    (void)arg;
    nipc_server_config_t config = {
        .supported_profiles = NIPC_PROFILE_BASELINE,
        .max_request_batch_items = 1,
        .max_response_payload_bytes = 65536,
        .auth_token = 0xDEADBEEFCAFEBABE,
    };

    nipc_managed_server_t server;
    nipc_server_init_typed(&server, RUN_DIR, "cgroups-snapshot", &config, 4, &handler);
    running_server = &server;
    event_set(&ready, true);
    nipc_server_run(&server);

    nipc_server_stop(&server);
    nipc_server_drain(&server, 5000);
    nipc_server_destroy(&server);
    return NULL;
}

/* A server with an elided configuration. */
static void *default_server_main(void *arg)
{
    (void)arg;
    nipc_server_config_t config = {};
    nipc_managed_server_t server;
    nipc_server_init_typed(&server, RUN_DIR, "default", &config, 4, &handler);
    running_server = &server;
    event_set(&ready, true);
    nipc_server_run(&server);
    nipc_server_destroy(&server);
    return NULL;
}

static pthread_t start(void *(*main_of_it)(void *))
{
    pthread_t thread;
    event_set(&ready, false);
    REQUIRE(pthread_create(&thread, NULL, main_of_it, NULL) == 0);
    event_wait(&ready);
    return thread;
}

/* ---- The client of the guide ------------------------------------------------------------------ */

static int items_seen;

static void client_sample(void)
{
    nipc_client_config_t config = {
        .supported_profiles = NIPC_PROFILE_BASELINE,
        .max_request_batch_items = 1,
        .max_response_payload_bytes = 65536,
        .auth_token = 0xDEADBEEFCAFEBABE,
    };

    nipc_client_ctx_t client;
    nipc_client_init(&client, RUN_DIR, "cgroups-snapshot", &config);

    nipc_client_refresh(&client);

    if (nipc_client_ready(&client)) {
        nipc_cgroups_resp_view_t view;
        if (nipc_client_call_cgroups_snapshot(&client, &view) == NIPC_OK) {
            for (uint32_t i = 0; i < view.item_count; i++) {
                nipc_cgroups_item_view_t item;
                nipc_cgroups_resp_item(&view, i, &item);
                /* use item.hash, item.name.ptr, item.name.len, item.path.ptr, item.path.len */
                items_seen += item.hash == 12345 && item.name.len == 13 && item.path.len == 28;
            }
        }
    }

    nipc_client_close(&client);
}

/* ---- The cache of the guide ------------------------------------------------------------------- */

static int paths_seen;

static void cache_sample(uint32_t hash)
{
    nipc_client_config_t config = {};
    nipc_cgroups_cache_t cache;
    nipc_cgroups_cache_init(&cache, RUN_DIR, "default", &config);

    if (nipc_cgroups_cache_refresh(&cache)) {
        printf("cached %u items\n", cache.item_count);
    }

    const nipc_cgroups_cache_item_t *item = nipc_cgroups_cache_lookup(&cache, hash, "docker-abc123");
    if (item) {
        printf("%s -> %s\n", item->name, item->path);
        paths_seen += strcmp(item->path, "/sys/fs/cgroup/docker/abc123") == 0;
    }

    nipc_cgroups_cache_close(&cache);
}

/* The cache of the guide's later edition. */
static void guarded_cache_sample(uint32_t hash)
{
    nipc_client_config_t config = {};
    nipc_cgroups_cache_t cache;
    nipc_cgroups_cache_init(&cache, RUN_DIR, "default", &config);

    if (nipc_cgroups_cache_refresh(&cache)) {
        nipc_cgroups_cache_status_t status;
        nipc_cgroups_cache_status(&cache, &status);
        printf("cached %u items\n", status.item_count);
    }

    nipc_cgroups_cache_read_guard_t guard;
    if (nipc_cgroups_cache_read_lock(&cache, &guard)) {
        const nipc_cgroups_cache_item_view_t *item =
            nipc_cgroups_cache_get(&guard, hash, "docker-abc123");
        if (item)
            paths_seen += strcmp(item->path, "/sys/fs/cgroup/docker/abc123") == 0;
        nipc_cgroups_cache_read_unlock(&guard);
    }

    nipc_cgroups_cache_close(&cache);
}

static void client_finds_no_server_and_goes_on(void)
{
    client_sample();
    CHECK_EQ(items_seen, 0);
    cache_sample(12345);
    CHECK_EQ(paths_seen, 0);
}

static void client_and_server_of_the_guide_work_together(void)
{
    pthread_t thread = start(server_main);
    client_sample();
    CHECK_EQ(items_seen, 1);
    nipc_server_stop(running_server);
    pthread_join(thread, NULL);
}

static void caches_of_the_guide_find_what_is_served(void)
{
    pthread_t thread = start(default_server_main);
    cache_sample(12345);
    CHECK_EQ(paths_seen, 1);
    guarded_cache_sample(12345);
    CHECK_EQ(paths_seen, 2);
    cache_sample(54321);
    CHECK_EQ(paths_seen, 2);
    nipc_server_stop(running_server);
    pthread_join(thread, NULL);
}

int main(void)
{
    RUN(client_finds_no_server_and_goes_on);
    RUN(client_and_server_of_the_guide_work_together);
    RUN(caches_of_the_guide_find_what_is_served);
    return check_result();
}
