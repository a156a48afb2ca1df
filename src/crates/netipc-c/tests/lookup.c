/* The bytes of both lookups, as a C program uses and abuses them. */
#include "netipc/netipc_protocol.h"

#include "check.h"

static uint8_t buf[4096];

static nipc_str_view_t text(const char *s)
{
    nipc_str_view_t view = {s, (uint32_t)strlen(s)};
    return view;
}

static int same(nipc_str_view_t view, const char *s)
{
    return view.len == strlen(s) && memcmp(view.ptr, s, view.len) == 0 && view.ptr[view.len] == 0;
}

static bool cgroups_handler(void *user, const nipc_cgroups_lookup_req_view_t *request,
                            nipc_cgroups_lookup_builder_t *reply)
{
    nipc_lookup_label_view_t labels[] = {{text("image"), text("nginx:1")}, {text("empty"), text("")}};
    nipc_cgroups_lookup_builder_set_generation(reply, 5);
    for (uint32_t i = 0; i < request->item_count - (user != NULL); i++) {
        nipc_cgroups_lookup_req_item_t key;
        CHECK_EQ(nipc_cgroups_lookup_req_item(request, i, &key), NIPC_OK);
        nipc_error_t error =
            i % 2 ? nipc_cgroups_lookup_builder_add_request_item(
                        reply, request, i, NIPC_CGROUP_LOOKUP_UNKNOWN_RETRY_LATER, 0, NULL, 0, NULL, 0)
                  : nipc_cgroups_lookup_builder_add(reply, NIPC_CGROUP_LOOKUP_KNOWN,
                                                    NIPC_ORCHESTRATOR_DOCKER, key.path.ptr,
                                                    key.path.len, "web", 3, labels, 2);
        CHECK_EQ(error, NIPC_OK);
    }
    return true;
}

static void cgroups_lookup_goes_there_and_back(void)
{
    static uint8_t req[512], resp[1024];
    nipc_str_view_t paths[] = {text("/a"), text("/b"), text("/c")};
    size_t req_len = nipc_cgroups_lookup_req_encode(paths, 3, req, sizeof req), len = 0;
    CHECK(req_len > 0);
    CHECK_EQ(nipc_dispatch_cgroups_lookup(req, req_len, resp, sizeof resp, &len, cgroups_handler,
                                          NULL), NIPC_OK);
    nipc_cgroups_lookup_resp_view_t view;
    nipc_cgroups_lookup_item_view_t item;
    nipc_lookup_label_view_t label;
    CHECK_EQ(nipc_cgroups_lookup_resp_decode(resp, len, &view), NIPC_OK);
    CHECK(view.item_count == 3 && view.generation == 5);
    CHECK_EQ(nipc_cgroups_lookup_resp_item(&view, 2, &item), NIPC_OK);
    CHECK(same(item.path, "/c") && same(item.name, "web") && item.label_count == 2);
    CHECK_EQ(nipc_cgroups_lookup_item_label(&item, 0, &label), NIPC_OK);
    CHECK(same(label.key, "image") && same(label.value, "nginx:1"));
    CHECK_EQ(nipc_cgroups_lookup_item_label(&item, 1, &label), NIPC_OK);
    CHECK(same(label.key, "empty") && same(label.value, ""));
    CHECK_EQ(nipc_cgroups_lookup_item_label(&item, 2, &label), NIPC_ERR_OUT_OF_BOUNDS);
    item._label_table_offset = UINT32_MAX; /* spoilt by hand */
    CHECK_EQ(nipc_cgroups_lookup_item_label(&item, 0, &label), NIPC_ERR_OUT_OF_BOUNDS);
    CHECK_EQ(nipc_cgroups_lookup_resp_item(&view, 1, &item), NIPC_OK);
    CHECK(item.status == NIPC_CGROUP_LOOKUP_UNKNOWN_RETRY_LATER && same(item.name, ""));

    const uint8_t *raw[3];
    uint32_t lens[3];
    static uint8_t again[1024];
    size_t again_len = 0;
    for (uint32_t i = 0; i < 3; i++)
        CHECK_EQ(nipc_cgroups_lookup_resp_raw_item(&view, i, &raw[i], &lens[i]), NIPC_OK);
    CHECK_EQ(nipc_cgroups_lookup_raw_resp_encode(raw, lens, 3, 5, again, sizeof again, &again_len),
             NIPC_OK);
    CHECK(again_len == len && memcmp(again, resp, len) == 0);

    CHECK_EQ(nipc_dispatch_cgroups_lookup(req, req_len, resp, sizeof resp, &len, cgroups_handler,
                                          req), NIPC_ERR_BAD_ITEM_COUNT);
}

static void cgroups_lookup_that_is_full_says_so_in_its_items(void)
{
    static uint8_t req[512], resp[256];
    nipc_str_view_t paths[] = {text("/a"), text("/b"), text("/c"), text("/d")};
    size_t req_len = nipc_cgroups_lookup_req_encode(paths, 4, req, sizeof req), len = 0;
    CHECK_EQ(nipc_dispatch_cgroups_lookup(req, req_len, resp, 16 + 32 + 104 + 32 * 3,
                                          &len, cgroups_handler, NULL), NIPC_OK);
    nipc_cgroups_lookup_resp_view_t view;
    nipc_cgroups_lookup_item_view_t item;
    CHECK_EQ(nipc_cgroups_lookup_resp_decode(resp, len, &view), NIPC_OK);
    uint16_t expected[] = {NIPC_CGROUP_LOOKUP_KNOWN, NIPC_CGROUP_LOOKUP_UNKNOWN_RETRY_LATER,
                           NIPC_CGROUP_LOOKUP_PAYLOAD_EXCEEDED,
                           NIPC_CGROUP_LOOKUP_PAYLOAD_EXCEEDED};
    for (uint32_t i = 0; i < 4; i++) {
        CHECK_EQ(nipc_cgroups_lookup_resp_item(&view, i, &item), NIPC_OK);
        CHECK_EQ(item.status, expected[i]);
    }
}

static void cgroups_lookup_refuses_what_the_layout_forbids(void)
{
    nipc_str_view_t bad[] = {{"a\0b", 3}, {"", 0}, {NULL, 1}};
    for (int i = 0; i < 3; i++)
        CHECK_EQ(nipc_cgroups_lookup_req_encode(&bad[i], 1, buf, sizeof buf), 0);
    CHECK_EQ(nipc_cgroups_lookup_req_encode(NULL, 1, buf, sizeof buf), 0);
    CHECK_EQ(nipc_cgroups_lookup_req_encode(NULL, 0, buf, sizeof buf), 16);

    nipc_cgroups_lookup_builder_t b;
    nipc_lookup_label_view_t no_key = {text(""), text("v")};
    nipc_cgroups_lookup_builder_init(&b, buf, sizeof buf, 1, 0);
    CHECK_EQ(nipc_cgroups_lookup_builder_add(&b, 5, 0, "/a", 2, "", 0, NULL, 0), NIPC_ERR_BAD_LAYOUT);
    CHECK_EQ(nipc_cgroups_lookup_builder_add(&b, 0, 0, "", 0, "", 0, NULL, 0), NIPC_ERR_BAD_LAYOUT);
    CHECK_EQ(nipc_cgroups_lookup_builder_add(&b, 1, 1, "/a", 2, "", 0, NULL, 0), NIPC_ERR_BAD_LAYOUT);
    CHECK_EQ(nipc_cgroups_lookup_builder_add(&b, 0, 0, "/\0", 2, "", 0, NULL, 0),
             NIPC_ERR_BAD_LAYOUT);
    CHECK_EQ(nipc_cgroups_lookup_builder_add(&b, 0, 0, "/a", 2, "", 0, &no_key, 1),
             NIPC_ERR_BAD_LAYOUT);
    CHECK_EQ(nipc_cgroups_lookup_builder_add_request_item(&b, NULL, 0, 0, 0, "", 0, NULL, 0),
             NIPC_ERR_BAD_LAYOUT);
    CHECK_EQ(b.error, NIPC_ERR_BAD_LAYOUT);
    CHECK_EQ(nipc_cgroups_lookup_builder_add(&b, 0, 0, "/a", 2, "n", 1, NULL, 0), NIPC_OK);
    CHECK_EQ(b.error, NIPC_OK);
    CHECK_EQ(nipc_cgroups_lookup_builder_add(&b, 0, 0, "/b", 2, "n", 1, NULL, 0), NIPC_ERR_OVERFLOW);
}

static void item_alone_that_fits_nowhere_is_oversized(void)
{
    static char name[600];
    memset(name, 'n', sizeof name);
    nipc_cgroups_lookup_builder_t b;
    nipc_cgroups_lookup_builder_init(&b, buf, 400, 2, 0);
    CHECK_EQ(nipc_cgroups_lookup_builder_add(&b, 0, 0, "/a", 2, name, 600, NULL, 0), NIPC_OK);
    CHECK_EQ(nipc_cgroups_lookup_builder_add(&b, 0, 0, "/b", 2, name, 100, NULL, 0), NIPC_OK);
    size_t len = nipc_cgroups_lookup_builder_finish(&b);
    nipc_cgroups_lookup_resp_view_t view;
    nipc_cgroups_lookup_item_view_t item;
    CHECK_EQ(nipc_cgroups_lookup_resp_decode(buf, len, &view), NIPC_OK);
    CHECK_EQ(nipc_cgroups_lookup_resp_item(&view, 0, &item), NIPC_OK);
    CHECK_EQ(item.status, NIPC_CGROUP_LOOKUP_OVERSIZED_ITEM);
    CHECK_EQ(nipc_cgroups_lookup_resp_item(&view, 1, &item), NIPC_OK);
    CHECK(item.status == NIPC_CGROUP_LOOKUP_KNOWN && item.name.len == 100);
}

static bool apps_handler(void *user, const nipc_apps_lookup_req_view_t *request,
                         nipc_apps_lookup_builder_t *reply)
{
    (void)user;
    nipc_apps_lookup_builder_set_generation(reply, 9);
    for (uint32_t i = 0; i < request->item_count; i++) {
        nipc_apps_lookup_req_item_t key;
        CHECK_EQ(nipc_apps_lookup_req_item(request, i, &key), NIPC_OK);
        nipc_error_t error =
            key.pid == 0
                ? nipc_apps_lookup_builder_add(reply, NIPC_PID_LOOKUP_UNKNOWN, 0, 0, 0, 0,
                                               NIPC_UID_UNSET, 0, "", 0, "", 0, "", 0, NULL, 0)
                : nipc_apps_lookup_builder_add(reply, NIPC_PID_LOOKUP_KNOWN, NIPC_APPS_CGROUP_KNOWN,
                                               NIPC_ORCHESTRATOR_SYSTEMD, key.pid, 1, 1000, 12345,
                                               "bash", 4, "/user", 5, "login", 5, NULL, 0);
        CHECK_EQ(error, NIPC_OK);
    }
    return true;
}

static void apps_lookup_goes_there_and_back(void)
{
    static uint8_t req[512], resp[1024];
    uint32_t pids[] = {1, 0, 42};
    size_t req_len = nipc_apps_lookup_req_encode(pids, 3, req, sizeof req), len = 0;
    CHECK_EQ(req_len, 16 + 16 * 3);
    CHECK_EQ(nipc_dispatch_apps_lookup(req, req_len, resp, sizeof resp, &len, apps_handler, NULL),
             NIPC_OK);
    nipc_apps_lookup_resp_view_t view;
    nipc_apps_lookup_item_view_t item;
    CHECK_EQ(nipc_apps_lookup_resp_decode(resp, len, &view), NIPC_OK);
    CHECK(view.item_count == 3 && view.generation == 9);
    CHECK_EQ(nipc_apps_lookup_resp_item(&view, 2, &item), NIPC_OK);
    CHECK(item.pid == 42 && item.ppid == 1 && item.uid == 1000 && item.starttime == 12345);
    CHECK(same(item.comm, "bash") && same(item.cgroup_path, "/user"));
    CHECK(same(item.cgroup_name, "login"));
    CHECK_EQ(nipc_apps_lookup_resp_item(&view, 1, &item), NIPC_OK);
    CHECK(item.status == NIPC_PID_LOOKUP_UNKNOWN && item.uid == NIPC_UID_UNSET);
    CHECK(same(item.comm, "") && same(item.cgroup_path, "") && same(item.cgroup_name, ""));
}

static void apps_lookup_refuses_what_the_layout_forbids(void)
{
    nipc_apps_lookup_builder_t b;
    nipc_apps_lookup_builder_init(&b, buf, sizeof buf, 9, 0);
#define ADD(status, cgroup, comm, path)                                                            \
    nipc_apps_lookup_builder_add(&b, status, cgroup, 0, 1, 0, 0, 0, comm,                          \
                                 (uint32_t)strlen(comm), path, (uint32_t)strlen(path), "", 0, NULL, 0)
    CHECK_EQ(ADD(0, NIPC_APPS_CGROUP_KNOWN, "0123456789abcdef", "/a"), NIPC_ERR_BAD_LAYOUT);
    CHECK_EQ(ADD(0, NIPC_APPS_CGROUP_KNOWN, "", "/a"), NIPC_ERR_BAD_LAYOUT);
    CHECK_EQ(ADD(0, NIPC_APPS_CGROUP_KNOWN, "sh", ""), NIPC_ERR_BAD_LAYOUT);
    CHECK_EQ(ADD(0, NIPC_APPS_CGROUP_HOST_ROOT, "sh", "/a"), NIPC_ERR_BAD_LAYOUT);
    CHECK_EQ(ADD(0, 4, "sh", "/a"), NIPC_ERR_BAD_LAYOUT);
    CHECK_EQ(ADD(4, 0, "", ""), NIPC_ERR_BAD_LAYOUT);
    CHECK_EQ(ADD(NIPC_PID_LOOKUP_UNKNOWN, 0, "", ""), NIPC_ERR_BAD_LAYOUT); /* uid is not unset */
    CHECK_EQ(ADD(0, NIPC_APPS_CGROUP_UNKNOWN_RETRY_LATER, "sh", ""), NIPC_OK);
    CHECK_EQ(ADD(0, NIPC_APPS_CGROUP_UNKNOWN_PERMANENT, "sh", ""), NIPC_ERR_BAD_LAYOUT);
    CHECK_EQ(ADD(0, NIPC_APPS_CGROUP_UNKNOWN_PERMANENT, "sh", "/a"), NIPC_OK);
    CHECK_EQ(ADD(0, NIPC_APPS_CGROUP_HOST_ROOT, "sh", ""), NIPC_OK);
#undef ADD
}

int main(void)
{
    RUN(cgroups_lookup_goes_there_and_back);
    RUN(cgroups_lookup_that_is_full_says_so_in_its_items);
    RUN(cgroups_lookup_refuses_what_the_layout_forbids);
    RUN(item_alone_that_fits_nowhere_is_oversized);
    RUN(apps_lookup_goes_there_and_back);
    RUN(apps_lookup_refuses_what_the_layout_forbids);
    return check_result();
}
