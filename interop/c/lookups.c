/*
 * Lookups of many keys with little room for the answers.
 */
#include "peer.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* What the handlers of a server have. */
struct provider {
    uint64_t generation;
    nipc_str_view_t long_name;
    atomic_ullong requests;
};

static bool answer_cgroups(void *user, const nipc_cgroups_lookup_req_view_t *request,
                           nipc_cgroups_lookup_builder_t *reply)
{
    struct provider *provider = user;
    atomic_fetch_add(&provider->requests, 1);
    nipc_cgroups_lookup_builder_set_generation(reply, provider->generation);
    for (uint32_t index = 0; index < request->item_count; index++) {
        nipc_cgroups_lookup_req_item_t key;
        struct answer answer = {.status = NIPC_CGROUP_LOOKUP_UNKNOWN_PERMANENT};
        uint32_t i;
        if (nipc_cgroups_lookup_req_item(request, index, &key) != NIPC_OK)
            return false;
        if (index_of(key.path, &i))
            cgroup_at(i, provider->long_name, &answer);
        if (nipc_cgroups_lookup_builder_add(reply, answer.status, answer.orchestrator, key.path.ptr,
                                            key.path.len, answer.name.ptr, answer.name.len,
                                            answer.labels, answer.label_count) != NIPC_OK)
            return false;
    }
    return true;
}

static bool answer_apps(void *user, const nipc_apps_lookup_req_view_t *request,
                        nipc_apps_lookup_builder_t *reply)
{
    struct provider *provider = user;
    atomic_fetch_add(&provider->requests, 1);
    nipc_apps_lookup_builder_set_generation(reply, provider->generation);
    for (uint32_t index = 0; index < request->item_count; index++) {
        nipc_apps_lookup_req_item_t key;
        struct answer answer = {.status = NIPC_PID_LOOKUP_UNKNOWN, .uid = NIPC_UID_UNSET};
        if (nipc_apps_lookup_req_item(request, index, &key) != NIPC_OK)
            return false;
        if (key.pid > 0)
            process_at(key.pid - 1, provider->long_name, &answer);
        if (nipc_apps_lookup_builder_add(
                reply, answer.status, answer.cgroup_status, answer.orchestrator, key.pid,
                answer.ppid, answer.uid, answer.starttime, answer.comm,
                (uint32_t)strlen(answer.comm), answer.path, (uint32_t)strlen(answer.path),
                answer.name.ptr, answer.name.len, answer.labels, answer.label_count) != NIPC_OK)
            return false;
    }
    return true;
}

/* Serves lookups; which kind `init` says. */
static bool serve(const struct meeting *meeting,
                  nipc_error_t (*init)(nipc_managed_server_t *, const struct meeting *,
                                       const nipc_server_config_t *, struct provider *))
{
    char *long_name = malloc(meeting->response_bytes + 1u);
    if (!long_name)
        return fail("no memory");
    memset(long_name, 'n', meeting->response_bytes);
    long_name[meeting->response_bytes] = 0;
    struct provider provider = {
        .generation = meeting->generation,
        .long_name = {long_name, meeting->response_bytes},
    };
    nipc_server_config_t config = {
        .supported_profiles = profiles(meeting), .preferred_profiles = profiles(meeting),
        .max_response_payload_bytes = meeting->response_bytes,
    };
    nipc_managed_server_t server;
    bool good = init(&server, meeting, &config, &provider) == NIPC_OK
                    ? run(&server) : fail("%s", nipc_last_error());
    if (good)
        printf("requests=%llu\n", (unsigned long long)atomic_load(&provider.requests));
    free(long_name);
    return good;
}

static nipc_error_t init_cgroups(nipc_managed_server_t *server, const struct meeting *meeting,
                                 const nipc_server_config_t *config, struct provider *provider)
{
    nipc_cgroups_lookup_service_handler_t handler = {.handle = answer_cgroups, .user = provider};
    return nipc_server_init_cgroups_lookup(server, meeting->dir, meeting->service, config, 4,
                                           &handler);
}

static nipc_error_t init_apps(nipc_managed_server_t *server, const struct meeting *meeting,
                              const nipc_server_config_t *config, struct provider *provider)
{
    nipc_apps_lookup_service_handler_t handler = {.handle = answer_apps, .user = provider};
    return nipc_server_init_apps_lookup(server, meeting->dir, meeting->service, config, 4, &handler);
}

bool lookups_serve_cgroups(const struct meeting *meeting)
{
    return serve(meeting, init_cgroups);
}

bool lookups_serve_apps(const struct meeting *meeting)
{
    return serve(meeting, init_apps);
}

/* ---- The clients ------------------------------------------------------------------------------- */

static bool expect_label(const struct answer *wanted, uint16_t j, nipc_error_t error,
                         const nipc_lookup_label_view_t *label)
{
    return error == NIPC_OK && same(label->key, wanted->labels[j].key) &&
           same(label->value, wanted->labels[j].value);
}

static bool expect_cgroup(const nipc_cgroups_lookup_resp_view_t *view, uint32_t i)
{
    nipc_cgroups_lookup_item_view_t item;
    struct answer wanted;
    char path[96];
    path_at(i, path);
    cgroup_at(i, view_of(""), &wanted);
    if (i == INTEROP_OVERSIZED)
        wanted = (struct answer){.status = NIPC_CGROUP_LOOKUP_OVERSIZED_ITEM};
    if (nipc_cgroups_lookup_resp_item(view, i, &item) != NIPC_OK)
        return fail("item %u: %s", i, nipc_last_error());
    bool good = same(item.path, view_of(path)) && item.status == wanted.status &&
                item.orchestrator == wanted.orchestrator && same(item.name, wanted.name) &&
                item.label_count == wanted.label_count;
    for (uint16_t j = 0; good && j < wanted.label_count; j++) {
        nipc_lookup_label_view_t label;
        good = expect_label(&wanted, j, nipc_cgroups_lookup_item_label(&item, j, &label), &label);
    }
    return good || fail("item %u is %.*s with status %u, name %.*s and %u labels", i,
                        (int)item.path.len, item.path.ptr, item.status, (int)item.name.len,
                        item.name.ptr, item.label_count);
}

bool lookups_ask_cgroups(const struct meeting *meeting)
{
    nipc_client_ctx_t client;
    nipc_cgroups_lookup_resp_view_t view;
    char(*paths)[96] = calloc(meeting->keys, sizeof *paths);
    nipc_str_view_t *keys = calloc(meeting->keys, sizeof *keys);
    bool good = connected(&client, meeting) && ((paths && keys) || fail("no memory"));
    for (uint32_t i = 0; good && i < meeting->keys; i++) {
        path_at(i, paths[i]);
        keys[i] = view_of(paths[i]);
    }
    if (good && nipc_client_call_cgroups_lookup(&client, keys, meeting->keys, &view) != NIPC_OK)
        good = fail("%s", nipc_last_error());
    if (good && (view.item_count != meeting->keys || view.generation != meeting->generation))
        good = fail("%u items", view.item_count);
    for (uint32_t i = 0; good && i < meeting->keys; i++)
        good = expect_cgroup(&view, i);
    nipc_client_close(&client);
    free(keys);
    free(paths);
    return good;
}

static bool expect_process(const nipc_apps_lookup_resp_view_t *view, uint32_t i)
{
    nipc_apps_lookup_item_view_t item;
    struct answer wanted;
    process_at(i, view_of(""), &wanted);
    if (i == INTEROP_OVERSIZED)
        wanted = (struct answer){
            .status = NIPC_PID_LOOKUP_OVERSIZED_ITEM, .pid = i + 1, .uid = NIPC_UID_UNSET};
    if (nipc_apps_lookup_resp_item(view, i, &item) != NIPC_OK)
        return fail("item %u: %s", i, nipc_last_error());
    bool good = item.pid == wanted.pid && item.status == wanted.status &&
                item.cgroup_status == wanted.cgroup_status &&
                item.orchestrator == wanted.orchestrator && item.ppid == wanted.ppid &&
                item.uid == wanted.uid && item.starttime == wanted.starttime &&
                same(item.comm, view_of(wanted.comm)) &&
                same(item.cgroup_path, view_of(wanted.path)) &&
                same(item.cgroup_name, wanted.name) && item.label_count == wanted.label_count;
    for (uint16_t j = 0; good && j < wanted.label_count; j++) {
        nipc_lookup_label_view_t label;
        good = expect_label(&wanted, j, nipc_apps_lookup_item_label(&item, j, &label), &label);
    }
    return good || fail("item %u is pid %u with status %u, comm %.*s and %u labels", i, item.pid,
                        item.status, (int)item.comm.len, item.comm.ptr, item.label_count);
}

bool lookups_ask_apps(const struct meeting *meeting)
{
    nipc_client_ctx_t client;
    nipc_apps_lookup_resp_view_t view;
    uint32_t *pids = calloc(meeting->keys, sizeof *pids);
    bool good = connected(&client, meeting) && (pids || fail("no memory"));
    for (uint32_t i = 0; good && i < meeting->keys; i++)
        pids[i] = i + 1;
    if (good && nipc_client_call_apps_lookup(&client, pids, meeting->keys, &view) != NIPC_OK)
        good = fail("%s", nipc_last_error());
    if (good && (view.item_count != meeting->keys || view.generation != meeting->generation))
        good = fail("%u items", view.item_count);
    for (uint32_t i = 0; good && i < meeting->keys; i++)
        good = expect_process(&view, i);
    nipc_client_close(&client);
    free(pids);
    return good;
}
