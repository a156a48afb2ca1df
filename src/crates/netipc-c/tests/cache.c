/* The cache: both ways to look things up, and many threads at once. */
#define NIPC_INTERNAL_TESTING
#include "provider.h"

#include "carrier.h"

static void refresh_publishes_what_the_provider_says(void)
{
    struct provider provider = {.items = 10, .generation = 4};
    nipc_client_config_t config = provider_client(PROFILES_SHM);
    nipc_cgroups_cache_t cache;
    nipc_cgroups_cache_status_t status;
    provider_start(&provider, "cache", PROFILES_SHM);
    nipc_cgroups_cache_init(&cache, check_dir(), "cache", &config);
    CHECK(!nipc_cgroups_cache_ready(&cache));
    CHECK(nipc_cgroups_cache_lookup(&cache, 31, "cgroup_1") == NULL);
    CHECK(nipc_cgroups_cache_refresh(&cache));
    CHECK(nipc_cgroups_cache_ready(&cache));
    CHECK_EQ(cache.item_count, 10);

    const nipc_cgroups_cache_item_t *item = nipc_cgroups_cache_lookup(&cache, 31, "cgroup_1");
    CHECK(item && item->hash == 31 && item->options == 2 && item->enabled == 1);
    CHECK(item && strcmp(item->name, "cgroup_1") == 0);
    CHECK(item && strcmp(item->path, "/sys/fs/cgroup/machine.slice/1/cgroup.procs") == 0);
    CHECK(nipc_cgroups_cache_lookup(&cache, 31, "cgroup_2") == NULL);
    CHECK(nipc_cgroups_cache_lookup(&cache, 32, "cgroup_1") == NULL);
    CHECK(nipc_cgroups_cache_lookup(&cache, 31, NULL) == NULL);
    CHECK(nipc_cgroups_cache_lookup(NULL, 31, "cgroup_1") == NULL);

    nipc_cgroups_cache_status(&cache, &status);
    CHECK(status.populated && status.item_count == 10 && status.systemd_enabled == 1);
    CHECK(status.generation == 4 && status.refresh_success_count == 1);
    CHECK(status.refresh_failure_count == 0 && status.connection_state == NIPC_CLIENT_READY);
    CHECK(status.last_refresh_ts > 0 && (long long)status.last_refresh_ts <= check_now_ms());
    CHECK(cache.refresh_success_count == 1 && cache.client.shm != NULL);

    provider_stop(&provider);
    CHECK(!nipc_cgroups_cache_refresh(&cache)); /* the last one stays */
    CHECK(!nipc_cgroups_cache_refresh(&cache));
    CHECK(strstr(nipc_last_error(), ENDPOINT_NAME("cache")) != NULL); /* why there is no session */
    CHECK(nipc_cgroups_cache_lookup(&cache, 31, "cgroup_1") == item);
    nipc_cgroups_cache_status(&cache, &status);
    CHECK(status.populated && status.refresh_failure_count == 2 && status.item_count == 10);
    CHECK(status.connection_state != NIPC_CLIENT_READY);
    nipc_cgroups_cache_close(&cache);
    CHECK(nipc_cgroups_cache_lookup(&cache, 31, "cgroup_1") == NULL);
    nipc_cgroups_cache_status(&cache, &status);
    CHECK(!status.populated && status.item_count == 0);
    nipc_cgroups_cache_close(&cache);
}

static void guard_keeps_its_snapshot(void)
{
    struct provider provider = {.items = 3, .generation = 1};
    nipc_client_config_t config = provider_client(PROFILES_SOCKET);
    nipc_cgroups_cache_t cache;
    nipc_cgroups_cache_read_guard_t guard, newer;
    provider_start(&provider, "guard", PROFILES_SOCKET);
    nipc_cgroups_cache_init(&cache, check_dir(), "guard", &config);
    CHECK(nipc_cgroups_cache_read_lock(&cache, &guard)); /* empty, and locked */
    CHECK(guard.locked && guard.snapshot == NULL);
    CHECK(nipc_cgroups_cache_get(&guard, 0, "cgroup_0") == NULL);
    CHECK(nipc_cgroups_cache_at(&guard, 0) == NULL);
    nipc_cgroups_cache_read_unlock(&guard);
    CHECK(nipc_cgroups_cache_refresh(&cache));
    CHECK(nipc_cgroups_cache_read_lock(&cache, &guard));
    const nipc_cgroups_cache_item_view_t *item = nipc_cgroups_cache_get(&guard, 62, "cgroup_2");
    CHECK(item && strcmp(item->name, "cgroup_2") == 0);

    provider.items = 2;
    CHECK(nipc_cgroups_cache_refresh(&cache)); /* does not wait for the guard */
    CHECK_EQ(cache.item_count, 2);
    CHECK(item && strcmp(item->name, "cgroup_2") == 0);
    CHECK(nipc_cgroups_cache_read_lock(&cache, &newer));
    CHECK(nipc_cgroups_cache_get(&newer, 62, "cgroup_2") == NULL);
    uint32_t count = 0;
    for (const nipc_cgroups_cache_item_view_t *each; (each = nipc_cgroups_cache_at(&guard, count));
         count++)
        CHECK_EQ(each->hash, count * 31);
    CHECK_EQ(count, 3);

    nipc_cgroups_cache_item_t *copy = nipc_cgroups_cache_item_dup(&guard, item);
    nipc_cgroups_cache_read_unlock(&guard);
    nipc_cgroups_cache_read_unlock(&guard);
    nipc_cgroups_cache_read_unlock(&newer);
    CHECK(nipc_cgroups_cache_get(&guard, 62, "cgroup_2") == NULL);
    CHECK(nipc_cgroups_cache_item_dup(&guard, NULL) == NULL);
    nipc_cgroups_cache_close(&cache);
    provider_stop(&provider);
    CHECK(copy && copy->hash == 62 && strcmp(copy->name, "cgroup_2") == 0);
    nipc_cgroups_cache_item_free(copy);
}

static void unchanged_snapshot_stays_and_others_spare_what_is_held(void)
{
    struct provider provider = {.items = 5};
    nipc_client_config_t config = provider_client(PROFILES_SHM);
    nipc_cgroups_cache_t cache;
    nipc_cgroups_cache_status_t status;
    nipc_cgroups_cache_read_guard_t guard;
    provider_start(&provider, "unchanged", PROFILES_SHM);
    nipc_cgroups_cache_init(&cache, check_dir(), "unchanged", &config);
    CHECK(nipc_cgroups_cache_refresh(&cache));
    const nipc_cgroups_cache_snapshot_t *snapshot = cache.snapshot;
    const nipc_cgroups_cache_item_t *item = nipc_cgroups_cache_lookup(&cache, 31, "cgroup_1");
    CHECK(nipc_cgroups_cache_refresh(&cache));
    CHECK(cache.snapshot == snapshot);
    CHECK(item && nipc_cgroups_cache_lookup(&cache, 31, "cgroup_1") == item);
    nipc_cgroups_cache_status(&cache, &status);
    CHECK_EQ(status.refresh_success_count, 2);

    CHECK(nipc_cgroups_cache_read_lock(&cache, &guard));
    for (uint32_t generation = 1; generation < 5; generation++) {
        provider.generation = generation;
        provider.items = (int)(5 - generation);
        CHECK(nipc_cgroups_cache_refresh(&cache));
        CHECK(cache.snapshot != snapshot);
        CHECK_EQ(cache.item_count, 5 - generation);
        CHECK(nipc_cgroups_cache_lookup(&cache, 31 * (5 - generation), "cgroup_0") == NULL);
        CHECK(nipc_cgroups_cache_lookup(&cache, 0, "cgroup_0") != NULL);
        for (uint32_t i = 0; i < 5; i++) {
            char name[32];
            snprintf(name, sizeof name, "cgroup_%u", i);
            CHECK(strcmp(nipc_cgroups_cache_at(&guard, i)->name, name) == 0);
        }
        nipc_cgroups_cache_status(&cache, &status);
        CHECK_EQ(status.generation, generation);
    }
    nipc_cgroups_cache_read_unlock(&guard);
    nipc_cgroups_cache_close(&cache);
    provider_stop(&provider);
}

static void abort_and_timeout_reach_the_refresh(void)
{
    nipc_cgroups_cache_t cache;
    struct provider provider = {.items = 1};
    nipc_client_config_t config = provider_client(PROFILES_SOCKET);
    provider_start(&provider, "aborted", PROFILES_SOCKET);
    nipc_cgroups_cache_init(&cache, check_dir(), "aborted", &config);
    nipc_cgroups_cache_abort(&cache);
    CHECK(!nipc_cgroups_cache_refresh(&cache));
    nipc_cgroups_cache_clear_abort(&cache);
    CHECK(nipc_cgroups_cache_refresh(&cache));
    nipc_client_abort(&cache.client);
    CHECK(!nipc_cgroups_cache_refresh(&cache));
    nipc_client_clear_abort(&cache.client);
    CHECK(nipc_cgroups_cache_refresh(&cache));
    nipc_cgroups_cache_set_call_timeout(&cache, 1234);
    CHECK_EQ(cache.client.call_timeout_ms, 1234);
    nipc_cgroups_cache_set_call_timeout(&cache, 0);
    CHECK_EQ(cache.client.call_timeout_ms, NIPC_CLIENT_CALL_TIMEOUT_DEFAULT_MS);
    nipc_cgroups_cache_close(&cache);
    provider_stop(&provider);
}

static void seeded_cache_finds_the_first_of_equals(void)
{
    nipc_cgroups_cache_t cache;
    nipc_cgroups_cache_item_t items[] = {{1, 10, 0, (char *)"a", (char *)"/1"},
                                         {1, 20, 0, (char *)"a", (char *)"/2"},
                                         {2, 30, 0, (char *)"a", (char *)"/3"}};
    nipc_cgroups_cache_init(&cache, check_dir(), "seed", NULL);
    CHECK(nipc_cgroups_cache_seed_for_tests(&cache, items, 3, 1, 5));
    CHECK_EQ(cache.item_count, 3);
    CHECK(nipc_cgroups_cache_ready(&cache));
    CHECK_EQ(nipc_cgroups_cache_lookup(&cache, 1, "a")->options, 10);
    CHECK_EQ(nipc_cgroups_cache_lookup(&cache, 2, "a")->options, 30);
    nipc_cgroups_cache_close(&cache);
    CHECK(!nipc_cgroups_cache_seed_for_tests(&cache, items, 3, 1, 5));
}

struct readers {
    nipc_cgroups_cache_t cache;
    bool stop;
    unsigned found;
    struct event enough; /* was found */
};

static void *read_on(void *arg)
{
    struct readers *readers = arg;
    while (!__atomic_load_n(&readers->stop, __ATOMIC_ACQUIRE)) {
        nipc_cgroups_cache_read_guard_t guard;
        nipc_cgroups_cache_status_t status;
        if (!nipc_cgroups_cache_read_lock(&readers->cache, &guard))
            continue;
        for (uint32_t i = 0; i < 50; i++) {
            char name[32];
            snprintf(name, sizeof name, "cgroup_%u", i);
            const nipc_cgroups_cache_item_view_t *item = nipc_cgroups_cache_get(&guard, i * 31, name);
            if (item) {
                CHECK(strcmp(item->name, name) == 0);
                if (__atomic_add_fetch(&readers->found, 1, __ATOMIC_RELAXED) == 100)
                    event_set(&readers->enough, true);
            }
        }
        nipc_cgroups_cache_read_unlock(&guard);
        nipc_cgroups_cache_status(&readers->cache, &status);
        CHECK(status.item_count == 0 || status.item_count == 50);
    }
    return NULL;
}

static void readers_and_refreshes_do_not_wait_for_each_other(void)
{
    enum { THREADS = 8 };
    struct provider provider = {.items = 50};
    nipc_client_config_t config = provider_client(PROFILES_SHM);
    static struct readers readers = {.enough = EVENT};
    pthread_t threads[THREADS];
    provider_start(&provider, "readers", PROFILES_SHM);
    nipc_cgroups_cache_init(&readers.cache, check_dir(), "readers", &config);
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, read_on, &readers);
    for (int i = 0; i < 100; i++) {
        provider.generation++;
        CHECK(nipc_cgroups_cache_refresh(&readers.cache));
    }
    event_wait(&readers.enough);
    __atomic_store_n(&readers.stop, true, __ATOMIC_RELEASE);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    nipc_cgroups_cache_close(&readers.cache);
    provider_stop(&provider);
}

int main(void)
{
    RUN(refresh_publishes_what_the_provider_says);
    RUN(guard_keeps_its_snapshot);
    RUN(unchanged_snapshot_stays_and_others_spare_what_is_held);
    RUN(abort_and_timeout_reach_the_refresh);
    RUN(seeded_cache_finds_the_first_of_equals);
    RUN(readers_and_refreshes_do_not_wait_for_each_other);
    return check_result();
}
