/* The golden and damaged messages that all implementations share, through the C functions. */
#include "netipc/netipc_uds.h"

#include <pthread.h>
#include <sys/socket.h>

#include "check.h"
#include "json.h"

static const char *id; /* of the vector at hand */

#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        check_test = id;                                                                           \
        CHECK(condition);                                                                          \
    } while (0)

/* Whether `name` is what a refused vector expects, or what it would accept instead. */
static bool is_expected(const struct json *vector, const char *name)
{
    const struct json *other = json_get(vector, "alternative");
    bool expected = strcmp(json_string(vector, "error"), name) == 0 ||
                    strcmp(json_string(other, "error"), name) == 0;
    if (!expected)
        fprintf(stderr, "%s: %s instead of %s\n", id, name, json_string(vector, "error"));
    return expected;
}

static bool is_bytes(const struct json *hex, const void *bytes, size_t len)
{
    size_t expected_len;
    uint8_t *expected = json_bytes(hex, &expected_len);
    bool same = expected_len == len && memcmp(expected, bytes, len) == 0;
    return same;
}

static bool is_text(const struct json *object, const char *key, nipc_str_view_t text)
{
    return is_bytes(json_get(object, key), text.ptr, text.len) && text.ptr[text.len] == 0;
}

static nipc_str_view_t text_of(const struct json *object)
{
    size_t len;
    char *bytes = (char *)json_bytes(object, &len);
    nipc_str_view_t text = {bytes, (uint32_t)len};
    return text;
}

static nipc_lookup_label_view_t *labels_of(const struct json *labels, uint16_t *count)
{
    *count = (uint16_t)json_count(labels);
    nipc_lookup_label_view_t *views = json_alloc((*count + 1u) * sizeof *views);
    uint32_t i = 0;
    for (const struct json *each = labels ? labels->first : NULL; each; each = each->next, i++) {
        bool pair = each->kind == JSON_ARRAY;
        views[i].key = text_of(pair ? each->first : json_get(each, "key"));
        views[i].value = text_of(pair ? each->first->next : json_get(each, "value"));
    }
    return views;
}

/* ---- Payloads --------------------------------------------------------------------------------- */

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

static nipc_error_t read_payload(const char *target, const uint8_t *wire, size_t len,
                                 const struct json *vector, const struct json *fields)
{
    nipc_header_t header;
    nipc_chunk_header_t chunk;
    nipc_hello_t hello;
    nipc_hello_ack_t ack;
    nipc_cgroups_req_t request;
    nipc_string_reverse_view_t string;
    uint64_t value;
    if (strcmp(target, "header") == 0)
        return nipc_header_decode(wire, len, &header);
    if (strcmp(target, "chunk") == 0)
        return nipc_chunk_header_decode(wire, len, &chunk);
    if (strcmp(target, "hello") == 0)
        return nipc_hello_decode(wire, len, &hello);
    if (strcmp(target, "hello_ack") == 0)
        return nipc_hello_ack_decode(wire, len, &ack);
    if (strcmp(target, "increment") == 0)
        return nipc_increment_decode(wire, len, &value);
    if (strcmp(target, "string_reverse") == 0)
        return nipc_string_reverse_decode(wire, len, &string);
    if (strcmp(target, "cgroups_snapshot_request") == 0)
        return nipc_cgroups_req_decode(wire, len, &request);
    if (strcmp(target, "cgroups_snapshot_response") == 0)
        return read_snapshot(wire, len, fields);
    if (strcmp(target, "cgroups_lookup_request") == 0)
        return read_cgroups_request(wire, len, fields);
    if (strcmp(target, "cgroups_lookup_response") == 0)
        return read_cgroups_reply(wire, len, fields);
    if (strcmp(target, "apps_lookup_request") == 0)
        return read_apps_request(wire, len, fields);
    if (strcmp(target, "apps_lookup_response") == 0)
        return read_apps_reply(wire, len, fields);
    if (strcmp(target, "batch") == 0) {
        uint32_t count = (uint32_t)json_number(json_get(vector, "context"), "item_count");
        nipc_error_t error = NIPC_OK;
        for (uint32_t i = 0; error == NIPC_OK && i < count; i++) {
            const void *item;
            uint32_t item_len;
            error = nipc_batch_item_get(wire, len, count, i, &item, &item_len);
        }
        return error;
    }
    fprintf(stderr, "unknown target %s\n", target);
    exit(1);
}

static void payload(const struct json *vector)
{
    size_t len;
    uint8_t *wire = json_bytes(json_get(vector, "hex"), &len);
    uint8_t *exact = malloc(len ? len : 1); /* so that memory checkers see a byte too much */
    memcpy(exact, wire, len);
    const char *target = json_string(vector, "target");
    nipc_error_t error = read_payload(target, exact, len, vector, json_get(vector, "fields"));
    if (json_true(vector, "valid"))
        EXPECT(error == NIPC_OK);
    else
        EXPECT(is_expected(vector, nipc_error_name(error)));
    free(exact);
}

/* ---- Builders --------------------------------------------------------------------------------- */

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

/* ---- Sessions --------------------------------------------------------------------------------- */

static void receive(const struct json *vector)
{
    const struct json *from = json_get(vector, "session");
    int fds[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds) == 0);
    nipc_uds_session_t session;
    memset(&session, 0, sizeof session);
    session.fd = fds[0];
    bool is_client = strcmp(json_string(from, "role"), "client") == 0;
    session.role = is_client ? NIPC_UDS_ROLE_CLIENT : NIPC_UDS_ROLE_SERVER;
    session.packet_size = (uint32_t)json_number(from, "packet_size");
    uint32_t bytes = (uint32_t)json_number(from, "max_payload_bytes");
    uint32_t items = (uint32_t)json_number(from, "max_batch_items");
    session.max_request_payload_bytes = session.max_response_payload_bytes = bytes;
    session.max_request_batch_items = session.max_response_batch_items = items;
    const struct json *ids = json_get(from, "in_flight");
    session.inflight_ids = malloc(sizeof(uint64_t) * (json_count(ids) + 1));
    session.inflight_capacity = json_count(ids) + 1;
    for (const struct json *each = ids ? ids->first : NULL; each; each = each->next)
        session.inflight_ids[session.inflight_count++] = each->number;
    for (const struct json *each = json_get(vector, "packets")->first; each; each = each->next) {
        size_t len;
        uint8_t *packet = json_bytes(each, &len);
        REQUIRE(send(fds[1], packet, len, 0) == (ssize_t)len);
    }
    close(fds[1]);

    nipc_header_t header;
    const void *payload = NULL;
    size_t len = 0;
    nipc_uds_error_t error = nipc_uds_receive(&session, NULL, 0, &header, &payload, &len);
    const struct json *fields = json_get(vector, "fields");
    if (error != NIPC_UDS_OK) {
        EXPECT(is_expected(vector, nipc_uds_error_name(error)));
    } else {
        EXPECT(json_true(vector, "valid"));
        EXPECT(header.message_id == json_number(fields, "message_id"));
        EXPECT(header.kind == json_number(fields, "kind"));
        EXPECT(is_bytes(json_get(fields, "payload"), payload, len));
    }
    nipc_uds_close_session(&session);
}

static void send_message(const struct json *vector)
{
    const struct json *fields = json_get(vector, "fields");
    int fds[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds) == 0);
    nipc_uds_session_t session;
    memset(&session, 0, sizeof session);
    session.fd = fds[0];
    session.role = NIPC_UDS_ROLE_CLIENT;
    session.packet_size = (uint32_t)json_number(json_get(vector, "session"), "packet_size");
    size_t len;
    uint8_t *payload = json_bytes(json_get(fields, "payload"), &len);
    nipc_header_t header = {
        .kind = (uint16_t)json_number(fields, "kind"), .flags = (uint16_t)json_number(fields, "flags"),
        .code = (uint16_t)json_number(fields, "code"),
        .transport_status = (uint16_t)json_number(fields, "transport_status"),
        .item_count = (uint32_t)json_number(fields, "item_count"),
        .message_id = json_number(fields, "message_id")};
    EXPECT(nipc_uds_send(&session, &header, payload, len) == NIPC_UDS_OK);
    nipc_uds_close_session(&session);
    const struct json *each = json_get(vector, "packets")->first;
    uint8_t packet[65536];
    for (; each; each = each->next) {
        ssize_t got = recv(fds[1], packet, sizeof packet, 0);
        EXPECT(got > 0 && is_bytes(each, packet, (size_t)got));
    }
    EXPECT(recv(fds[1], packet, sizeof packet, 0) == 0);
    close(fds[1]);
}

static void run(const struct json *vector)
{
    const char *target = json_string(vector, "target");
    id = json_string(vector, "id");
    check_tests++;
    if (strcmp(target, "snapshot_build") == 0)
        snapshot_build(vector);
    else if (strcmp(target, "batch_build") == 0)
        batch_build(vector);
    else if (strcmp(target, "cgroups_lookup_dispatch") == 0)
        dispatch(vector, false);
    else if (strcmp(target, "apps_lookup_dispatch") == 0)
        dispatch(vector, true);
    else if (strcmp(target, "receive") == 0)
        receive(vector);
    else if (strcmp(target, "send") == 0)
        send_message(vector);
    else
        payload(vector);
}

int main(void)
{
    const char *files[] = {"envelope", "basic", "snapshot", "cgroups_lookup", "apps_lookup",
                           "builder", "stream"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s.json", VECTORS, files[i]);
        const struct json *file = json_read(path);
        uint32_t count = json_count(json_get(file, "vectors"));
        REQUIRE(count > 10);
        for (const struct json *each = json_get(file, "vectors")->first; each; each = each->next)
            run(each);
    }
    return check_result();
}
