/*
 * Snapshots of cgroups: asked for, kept, asked for across a restart and without shared memory.
 */
#include "peer.h"

#include <string.h>

static bool answer(void *user, const nipc_cgroups_req_t *request, nipc_cgroups_builder_t *reply)
{
    const struct meeting *meeting = user;
    (void)request;
    nipc_cgroups_builder_set_header(reply, 1, meeting->generation);
    for (uint32_t i = 0; i < meeting->items; i++) {
        struct member member;
        member_at(i, &member);
        if (nipc_cgroups_builder_add(reply, member.hash, member.options, member.enabled, member.name,
                                     (uint32_t)strlen(member.name), member.path,
                                     (uint32_t)strlen(member.path)) != NIPC_OK)
            return false;
    }
    return true;
}

bool snapshots_serve(const struct meeting *meeting)
{
    nipc_server_config_t config = {
        .supported_profiles = profiles(meeting), .preferred_profiles = profiles(meeting),
    };
    nipc_cgroups_service_handler_t handler = {.handle = answer, .user = (void *)meeting};
    nipc_managed_server_t server;
    if (nipc_server_init_typed(&server, meeting->dir, meeting->service, &config, 4, &handler) != NIPC_OK)
        return fail("%s", nipc_last_error());
    return run(&server);
}

static bool expect(nipc_client_ctx_t *client, uint32_t items, uint64_t generation)
{
    nipc_cgroups_resp_view_t view;
    if (nipc_client_call_cgroups_snapshot(client, &view) != NIPC_OK)
        return fail("%s", nipc_last_error());
    if (view.generation != generation || view.systemd_enabled != 1 || view.item_count != items)
        return fail("%u items of generation %llu", view.item_count,
                    (unsigned long long)view.generation);
    for (uint32_t i = 0; i < items; i++) {
        nipc_cgroups_item_view_t item;
        struct member member;
        member_at(i, &member);
        if (nipc_cgroups_resp_item(&view, i, &item) != NIPC_OK)
            return fail("item %u: %s", i, nipc_last_error());
        if (item.hash != member.hash || item.options != member.options ||
            item.enabled != member.enabled || !same(item.name, view_of(member.name)) ||
            !same(item.path, view_of(member.path)))
            return fail("item %u is %.*s at %.*s", i, (int)item.name.len, item.name.ptr,
                        (int)item.path.len, item.path.ptr);
    }
    return true;
}

bool snapshots_ask(const struct meeting *meeting)
{
    nipc_client_ctx_t client;
    bool good = connected(&client, meeting) && expect(&client, meeting->items, 1);
    nipc_client_close(&client);
    return good;
}

/* Asks, lets the server be replaced, and asks its successor without connecting first. */
bool snapshots_survive(const struct meeting *meeting)
{
    nipc_client_ctx_t client;
    bool good = connected(&client, meeting) && expect(&client, meeting->items, 1);
    if (good) {
        char line[16];
        say("NEXT");
        good = fgets(line, sizeof line, stdin) ? expect(&client, meeting->items, 2)
                                               : fail("nobody said GO");
    }
    if (good && client.reconnect_count != 1)
        good = fail("connected again %u times", client.reconnect_count);
    nipc_client_close(&client);
    return good;
}

static bool expect_kept(nipc_cgroups_cache_t *cache, const struct meeting *meeting)
{
    nipc_cgroups_cache_status_t status;
    nipc_cgroups_cache_read_guard_t guard;
    bool good = true;
    nipc_cgroups_cache_status(cache, &status);
    if (status.item_count != meeting->items || status.generation != 1)
        return fail("%u items of generation %llu are kept", status.item_count,
                    (unsigned long long)status.generation);
    if (!nipc_cgroups_cache_read_lock(cache, &guard))
        return fail("the cache cannot be read");
    for (uint32_t i = 0; good && i < meeting->items; i++) {
        struct member member;
        member_at(i, &member);
        const nipc_cgroups_cache_item_view_t *item =
            nipc_cgroups_cache_get(&guard, member.hash, member.name);
        if (!item || item->hash != member.hash || item->options != member.options ||
            item->enabled != member.enabled || strcmp(item->name, member.name) != 0 ||
            strcmp(item->path, member.path) != 0)
            good = fail("%s leads to %s", member.name, item ? item->path : "nothing");
        else if (nipc_cgroups_cache_get(&guard, member.hash + 1, member.name))
            good = fail("%s is found under another hash", member.name);
    }
    nipc_cgroups_cache_read_unlock(&guard);
    return good;
}

/* Keeps a copy and looks things up in it. */
bool snapshots_keep(const struct meeting *meeting)
{
    nipc_client_config_t config = {
        .supported_profiles = profiles(meeting), .preferred_profiles = profiles(meeting),
    };
    nipc_cgroups_cache_t cache;
    nipc_cgroups_cache_init(&cache, meeting->dir, meeting->service, &config);
    bool good = true;
    for (int turn = 0; good && turn < 2; turn++)
        good = nipc_cgroups_cache_refresh(&cache) ? expect_kept(&cache, meeting)
                                                  : fail("%s", nipc_last_error());
    nipc_cgroups_cache_close(&cache);
    return good;
}
