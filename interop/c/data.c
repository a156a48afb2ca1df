/*
 * What servers serve and clients expect: the rules of interop/README.md.
 */
#include "peer.h"

#include <stdlib.h>
#include <string.h>

void member_at(uint32_t i, struct member *member)
{
    member->hash = i * 2654435761u;
    member->options = i % 7;
    member->enabled = i % 2;
    snprintf(member->name, sizeof member->name, "cgroup-%u", i);
    int len = snprintf(member->path, sizeof member->path, "/sys/fs/cgroup/interop/%u", i);
    memset(member->path + len, 'x', i % 50);
    member->path[(uint32_t)len + i % 50] = 0;
}

void path_at(uint32_t i, char path[96])
{
    int len = snprintf(path, 96, "/interop/%u/", i);
    memset(path + len, 'x', i % 40);
    path[(uint32_t)len + i % 40] = 0;
}

bool index_of(nipc_str_view_t path, uint32_t *i)
{
    static const char start[] = "/interop/";
    const uint32_t len = sizeof start - 1;
    if (path.len <= len || memcmp(path.ptr, start, len) != 0)
        return false;
    char *end; /* the view ends with a NUL */
    unsigned long long n = strtoull(path.ptr + len, &end, 10);
    *i = (uint32_t)n;
    return n <= UINT32_MAX && *end == '/';
}

static void add_labels(uint32_t i, uint16_t count, struct answer *answer)
{
    answer->label_count = count;
    for (uint16_t j = 0; j < count; j++) {
        char *key = answer->label_text[j][0], *value = answer->label_text[j][1];
        snprintf(key, sizeof answer->label_text[j][0], "key-%u", j);
        snprintf(value, sizeof answer->label_text[j][1], "value-%u-%u", i, j);
        answer->labels[j].key = view_of(key);
        answer->labels[j].value = view_of(value);
    }
}

static void add_name(uint32_t i, nipc_str_view_t long_name, struct answer *answer)
{
    snprintf(answer->short_name, sizeof answer->short_name, "name-%u", i);
    answer->name = i == INTEROP_OVERSIZED ? long_name : view_of(answer->short_name);
}

void cgroup_at(uint32_t i, nipc_str_view_t long_name, struct answer *answer)
{
    memset(answer, 0, sizeof *answer);
    answer->name = view_of("");
    switch (i % 8) {
    case 3:
        answer->status = NIPC_CGROUP_LOOKUP_UNKNOWN_RETRY_LATER;
        break;
    case 5:
        answer->status = NIPC_CGROUP_LOOKUP_UNKNOWN_PERMANENT;
        break;
    default:
        answer->status = NIPC_CGROUP_LOOKUP_KNOWN;
        answer->orchestrator = i % 9;
        add_name(i, long_name, answer);
        add_labels(i, i % 4, answer);
    }
}

void process_at(uint32_t i, nipc_str_view_t long_name, struct answer *answer)
{
    memset(answer, 0, sizeof *answer);
    answer->pid = i + 1;
    answer->name = view_of("");
    answer->uid = NIPC_UID_UNSET;
    answer->status = i % 8 == 3 ? NIPC_PID_LOOKUP_UNKNOWN : NIPC_PID_LOOKUP_KNOWN;
    if (answer->status != NIPC_PID_LOOKUP_KNOWN)
        return;
    answer->ppid = i / 2;
    if (i % 5 != 0)
        answer->uid = 1000 + i % 7;
    answer->starttime = (uint64_t)i * 1000003;
    snprintf(answer->comm, sizeof answer->comm, "comm-%u", i);
    static const uint16_t statuses[] = {
        NIPC_APPS_CGROUP_KNOWN,
        NIPC_APPS_CGROUP_UNKNOWN_RETRY_LATER,
        NIPC_APPS_CGROUP_UNKNOWN_PERMANENT,
        NIPC_APPS_CGROUP_HOST_ROOT,
    };
    answer->cgroup_status = statuses[i % 4];
    if (i % 2 == 0)
        snprintf(answer->path, sizeof answer->path, "/interop/%u", i);
    if (i % 4 == 0) {
        answer->orchestrator = i % 9;
        add_name(i, long_name, answer);
        add_labels(i, i % 3, answer);
    }
}

void payload_of(uint64_t id, uint8_t *payload, size_t len)
{
    for (size_t n = 0; n < len; n++)
        payload[n] = (uint8_t)(id * 31 + n * 7);
}

nipc_str_view_t view_of(const char *text)
{
    nipc_str_view_t view = {text, (uint32_t)strlen(text)};
    return view;
}

bool same(nipc_str_view_t a, nipc_str_view_t b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}
