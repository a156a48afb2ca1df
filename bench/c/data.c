/*
 * What is served: the same as by the peer in Rust.
 */
#include "peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static nipc_str_view_t view_of(const char *text)
{
    nipc_str_view_t view = {text, (uint32_t)strlen(text)};
    return view;
}

/* The hash that producers of snapshots use. */
static uint32_t djb2(const char *name)
{
    uint32_t hash = 5381;
    for (; *name; name++)
        hash = hash * 33 + (unsigned char)*name;
    return hash;
}

struct cgroup *cgroups_make(uint32_t count)
{
    struct cgroup *all = calloc(count, sizeof *all);
    for (uint32_t i = 0; all && i < count; i++) {
        struct cgroup *cgroup = &all[i];
        int name_len = snprintf(cgroup->name, sizeof cgroup->name, "unit-%06u.service", i);
        int path_len =
            snprintf(cgroup->path, sizeof cgroup->path, "/system.slice/%s", cgroup->name);
        snprintf(cgroup->image, sizeof cgroup->image, "registry/app-%03u", i % 1000);
        cgroup->name_len = (uint32_t)name_len;
        cgroup->path_len = (uint32_t)path_len;
        cgroup->hash = djb2(cgroup->name);
        cgroup->labels[0] = (nipc_lookup_label_view_t){view_of("image"), view_of(cgroup->image)};
        cgroup->labels[1] = (nipc_lookup_label_view_t){view_of("team"), view_of("core")};
    }
    return all;
}

uint32_t cgroup_index(nipc_str_view_t path)
{
    const uint32_t suffix = sizeof ".service" - 1, digits = 6;
    if (path.len < suffix + digits)
        return UINT32_MAX;
    uint32_t index = 0;
    const char *at = path.ptr + path.len - suffix - digits;
    for (uint32_t i = 0; i < digits; i++) {
        if (at[i] < '0' || at[i] > '9')
            return UINT32_MAX;
        index = index * 10 + (uint32_t)(at[i] - '0');
    }
    return index;
}

struct process *processes_make(uint32_t count)
{
    struct process *all = calloc(count, sizeof *all);
    for (uint32_t i = 0; all && i < count; i++) {
        struct process *process = &all[i];
        process->comm_len =
            (uint32_t)snprintf(process->comm, sizeof process->comm, "worker-%03u", i % 1000);
        process->path_len = (uint32_t)snprintf(process->path, sizeof process->path,
                                               "/system.slice/unit-%06u.service", i);
        process->name_len =
            (uint32_t)snprintf(process->name, sizeof process->name, "unit-%06u", i);
    }
    return all;
}
