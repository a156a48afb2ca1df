/* Builders and dispatch: the bytes they make, within the room there is. */
#include "vectors.h"

/* Compares what was built, or why not, with what is expected. */
static void built(const struct json *vector, nipc_error_t error, const uint8_t *out, size_t len)
{
    if (error != NIPC_OK)
        EXPECT(is_expected(vector, nipc_error_name(error)));
    else
        EXPECT((json_true(vector, "valid") && is_bytes(json_get(vector, "hex"), out, len)) ||
               is_bytes(json_get(json_get(vector, "alternative"), "hex"), out, len));
}

static void snapshot_build(const struct json *vector)
{
    const struct json *input = json_get(vector, "input");
    size_t budget = json_number(input, "budget");
    uint8_t *out = malloc(budget + 1);
    nipc_cgroups_builder_t builder;
    nipc_cgroups_builder_init(&builder, out, budget, (uint32_t)json_number(input, "max_items"),
                              (uint32_t)json_number(input, "systemd_enabled"),
                              json_number(input, "generation"));
    for (const struct json *each = json_get(input, "items")->first; each; each = each->next) {
        nipc_str_view_t name = text_of(json_get(each, "name")), path = text_of(json_get(each, "path"));
        nipc_cgroups_builder_add(&builder, (uint32_t)json_number(each, "hash"),
                                 (uint32_t)json_number(each, "options"),
                                 (uint32_t)json_number(each, "enabled"), name.ptr, name.len,
                                 path.ptr, path.len);
    }
    size_t len = builder.error == NIPC_OK ? nipc_cgroups_builder_finish(&builder) : 0;
    built(vector, len ? NIPC_OK : NIPC_ERR_OVERFLOW, out, len);
    free(out);
}

static void batch_build(const struct json *vector)
{
    const struct json *input = json_get(vector, "input");
    size_t budget = json_number(input, "budget"), len = 0;
    uint8_t *out = malloc(budget + 1);
    nipc_error_t error = NIPC_OK;
    nipc_batch_builder_t builder;
    nipc_batch_builder_init(&builder, out, budget, (uint32_t)json_number(input, "max_items"));
    const struct json *each = json_get(input, "items")->first;
    for (; each && error == NIPC_OK; each = each->next) {
        size_t item_len;
        uint8_t *item = json_bytes(each, &item_len);
        error = nipc_batch_builder_add(&builder, item, item_len);
    }
    if (error == NIPC_OK)
        len = nipc_batch_builder_finish(&builder, NULL);
    built(vector, error, out, len);
    free(out);
}

static bool answer_cgroups(void *user, const nipc_cgroups_lookup_req_view_t *request,
                           nipc_cgroups_lookup_builder_t *reply)
{
    const struct json *vector = user;
    (void)request;
    nipc_cgroups_lookup_builder_set_generation(
        reply, json_number(json_get(vector, "fields"), "generation"));
    for (const struct json *each = json_get(vector, "answers")->first; each; each = each->next) {
        uint16_t count;
        nipc_lookup_label_view_t *labels = labels_of(json_get(each, "labels"), &count);
        nipc_str_view_t path = text_of(json_get(each, "path")), name = text_of(json_get(each, "name"));
        if (nipc_cgroups_lookup_builder_add(reply, (uint16_t)json_number(each, "status"),
                                            (uint16_t)json_number(each, "orchestrator"), path.ptr,
                                            path.len, name.ptr, name.len, labels, count) != NIPC_OK)
            return false;
    }
    return true;
}

static bool answer_apps(void *user, const nipc_apps_lookup_req_view_t *request,
                        nipc_apps_lookup_builder_t *reply)
{
    const struct json *vector = user;
    (void)request;
    nipc_apps_lookup_builder_set_generation(reply,
                                            json_number(json_get(vector, "fields"), "generation"));
    for (const struct json *each = json_get(vector, "answers")->first; each; each = each->next) {
        uint16_t count;
        nipc_lookup_label_view_t *labels = labels_of(json_get(each, "labels"), &count);
        nipc_str_view_t comm = text_of(json_get(each, "comm"));
        nipc_str_view_t path = text_of(json_get(each, "cgroup_path"));
        nipc_str_view_t name = text_of(json_get(each, "cgroup_name"));
        if (nipc_apps_lookup_builder_add(
                reply, (uint16_t)json_number(each, "status"),
                (uint16_t)json_number(each, "cgroup_status"),
                (uint16_t)json_number(each, "orchestrator"), (uint32_t)json_number(each, "pid"),
                (uint32_t)json_number(each, "ppid"), (uint32_t)json_number(each, "uid"),
                json_number(each, "starttime"), comm.ptr, comm.len, path.ptr, path.len, name.ptr,
                name.len, labels, count) != NIPC_OK)
            return false;
    }
    return true;
}

static void dispatch(const struct json *vector, bool apps)
{
    size_t request_len, len = 0, budget = json_number(vector, "budget");
    uint8_t *request = json_bytes(json_get(vector, "request"), &request_len);
    uint8_t *out = malloc(budget + 1);
    nipc_error_t error =
        apps ? nipc_dispatch_apps_lookup(request, request_len, out, budget, &len, answer_apps,
                                         (void *)vector)
             : nipc_dispatch_cgroups_lookup(request, request_len, out, budget, &len, answer_cgroups,
                                            (void *)vector);
    built(vector, error, out, len);
    free(out);
}

static void cgroups_dispatch(const struct json *vector)
{
    dispatch(vector, false);
}

static void apps_dispatch(const struct json *vector)
{
    dispatch(vector, true);
}

static const struct vector_target targets[] = {
    {"snapshot_build", snapshot_build},
    {"batch_build", batch_build},
    {"cgroups_lookup_dispatch", cgroups_dispatch},
    {"apps_lookup_dispatch", apps_dispatch},
};

int main(void)
{
    VECTORS_RUN("builder", targets);
    return check_result();
}
