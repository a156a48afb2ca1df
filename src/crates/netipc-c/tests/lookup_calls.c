/* Lookups from clients to servers, of more keys than a message holds. */
#include "provider.h"

static bool cgroups_answer(void *user, const nipc_cgroups_lookup_req_view_t *request,
                           nipc_cgroups_lookup_builder_t *reply)
{
    (void)user;
    nipc_cgroups_lookup_builder_set_generation(reply, 11);
    for (uint32_t i = 0; i < request->item_count; i++) {
        nipc_cgroups_lookup_req_item_t key;
        nipc_lookup_label_view_t label = {{"k", 1}, {"v", 1}};
        if (nipc_cgroups_lookup_req_item(request, i, &key) != NIPC_OK)
            return false;
        bool known = key.path.len % 2 == 0;
        nipc_cgroups_lookup_builder_add_request_item(
            reply, request, i,
            known ? NIPC_CGROUP_LOOKUP_KNOWN : NIPC_CGROUP_LOOKUP_UNKNOWN_PERMANENT,
            known ? NIPC_ORCHESTRATOR_K8S : 0, known ? "pod" : "", known ? 3 : 0, &label, known);
    }
    return true;
}

static bool apps_answer(void *user, const nipc_apps_lookup_req_view_t *request,
                        nipc_apps_lookup_builder_t *reply)
{
    (void)user;
    for (uint32_t i = 0; i < request->item_count; i++) {
        nipc_apps_lookup_req_item_t key;
        if (nipc_apps_lookup_req_item(request, i, &key) != NIPC_OK)
            return false;
        nipc_apps_lookup_builder_add(reply, NIPC_PID_LOOKUP_KNOWN, NIPC_APPS_CGROUP_HOST_ROOT, 0,
                                     key.pid, 1, 0, key.pid * 10ull, "init", 4, "", 0, "", 0, NULL, 0);
    }
    return true;
}

static void lookups_of_any_length_are_one_answer(void)
{
    enum { COUNT = 3000 };
    nipc_managed_server_t cgroups, apps;
    nipc_cgroups_lookup_service_handler_t on_cgroups = {.handle = cgroups_answer};
    nipc_apps_lookup_service_handler_t on_apps = {.handle = apps_answer};
    pthread_t threads[2];
    REQUIRE(nipc_server_init_cgroups_lookup(&cgroups, check_dir(), "cgroups-lookup", NULL, 2,
                                            &on_cgroups) == NIPC_OK);
    REQUIRE(nipc_server_init_apps_lookup(&apps, check_dir(), "apps-lookup", NULL, 2, &on_apps) ==
            NIPC_OK);
    pthread_create(&threads[0], NULL, server_main, &cgroups);
    pthread_create(&threads[1], NULL, server_main, &apps);

    static char text[COUNT][16];
    static nipc_str_view_t paths[COUNT];
    static uint32_t pids[COUNT];
    for (uint32_t i = 0; i < COUNT; i++) {
        paths[i].ptr = text[i];
        paths[i].len = (uint32_t)snprintf(text[i], sizeof text[i], "/cg/%u", i);
        pids[i] = i + 1;
    }
    nipc_client_ctx_t client;
    nipc_cgroups_lookup_resp_view_t view;
    nipc_client_init(&client, check_dir(), "cgroups-lookup", NULL);
    CHECK_EQ(nipc_client_call_cgroups_lookup(&client, paths, 1, &view), NIPC_ERR_NOT_READY);
    CHECK_EQ(nipc_client_call_cgroups_lookup(&client, NULL, 1, &view), NIPC_ERR_NOT_READY);
    CHECK_EQ(client.error_count, 2);
    nipc_client_refresh(&client);
    CHECK_EQ(nipc_client_call_cgroups_lookup(&client, NULL, 1, &view), NIPC_ERR_BAD_LAYOUT);
    CHECK_EQ(nipc_client_call_cgroups_lookup(&client, NULL, 0, &view), NIPC_OK);
    CHECK(view.item_count == 0 && view.generation == 11);
    CHECK_EQ(nipc_client_call_cgroups_lookup(&client, paths, COUNT, &view), NIPC_OK);
    CHECK(view.item_count == COUNT && view.generation == 11);
    for (uint32_t i = 0; i < COUNT; i++) {
        nipc_cgroups_lookup_item_view_t item;
        nipc_lookup_label_view_t label;
        CHECK_EQ(nipc_cgroups_lookup_resp_item(&view, i, &item), NIPC_OK);
        CHECK(strcmp(item.path.ptr, text[i]) == 0);
        CHECK_EQ(item.status == NIPC_CGROUP_LOOKUP_KNOWN, paths[i].len % 2 == 0);
        if (item.label_count) {
            CHECK_EQ(nipc_cgroups_lookup_item_label(&item, 0, &label), NIPC_OK);
            CHECK(strcmp(label.value.ptr, "v") == 0);
        }
    }
    client.max_logical_lookup_items = 2; /* members are heeded */
    CHECK_EQ(nipc_client_call_cgroups_lookup(&client, paths, 3, &view), NIPC_ERR_OVERFLOW);
    CHECK(nipc_client_ready(&client));
    nipc_apps_lookup_resp_view_t wrong;
    CHECK_EQ(nipc_client_call_apps_lookup(&client, pids, 1, &wrong), NIPC_ERR_BAD_LAYOUT);
    nipc_client_close(&client);

    nipc_apps_lookup_resp_view_t found;
    nipc_client_init(&client, check_dir(), "apps-lookup", NULL);
    nipc_client_refresh(&client);
    CHECK_EQ(nipc_client_call_apps_lookup(&client, pids, COUNT, &found), NIPC_OK);
    for (uint32_t i = 0; i < COUNT; i++) {
        nipc_apps_lookup_item_view_t item;
        CHECK_EQ(nipc_apps_lookup_resp_item(&found, i, &item), NIPC_OK);
        CHECK(item.pid == i + 1 && item.starttime == (i + 1) * 10ull && item.uid == 0);
        CHECK(strcmp(item.comm.ptr, "init") == 0);
    }
    nipc_client_close(&client);
    nipc_server_stop(&cgroups);
    nipc_server_stop(&apps);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    nipc_server_destroy(&cgroups);
    nipc_server_destroy(&apps);
}

int main(void)
{
    RUN(lookups_of_any_length_are_one_answer);
    return check_result();
}
