/*
 * Lookups of many keys, every item looked at.
 */
#include "peer.h"

#include <stdlib.h>

struct provider {
    uint32_t count;
    const struct cgroup *cgroups;
    const struct process *processes;
};

static bool answer_cgroups(void *user, const nipc_cgroups_lookup_req_view_t *request,
                           nipc_cgroups_lookup_builder_t *reply)
{
    const struct provider *provider = user;
    nipc_cgroups_lookup_builder_set_generation(reply, 7);
    for (uint32_t at = 0; at < request->item_count; at++) {
        nipc_cgroups_lookup_req_item_t key;
        if (nipc_cgroups_lookup_req_item(request, at, &key) != NIPC_OK)
            return false;
        uint32_t i = cgroup_index(key.path);
        const struct cgroup *found = i < provider->count ? &provider->cgroups[i] : NULL;
        nipc_error_t error =
            found ? nipc_cgroups_lookup_builder_add(
                        reply, NIPC_CGROUP_LOOKUP_KNOWN, NIPC_ORCHESTRATOR_SYSTEMD, key.path.ptr,
                        key.path.len, found->name, found->name_len, found->labels, 2)
                  : nipc_cgroups_lookup_builder_add(reply, NIPC_CGROUP_LOOKUP_UNKNOWN_PERMANENT, 0,
                                                    key.path.ptr, key.path.len, "", 0, NULL, 0);
        if (error != NIPC_OK)
            return false;
    }
    return true;
}

bool cgroups_serve(const struct bench *bench)
{
    struct cgroup *all = cgroups_make(bench->items);
    if (!all)
        return fail("no memory");
    struct provider provider = {.count = bench->items, .cgroups = all};
    nipc_server_config_t config = server_config(bench);
    nipc_cgroups_lookup_service_handler_t handler = {.handle = answer_cgroups, .user = &provider};
    nipc_managed_server_t server;
    bool good = nipc_server_init_cgroups_lookup(&server, bench->dir, bench->service, &config,
                                                bench->workers, &handler) == NIPC_OK
                    ? run(&server) : fail("%s", nipc_last_error());
    free(all);
    return good;
}

static bool answer_apps(void *user, const nipc_apps_lookup_req_view_t *request,
                        nipc_apps_lookup_builder_t *reply)
{
    const struct provider *provider = user;
    nipc_apps_lookup_builder_set_generation(reply, 7);
    for (uint32_t at = 0; at < request->item_count; at++) {
        nipc_apps_lookup_req_item_t key;
        if (nipc_apps_lookup_req_item(request, at, &key) != NIPC_OK)
            return false;
        uint32_t i = key.pid - 1; /* pid 0 is beyond them all */
        const struct process *found = i < provider->count ? &provider->processes[i] : NULL;
        nipc_error_t error =
            found ? nipc_apps_lookup_builder_add(
                        reply, NIPC_PID_LOOKUP_KNOWN, NIPC_APPS_CGROUP_KNOWN,
                        NIPC_ORCHESTRATOR_SYSTEMD, key.pid, 1, 1000, key.pid, found->comm,
                        found->comm_len, found->path, found->path_len, found->name, found->name_len,
                        NULL, 0)
                  : nipc_apps_lookup_builder_add(reply, NIPC_PID_LOOKUP_UNKNOWN, 0, 0, key.pid, 0,
                                                 NIPC_UID_UNSET, 0, "", 0, "", 0, "", 0, NULL, 0);
        if (error != NIPC_OK)
            return false;
    }
    return true;
}

bool apps_serve(const struct bench *bench)
{
    struct process *all = processes_make(bench->items);
    if (!all)
        return fail("no memory");
    struct provider provider = {.count = bench->items, .processes = all};
    nipc_server_config_t config = server_config(bench);
    nipc_apps_lookup_service_handler_t handler = {.handle = answer_apps, .user = &provider};
    nipc_managed_server_t server;
    bool good = nipc_server_init_apps_lookup(&server, bench->dir, bench->service, &config,
                                             bench->workers, &handler) == NIPC_OK
                    ? run(&server) : fail("%s", nipc_last_error());
    free(all);
    return good;
}

/* ---- The clients ------------------------------------------------------------------------------- */

struct asker {
    nipc_client_ctx_t client;
    uint32_t count;
    nipc_str_view_t *paths;
    uint32_t *pids;
};

static bool ask_cgroups(void *user)
{
    struct asker *asker = user;
    nipc_cgroups_lookup_resp_view_t view;
    if (nipc_client_call_cgroups_lookup(&asker->client, asker->paths, asker->count, &view) != NIPC_OK)
        return fail("%s", nipc_last_error());
    for (uint32_t i = 0; i < asker->count; i++) {
        nipc_cgroups_lookup_item_view_t item;
        if (nipc_cgroups_lookup_resp_item(&view, i, &item) != NIPC_OK ||
            item.status != NIPC_CGROUP_LOOKUP_KNOWN)
            return fail("item %u is missing", i);
    }
    return true;
}

bool cgroups_call(const struct bench *bench)
{
    struct cgroup *all = cgroups_make(bench->items);
    struct asker asker = {.count = bench->items};
    asker.paths = calloc(bench->items, sizeof *asker.paths);
    bool good = (all && asker.paths) || fail("no memory");
    for (uint32_t i = 0; good && i < bench->items; i++)
        asker.paths[i] = (nipc_str_view_t){all[i].path, all[i].path_len};
    good = good && connected(&asker.client, bench) && measure(bench, ask_cgroups, &asker);
    nipc_client_close(&asker.client);
    free(asker.paths);
    free(all);
    return good;
}

static bool ask_apps(void *user)
{
    struct asker *asker = user;
    nipc_apps_lookup_resp_view_t view;
    if (nipc_client_call_apps_lookup(&asker->client, asker->pids, asker->count, &view) != NIPC_OK)
        return fail("%s", nipc_last_error());
    for (uint32_t i = 0; i < asker->count; i++) {
        nipc_apps_lookup_item_view_t item;
        if (nipc_apps_lookup_resp_item(&view, i, &item) != NIPC_OK ||
            item.status != NIPC_PID_LOOKUP_KNOWN)
            return fail("item %u is missing", i);
    }
    return true;
}

bool apps_call(const struct bench *bench)
{
    struct asker asker = {.count = bench->items};
    asker.pids = calloc(bench->items, sizeof *asker.pids);
    bool good = asker.pids || fail("no memory");
    for (uint32_t i = 0; good && i < bench->items; i++)
        asker.pids[i] = i + 1;
    good = good && connected(&asker.client, bench) && measure(bench, ask_apps, &asker);
    nipc_client_close(&asker.client);
    free(asker.pids);
    return good;
}
