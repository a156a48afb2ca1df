/*
 * The messages of lookups: written from their values, read and written again.
 */
#include "codec.h"
#include "peer.h"

#include <string.h>

static nipc_lookup_label_view_t label(const char *key, const char *value)
{
    nipc_lookup_label_view_t label = {view_of(key), view_of(value)};
    return label;
}

static size_t write_paths(uint8_t out[MOST])
{
    nipc_str_view_t paths[] = {
        view_of("/"), view_of("/123456"), view_of("/1234567"), view_of("/12345678"),
    };
    return nipc_cgroups_lookup_req_encode(paths, 4, out, MOST);
}

static size_t paths_again(const uint8_t *in, size_t len, uint8_t out[MOST])
{
    nipc_cgroups_lookup_req_view_t view;
    nipc_str_view_t paths[16];
    if (nipc_cgroups_lookup_req_decode(in, len, &view) != NIPC_OK || view.item_count > 16)
        return 0;
    for (uint32_t i = 0; i < view.item_count; i++) {
        nipc_cgroups_lookup_req_item_t item;
        if (nipc_cgroups_lookup_req_item(&view, i, &item) != NIPC_OK)
            return 0;
        paths[i] = item.path;
    }
    return nipc_cgroups_lookup_req_encode(paths, view.item_count, out, MOST);
}

static size_t write_cgroup(uint64_t generation, uint16_t status, uint16_t orchestrator,
                           const char *path, const char *name,
                           const nipc_lookup_label_view_t *labels, uint16_t label_count,
                           uint8_t out[MOST])
{
    nipc_cgroups_lookup_builder_t builder;
    nipc_cgroups_lookup_builder_init(&builder, out, MOST, 1, generation);
    if (nipc_cgroups_lookup_builder_add(&builder, status, orchestrator, path,
                                        (uint32_t)strlen(path), name, (uint32_t)strlen(name), labels,
                                        label_count) != NIPC_OK)
        return 0;
    return nipc_cgroups_lookup_builder_finish(&builder);
}

static size_t write_pod(uint8_t out[MOST])
{
    nipc_lookup_label_view_t labels[] = {label("ns", "default"), label("app", "web")};
    return write_cgroup(9, NIPC_CGROUP_LOOKUP_KNOWN, NIPC_ORCHESTRATOR_K8S, "/kubepods/pod1", "pod1",
                        labels, 2, out);
}

static size_t write_later(uint8_t out[MOST])
{
    return write_cgroup(1, NIPC_CGROUP_LOOKUP_UNKNOWN_RETRY_LATER, 0, "/unknown/1", "", NULL, 0, out);
}

static size_t cgroups_again(const uint8_t *in, size_t len, uint8_t out[MOST])
{
    nipc_cgroups_lookup_resp_view_t view;
    nipc_cgroups_lookup_builder_t builder;
    if (nipc_cgroups_lookup_resp_decode(in, len, &view) != NIPC_OK)
        return 0;
    nipc_cgroups_lookup_builder_init(&builder, out, MOST, view.item_count, view.generation);
    for (uint32_t i = 0; i < view.item_count; i++) {
        nipc_cgroups_lookup_item_view_t item;
        nipc_lookup_label_view_t labels[16];
        if (nipc_cgroups_lookup_resp_item(&view, i, &item) != NIPC_OK || item.label_count > 16)
            return 0;
        for (uint16_t j = 0; j < item.label_count; j++)
            if (nipc_cgroups_lookup_item_label(&item, j, &labels[j]) != NIPC_OK)
                return 0;
        if (nipc_cgroups_lookup_builder_add(&builder, item.status, item.orchestrator, item.path.ptr,
                                            item.path.len, item.name.ptr, item.name.len, labels,
                                            item.label_count) != NIPC_OK)
            return 0;
    }
    return nipc_cgroups_lookup_builder_finish(&builder);
}

static size_t write_pids(uint8_t out[MOST])
{
    uint32_t pids[] = {0, 1, INT32_MAX, UINT32_MAX};
    return nipc_apps_lookup_req_encode(pids, 4, out, MOST);
}

static size_t pids_again(const uint8_t *in, size_t len, uint8_t out[MOST])
{
    nipc_apps_lookup_req_view_t view;
    uint32_t pids[16];
    if (nipc_apps_lookup_req_decode(in, len, &view) != NIPC_OK || view.item_count > 16)
        return 0;
    for (uint32_t i = 0; i < view.item_count; i++) {
        nipc_apps_lookup_req_item_t item;
        if (nipc_apps_lookup_req_item(&view, i, &item) != NIPC_OK)
            return 0;
        pids[i] = item.pid;
    }
    return nipc_apps_lookup_req_encode(pids, view.item_count, out, MOST);
}

/* A response with one process, as an item that was read or looks like it. */
static bool add_process(nipc_apps_lookup_builder_t *builder, const nipc_apps_lookup_item_view_t *item,
                        const nipc_lookup_label_view_t *labels)
{
    return nipc_apps_lookup_builder_add(
               builder, item->status, item->cgroup_status, item->orchestrator, item->pid, item->ppid,
               item->uid, item->starttime, item->comm.ptr, item->comm.len, item->cgroup_path.ptr,
               item->cgroup_path.len, item->cgroup_name.ptr, item->cgroup_name.len, labels,
               item->label_count) == NIPC_OK;
}

static size_t write_process(uint64_t generation, const nipc_apps_lookup_item_view_t *item,
                            const nipc_lookup_label_view_t *labels, uint8_t out[MOST])
{
    nipc_apps_lookup_builder_t builder;
    nipc_apps_lookup_builder_init(&builder, out, MOST, 1, generation);
    return add_process(&builder, item, labels) ? nipc_apps_lookup_builder_finish(&builder) : 0;
}

static size_t write_nginx(uint8_t out[MOST])
{
    nipc_lookup_label_view_t labels[] = {label("image", "nginx:1"), label("env", "")};
    nipc_apps_lookup_item_view_t nginx = {
        .orchestrator = NIPC_ORCHESTRATOR_DOCKER, .pid = 1234, .ppid = 1, .uid = 1000,
        .starttime = 987654321, .comm = view_of("nginx"), .cgroup_path = view_of("/docker/abc"),
        .cgroup_name = view_of("web"), .label_count = 2,
    };
    return write_process(3, &nginx, labels, out);
}

static size_t write_sshd(uint8_t out[MOST])
{
    nipc_apps_lookup_item_view_t sshd = {
        .cgroup_status = NIPC_APPS_CGROUP_HOST_ROOT, .pid = 2, .starttime = 5,
        .comm = view_of("sshd"), .cgroup_path = view_of(""), .cgroup_name = view_of(""),
    };
    return write_process(0, &sshd, NULL, out);
}

static size_t write_nobody(uint8_t out[MOST])
{
    nipc_apps_lookup_item_view_t nobody = {
        .status = NIPC_PID_LOOKUP_UNKNOWN, .pid = 41, .uid = NIPC_UID_UNSET, .comm = view_of(""),
        .cgroup_path = view_of(""), .cgroup_name = view_of(""),
    };
    return write_process(1, &nobody, NULL, out);
}

static size_t apps_again(const uint8_t *in, size_t len, uint8_t out[MOST])
{
    nipc_apps_lookup_resp_view_t view;
    nipc_apps_lookup_builder_t builder;
    if (nipc_apps_lookup_resp_decode(in, len, &view) != NIPC_OK)
        return 0;
    nipc_apps_lookup_builder_init(&builder, out, MOST, view.item_count, view.generation);
    for (uint32_t i = 0; i < view.item_count; i++) {
        nipc_apps_lookup_item_view_t item;
        nipc_lookup_label_view_t labels[16];
        if (nipc_apps_lookup_resp_item(&view, i, &item) != NIPC_OK || item.label_count > 16)
            return 0;
        for (uint16_t j = 0; j < item.label_count; j++)
            if (nipc_apps_lookup_item_label(&item, j, &labels[j]) != NIPC_OK)
                return 0;
        if (!add_process(&builder, &item, labels))
            return 0;
    }
    return nipc_apps_lookup_builder_finish(&builder);
}

const struct message lookup_messages[LOOKUP_MESSAGES] = {
    {"cgq-lengths", write_paths, paths_again},
    {"cgr-labels", write_pod, cgroups_again},
    {"cgr-status-1", write_later, cgroups_again},
    {"apq-extremes", write_pids, pids_again},
    {"apr-full", write_nginx, apps_again},
    {"apr-host-root", write_sshd, apps_again},
    {"apr-status-1", write_nobody, apps_again},
};
