/* Messages and payloads through the decoders, good ones and damaged ones. */
#include "vectors.h"

static nipc_error_t read_snapshot(const uint8_t *wire, size_t len, const struct json *fields)
{
    nipc_cgroups_resp_view_t view;
    nipc_error_t error = nipc_cgroups_resp_decode(wire, len, &view);
    const struct json *items = json_get(fields, "items");
    const struct json *each = items ? items->first : NULL;
    for (uint32_t i = 0; error == NIPC_OK && i < view.item_count; i++) {
        nipc_cgroups_item_view_t item;
        error = nipc_cgroups_resp_item(&view, i, &item);
        if (error == NIPC_OK && each) {
            EXPECT(item.hash == json_number(each, "hash"));
            EXPECT(is_text(each, "name", item.name) && is_text(each, "path", item.path));
            each = each->next;
        }
    }
    if (error == NIPC_OK && fields)
        EXPECT(view.item_count == json_count(items) &&
               view.generation == json_number(fields, "generation"));
    return error;
}

static nipc_error_t read_cgroups_request(const uint8_t *wire, size_t len, const struct json *fields)
{
    nipc_cgroups_lookup_req_view_t view;
    nipc_error_t error = nipc_cgroups_lookup_req_decode(wire, len, &view);
    const struct json *paths = json_get(fields, "paths");
    const struct json *each = paths ? paths->first : NULL;
    if (error != NIPC_OK || !fields)
        return error;
    EXPECT(view.item_count == json_count(paths));
    for (uint32_t i = 0; i < view.item_count && each; i++, each = each->next) {
        nipc_cgroups_lookup_req_item_t item;
        EXPECT(nipc_cgroups_lookup_req_item(&view, i, &item) == NIPC_OK);
        EXPECT(is_bytes(each, item.path.ptr, item.path.len));
    }
    return NIPC_OK;
}

static nipc_error_t read_apps_request(const uint8_t *wire, size_t len, const struct json *fields)
{
    nipc_apps_lookup_req_view_t view;
    nipc_error_t error = nipc_apps_lookup_req_decode(wire, len, &view);
    const struct json *pids = json_get(fields, "pids");
    const struct json *each = pids ? pids->first : NULL;
    if (error != NIPC_OK || !fields)
        return error;
    EXPECT(view.item_count == json_count(pids));
    for (uint32_t i = 0; i < view.item_count && each; i++, each = each->next) {
        nipc_apps_lookup_req_item_t item;
        EXPECT(nipc_apps_lookup_req_item(&view, i, &item) == NIPC_OK && item.pid == each->number);
    }
    return NIPC_OK;
}

static nipc_error_t read_cgroups_reply(const uint8_t *wire, size_t len, const struct json *fields)
{
    nipc_cgroups_lookup_resp_view_t view;
    nipc_error_t error = nipc_cgroups_lookup_resp_decode(wire, len, &view);
    const struct json *items = json_get(fields, "items");
    const struct json *each = items ? items->first : NULL;
    if (error != NIPC_OK || !fields)
        return error;
    EXPECT(view.item_count == json_count(items));
    for (uint32_t i = 0; i < view.item_count && each; i++, each = each->next) {
        nipc_cgroups_lookup_item_view_t item;
        EXPECT(nipc_cgroups_lookup_resp_item(&view, i, &item) == NIPC_OK);
        EXPECT(item.status == json_number(each, "status"));
        EXPECT(item.orchestrator == json_number(each, "orchestrator"));
        EXPECT(is_text(each, "path", item.path) && is_text(each, "name", item.name));
        uint16_t count;
        nipc_lookup_label_view_t *labels = labels_of(json_get(each, "labels"), &count);
        EXPECT(item.label_count == count);
        for (uint32_t l = 0; l < count; l++) {
            nipc_lookup_label_view_t label;
            EXPECT(nipc_cgroups_lookup_item_label(&item, l, &label) == NIPC_OK);
            EXPECT(label.key.len == labels[l].key.len &&
                   memcmp(label.key.ptr, labels[l].key.ptr, label.key.len) == 0);
            EXPECT(label.value.len == labels[l].value.len &&
                   memcmp(label.value.ptr, labels[l].value.ptr, label.value.len) == 0);
        }
    }
    return NIPC_OK;
}

static nipc_error_t read_apps_reply(const uint8_t *wire, size_t len, const struct json *fields)
{
    nipc_apps_lookup_resp_view_t view;
    nipc_error_t error = nipc_apps_lookup_resp_decode(wire, len, &view);
    const struct json *items = json_get(fields, "items");
    const struct json *each = items ? items->first : NULL;
    if (error != NIPC_OK || !fields)
        return error;
    EXPECT(view.item_count == json_count(items));
    for (uint32_t i = 0; i < view.item_count && each; i++, each = each->next) {
        nipc_apps_lookup_item_view_t item;
        EXPECT(nipc_apps_lookup_resp_item(&view, i, &item) == NIPC_OK);
        EXPECT(item.status == json_number(each, "status"));
        EXPECT(item.cgroup_status == json_number(each, "cgroup_status"));
        EXPECT(item.pid == json_number(each, "pid") && item.uid == json_number(each, "uid"));
        EXPECT(item.ppid == json_number(each, "ppid"));
        EXPECT(item.starttime == json_number(each, "starttime"));
        EXPECT(is_text(each, "comm", item.comm));
        EXPECT(is_text(each, "cgroup_path", item.cgroup_path));
        EXPECT(is_text(each, "cgroup_name", item.cgroup_name));
        EXPECT(item.label_count == json_count(json_get(each, "labels")));
    }
    return NIPC_OK;
}

/* Decoders whose result is one struct, which other tests compare field by field. */
#define READ(name, type, decode)                                                                   \
    static nipc_error_t name(const uint8_t *wire, size_t len, const struct json *fields)           \
    {                                                                                              \
        type out;                                                                                  \
        (void)fields;                                                                              \
        return decode(wire, len, &out);                                                            \
    }
READ(read_header, nipc_header_t, nipc_header_decode)
READ(read_chunk, nipc_chunk_header_t, nipc_chunk_header_decode)
READ(read_hello, nipc_hello_t, nipc_hello_decode)
READ(read_hello_ack, nipc_hello_ack_t, nipc_hello_ack_decode)
READ(read_increment, uint64_t, nipc_increment_decode)
READ(read_string, nipc_string_reverse_view_t, nipc_string_reverse_decode)
READ(read_snapshot_request, nipc_cgroups_req_t, nipc_cgroups_req_decode)

/* Decodes a vector from memory of exactly its length, so that memory checkers see a byte too much. */
static void decode(const struct json *vector,
                   nipc_error_t (*read)(const uint8_t *, size_t, const struct json *))
{
    size_t len;
    uint8_t *wire = json_bytes(json_get(vector, "hex"), &len);
    uint8_t *exact = malloc(len ? len : 1);
    memcpy(exact, wire, len);
    nipc_error_t error = read(exact, len, json_get(vector, "fields"));
    if (json_true(vector, "valid"))
        EXPECT(error == NIPC_OK);
    else
        EXPECT(is_expected(vector, nipc_error_name(error)));
    free(exact);
}

static uint32_t batch_count;

static nipc_error_t read_batch(const uint8_t *wire, size_t len, const struct json *fields)
{
    const struct json *items = json_get(fields, "items");
    const struct json *each = items ? items->first : NULL;
    nipc_error_t error = NIPC_OK;
    for (uint32_t i = 0; error == NIPC_OK && i < batch_count; i++) {
        const void *item;
        uint32_t item_len;
        error = nipc_batch_item_get(wire, len, batch_count, i, &item, &item_len);
        if (error == NIPC_OK && each) {
            EXPECT(is_bytes(each, item, item_len));
            each = each->next;
        }
    }
    return error;
}

static void batch(const struct json *vector)
{
    batch_count = (uint32_t)json_number(json_get(vector, "context"), "item_count");
    decode(vector, read_batch);
}

#define DECODE(name)                                                                               \
    static void name(const struct json *vector)                                                    \
    {                                                                                              \
        decode(vector, read_##name);                                                               \
    }
DECODE(header)
DECODE(chunk)
DECODE(hello)
DECODE(hello_ack)
DECODE(increment)
DECODE(string)
DECODE(snapshot_request)
DECODE(snapshot)
DECODE(cgroups_request)
DECODE(cgroups_reply)
DECODE(apps_request)
DECODE(apps_reply)

static const struct vector_target targets[] = {
    {"header", header},
    {"chunk", chunk},
    {"hello", hello},
    {"hello_ack", hello_ack},
    {"batch", batch},
    {"increment", increment},
    {"string_reverse", string},
    {"cgroups_snapshot_request", snapshot_request},
    {"cgroups_snapshot_response", snapshot},
    {"cgroups_lookup_request", cgroups_request},
    {"cgroups_lookup_response", cgroups_reply},
    {"apps_lookup_request", apps_request},
    {"apps_lookup_response", apps_reply},
};

int main(void)
{
    VECTORS_RUN("envelope", targets);
    VECTORS_RUN("basic", targets);
    VECTORS_RUN("snapshot", targets);
    VECTORS_RUN("cgroups_lookup", targets);
    VECTORS_RUN("apps_lookup", targets);
    return check_result();
}
