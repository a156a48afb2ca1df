/*
 * Refreshing a cache: from the question until an item can be looked up.
 */
#include "peer.h"

#include <stdatomic.h>
#include <stdlib.h>

struct provider {
    const struct cgroup *all;
    uint32_t count;
    atomic_ullong generation;
};

static bool answer(void *user, const nipc_cgroups_req_t *request, nipc_cgroups_builder_t *reply)
{
    struct provider *provider = user;
    (void)request;
    /* Another one each time, so that no cache may keep what it has. */
    nipc_cgroups_builder_set_header(reply, 1, atomic_fetch_add(&provider->generation, 1) + 1);
    for (uint32_t i = 0; i < provider->count; i++) {
        const struct cgroup *cgroup = &provider->all[i];
        if (nipc_cgroups_builder_add(reply, cgroup->hash, 0, 1, cgroup->name, cgroup->name_len,
                                     cgroup->path, cgroup->path_len) != NIPC_OK)
            return false;
    }
    return true;
}

bool snapshot_serve(const struct bench *bench)
{
    struct cgroup *all = cgroups_make(bench->items);
    if (!all)
        return fail("no memory");
    struct provider provider = {.all = all, .count = bench->items};
    nipc_server_config_t config = server_config(bench);
    nipc_cgroups_service_handler_t handler = {
        .handle = answer, .snapshot_max_items = bench->items, .user = &provider};
    nipc_managed_server_t server;
    bool good = nipc_server_init_typed(&server, bench->dir, bench->service, &config, bench->workers,
                                       &handler) == NIPC_OK
                    ? run(&server) : fail("%s", nipc_last_error());
    free(all);
    return good;
}

struct refresher {
    nipc_cgroups_cache_t cache;
    const struct cgroup *last;
    uint32_t count;
};

static bool refresh(void *user)
{
    struct refresher *refresher = user;
    if (!nipc_cgroups_cache_refresh(&refresher->cache))
        return fail("%s", nipc_last_error());
    return (nipc_cgroups_cache_lookup(&refresher->cache, refresher->last->hash,
                                      refresher->last->name) != NULL &&
            refresher->cache.item_count == refresher->count) ||
           fail("the table is not whole");
}

bool snapshot_call(const struct bench *bench)
{
    struct cgroup *all = cgroups_make(bench->items);
    if (!all)
        return fail("no memory");
    struct refresher refresher = {.last = &all[bench->items - 1], .count = bench->items};
    nipc_client_config_t config = client_config(bench);
    nipc_cgroups_cache_init(&refresher.cache, bench->dir, bench->service, &config);
    bool good = refresh(&refresher) &&
                (refresher.cache.client.session.selected_profile == profile(bench) ||
                 fail("the session is over another transport")) &&
                measure(bench, refresh, &refresher);
    nipc_cgroups_cache_close(&refresher.cache);
    free(all);
    return good;
}
