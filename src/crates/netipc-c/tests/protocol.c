/* Framing, the handshake, snapshots and the samples, as a C program uses and abuses them. */
#include "netipc/netipc_protocol.h"

#include "check.h"

static uint8_t buf[4096];

static int same(nipc_str_view_t view, const char *s)
{
    return view.len == strlen(s) && memcmp(view.ptr, s, view.len) == 0 && view.ptr[view.len] == 0;
}

static void header_travels_field_by_field(void)
{
    nipc_header_t sent = {NIPC_MAGIC_MSG, NIPC_VERSION, NIPC_HEADER_LEN, NIPC_KIND_RESPONSE,
                          NIPC_FLAG_BATCH, NIPC_METHOD_INCREMENT, NIPC_STATUS_INTERNAL_ERROR, 7, 3,
                          0x1122334455667788ull};
    nipc_header_t got;
    CHECK_EQ(nipc_header_encode(&sent, buf, sizeof buf), 32);
    CHECK_EQ(nipc_header_encode(&sent, buf, 31), 0);
    CHECK_EQ(nipc_header_decode(buf, 32, &got), NIPC_OK);
    CHECK(memcmp(&sent, &got, sizeof got) == 0);
    CHECK_EQ(nipc_header_decode(buf, 31, &got), NIPC_ERR_TRUNCATED);
}

static void header_is_told_even_when_refused(void)
{
    nipc_header_t sent = {NIPC_MAGIC_MSG, 9, NIPC_HEADER_LEN, NIPC_KIND_REQUEST, 0, 0, 0, 0, 1, 5};
    nipc_header_t got;
    nipc_header_encode(&sent, buf, sizeof buf);
    CHECK_EQ(nipc_header_decode(buf, 32, &got), NIPC_ERR_BAD_VERSION);
    CHECK_EQ(got.version, 9);
    CHECK_EQ(got.message_id, 5);
    sent.version = NIPC_VERSION;
    sent.header_len = 31;
    nipc_header_encode(&sent, buf, sizeof buf);
    CHECK_EQ(nipc_header_decode(buf, 32, &got), NIPC_ERR_BAD_HEADER_LEN);
    sent.header_len = 32;
    sent.kind = 4;
    nipc_header_encode(&sent, buf, sizeof buf);
    CHECK_EQ(nipc_header_decode(buf, 32, &got), NIPC_ERR_BAD_KIND);
    sent.magic = 1;
    nipc_header_encode(&sent, buf, sizeof buf);
    CHECK_EQ(nipc_header_decode(buf, 32, &got), NIPC_ERR_BAD_MAGIC);
    CHECK(strlen(nipc_last_error()) > 0);
}

static void chunk_header_without_bytes_is_refused(void)
{
    nipc_chunk_header_t sent = {NIPC_MAGIC_CHUNK, NIPC_VERSION, 0, 1, 132, 1, 2, 68}, got;
    CHECK_EQ(nipc_chunk_header_encode(&sent, buf, sizeof buf), 32);
    CHECK_EQ(nipc_chunk_header_decode(buf, 32, &got), NIPC_OK);
    CHECK(memcmp(&sent, &got, sizeof got) == 0);
    sent.chunk_payload_len = 0;
    nipc_chunk_header_encode(&sent, buf, sizeof buf);
    CHECK_EQ(nipc_chunk_header_decode(buf, 32, &got), NIPC_ERR_BAD_LAYOUT);
    sent.chunk_payload_len = 1;
    sent.flags = 1;
    nipc_chunk_header_encode(&sent, buf, sizeof buf);
    CHECK_EQ(nipc_chunk_header_decode(buf, 32, &got), NIPC_ERR_BAD_LAYOUT);
}

static void handshake_messages_travel(void)
{
    nipc_hello_t hello = {1, 0, 7, 4, 100, 2, 300, 2, 0, 0xDEADBEEFCAFEBABEull, 65536}, hello_got;
    memset(&hello_got, 0xff, sizeof hello_got);
    CHECK_EQ(nipc_hello_encode(&hello, buf, sizeof buf), NIPC_HELLO_WIRE_SIZE);
    CHECK_EQ(nipc_hello_decode(buf, 44, &hello_got), NIPC_OK);
    CHECK_EQ(hello_got.auth_token, hello.auth_token);
    CHECK_EQ(hello_got.packet_size, 65536);
    hello._reserved = 1;
    nipc_hello_encode(&hello, buf, sizeof buf);
    CHECK_EQ(nipc_hello_decode(buf, 44, &hello_got), NIPC_ERR_BAD_LAYOUT);
    CHECK_EQ(nipc_hello_decode(buf, 43, &hello_got), NIPC_ERR_TRUNCATED);
    hello._reserved = 0;
    hello.layout_version = 2;
    nipc_hello_encode(&hello, buf, sizeof buf);
    CHECK_EQ(nipc_hello_decode(buf, 44, &hello_got), NIPC_ERR_BAD_LAYOUT);

    nipc_hello_ack_t ack = {1, 0, 7, 3, 2, 100, 2, 300, 2, 65536, 9, 77}, ack_got;
    CHECK_EQ(nipc_hello_ack_encode(&ack, buf, sizeof buf), 48);
    CHECK_EQ(nipc_hello_ack_decode(buf, 48, &ack_got), NIPC_OK);
    CHECK_EQ(ack_got.session_id, 77);
    ack.flags = 1;
    nipc_hello_ack_encode(&ack, buf, sizeof buf);
    CHECK_EQ(nipc_hello_ack_decode(buf, 48, &ack_got), NIPC_ERR_BAD_LAYOUT);
}

static void batch_is_built_and_taken_apart(void)
{
    nipc_batch_builder_t builder;
    uint32_t count = 0;
    nipc_batch_builder_init(&builder, buf, sizeof buf, 4);
    CHECK_EQ(nipc_batch_builder_add(&builder, "abc", 3), NIPC_OK);
    CHECK_EQ(nipc_batch_builder_add(&builder, "defghijkl", 9), NIPC_OK);
    size_t len = nipc_batch_builder_finish(&builder, &count);
    CHECK_EQ(count, 2);
    CHECK_EQ(len, 16 + 8 + 16);

    const void *item = NULL;
    uint32_t item_len = 0;
    CHECK_EQ(nipc_batch_item_get(buf, len, count, 1, &item, &item_len), NIPC_OK);
    CHECK(item_len == 9 && memcmp(item, "defghijkl", 9) == 0);
    CHECK_EQ(nipc_batch_item_get(buf, len, count, 2, &item, &item_len), NIPC_ERR_OUT_OF_BOUNDS);
    CHECK_EQ(nipc_batch_dir_validate(buf, len, count, 24), NIPC_OK);
    CHECK_EQ(nipc_batch_dir_validate(buf, len, count, 16), NIPC_ERR_OUT_OF_BOUNDS);

    nipc_batch_entry_t entries[2];
    CHECK_EQ(nipc_batch_dir_decode(buf, 16, 2, 24, entries), NIPC_OK);
    CHECK(entries[1].offset == 8 && entries[1].length == 9);
    entries[1].offset = 7;
    CHECK_EQ(nipc_batch_dir_encode(entries, 2, buf, 16), 16);
    CHECK_EQ(nipc_batch_dir_encode(entries, 2, buf, 15), 0);
    CHECK_EQ(nipc_batch_dir_validate(buf, 16, 2, 24), NIPC_ERR_BAD_ALIGNMENT);
    CHECK_EQ(nipc_batch_dir_validate(buf, 15, 2, 24), NIPC_ERR_TRUNCATED);
}

static void batch_that_is_full_can_go_on_with_less(void)
{
    nipc_batch_builder_t builder;
    nipc_batch_builder_init(&builder, buf, 32, 2);
    CHECK_EQ(nipc_batch_builder_add(&builder, "0123456789abcdefg", 17), NIPC_ERR_OVERFLOW);
    CHECK_EQ(nipc_batch_builder_add(&builder, "0123456789", 10), NIPC_OK);
    CHECK_EQ(nipc_batch_builder_add(&builder, "x", 1), NIPC_ERR_OVERFLOW);
    builder.data_offset = SIZE_MAX - 3; /* spoilt by hand */
    CHECK_EQ(nipc_batch_builder_add(&builder, "x", 1), NIPC_ERR_OVERFLOW);
    CHECK_EQ(nipc_batch_builder_finish(&builder, NULL), 0);
}

static void snapshot_is_built_and_read(void)
{
    nipc_cgroups_builder_t builder;
    nipc_cgroups_builder_init(&builder, buf, sizeof buf, 8, 1, 42);
    CHECK_EQ(nipc_cgroups_builder_add(&builder, 1, 2, 1, "nginx", 5, "/a/nginx", 8), NIPC_OK);
    CHECK_EQ(nipc_cgroups_builder_add(&builder, 3, 0, 0, "", 0, "", 0), NIPC_OK);
    size_t len = nipc_cgroups_builder_finish(&builder);

    nipc_cgroups_resp_view_t view;
    nipc_cgroups_item_view_t item;
    CHECK_EQ(nipc_cgroups_resp_decode(buf, len, &view), NIPC_OK);
    CHECK(view.item_count == 2 && view.systemd_enabled == 1 && view.generation == 42);
    CHECK_EQ(nipc_cgroups_resp_item(&view, 0, &item), NIPC_OK);
    CHECK(item.hash == 1 && item.options == 2 && item.enabled == 1);
    CHECK(same(item.name, "nginx") && same(item.path, "/a/nginx"));
    CHECK_EQ(nipc_cgroups_resp_item(&view, 1, &item), NIPC_OK);
    CHECK(same(item.name, "") && same(item.path, ""));
    CHECK_EQ(nipc_cgroups_resp_item(&view, 2, &item), NIPC_ERR_OUT_OF_BOUNDS);

    view._payload_len = 30; /* spoilt by hand */
    CHECK_EQ(nipc_cgroups_resp_item(&view, 1, &item), NIPC_ERR_TRUNCATED);
    view.item_count = UINT32_MAX;
    CHECK_EQ(nipc_cgroups_resp_item(&view, UINT32_MAX - 1, &item), NIPC_ERR_TRUNCATED);
    view._payload = NULL;
    CHECK_EQ(nipc_cgroups_resp_item(&view, 0, &item), NIPC_ERR_BAD_LAYOUT);
}

static void snapshot_that_does_not_fit_is_lost_as_a_whole(void)
{
    nipc_cgroups_builder_t builder;
    nipc_cgroups_builder_init(&builder, buf, 100, 2, 0, 1);
    CHECK_EQ(nipc_cgroups_builder_add(&builder, 1, 0, 1, "a", 1, "/a", 2), NIPC_OK);
    CHECK_EQ(nipc_cgroups_builder_add(&builder, 1, 0, 1, "a", 1, "/a", 2), NIPC_ERR_OVERFLOW);
    CHECK_EQ(builder.error, NIPC_ERR_OVERFLOW);
    nipc_cgroups_builder_init(&builder, buf, sizeof buf, 0, 0, 1);
    CHECK_EQ(nipc_cgroups_builder_finish(&builder), 24);
    nipc_cgroups_builder_init(&builder, buf, 24, 1000, 0, 1);
    CHECK_EQ(nipc_cgroups_builder_finish(&builder), 24);
    nipc_cgroups_builder_init(&builder, buf, 23, 0, 0, 1);
    CHECK_EQ(nipc_cgroups_builder_finish(&builder), 0);
    CHECK_EQ(nipc_cgroups_builder_estimate_max_items(24 + 48 * 3 + 47), 3);
    CHECK_EQ(nipc_cgroups_builder_estimate_max_items(3), 0);
}

static bool snapshot_handler(void *user, const nipc_cgroups_req_t *request,
                             nipc_cgroups_builder_t *reply)
{
    CHECK_EQ(request->layout_version, 1);
    nipc_cgroups_builder_set_header(reply, 1, 7);
    for (int i = 0; i < *(int *)user; i++)
        nipc_cgroups_builder_add(reply, (uint32_t)i, 0, 1, "name", 4, "path", 4);
    return *(int *)user >= 0;
}

static void snapshot_dispatch_prefers_the_error_of_the_builder(void)
{
    static uint8_t req[4], resp[512];
    nipc_cgroups_req_t request = {1, 0};
    size_t len = 99;
    int items = 3;
    CHECK_EQ(nipc_cgroups_req_encode(&request, req, sizeof req), 4);
    CHECK_EQ(nipc_dispatch_cgroups_snapshot(req, 4, resp, sizeof resp, &len, 8, snapshot_handler,
                                            &items), NIPC_OK);
    nipc_cgroups_resp_view_t view;
    CHECK_EQ(nipc_cgroups_resp_decode(resp, len, &view), NIPC_OK);
    CHECK(view.item_count == 3 && view.generation == 7);
    items = 100;
    len = 99;
    CHECK_EQ(nipc_dispatch_cgroups_snapshot(req, 4, resp, sizeof resp, &len, 100, snapshot_handler,
                                            &items), NIPC_ERR_OVERFLOW);
    items = -1;
    CHECK_EQ(nipc_dispatch_cgroups_snapshot(req, 4, resp, sizeof resp, &len, 8, snapshot_handler,
                                            &items), NIPC_ERR_HANDLER_FAILED);
    CHECK_EQ(nipc_dispatch_cgroups_snapshot(req, 3, resp, sizeof resp, &len, 8, snapshot_handler,
                                            &items), NIPC_ERR_TRUNCATED);
    CHECK_EQ(nipc_dispatch_cgroups_snapshot(req, 4, resp, sizeof resp, &len, 8, NULL, NULL),
             NIPC_ERR_BAD_LAYOUT);
    CHECK_EQ(len, 99);
}

static bool next_number(void *user, uint64_t request, uint64_t *response)
{
    *response = request + 1;
    return user == NULL;
}

static bool backwards(void *user, const char *request, uint32_t len, char *response,
                      uint32_t capacity, uint32_t *response_len)
{
    (void)user;
    if (len > capacity)
        return false;
    for (uint32_t i = 0; i < len; i++)
        response[i] = request[len - 1 - i];
    *response_len = len;
    return true;
}

static void sample_services_answer(void)
{
    uint8_t req[64], resp[64];
    uint64_t value = 0;
    size_t len = 0;
    CHECK_EQ(nipc_increment_encode(41, req, sizeof req), 8);
    CHECK(nipc_dispatch_increment(req, 8, resp, sizeof resp, &len, next_number, NULL));
    CHECK_EQ(nipc_increment_decode(resp, len, &value), NIPC_OK);
    CHECK_EQ(value, 42);
    CHECK(!nipc_dispatch_increment(req, 8, resp, sizeof resp, &len, next_number, req));
    CHECK(!nipc_dispatch_increment(req, 7, resp, sizeof resp, &len, next_number, NULL));

    nipc_string_reverse_view_t view;
    CHECK_EQ(nipc_string_reverse_encode("hello", 5, req, sizeof req), 14);
    CHECK(nipc_dispatch_string_reverse(req, 14, resp, sizeof resp, &len, backwards, NULL));
    CHECK_EQ(nipc_string_reverse_decode(resp, len, &view), NIPC_OK);
    CHECK(view.str_len == 5 && memcmp(view.str, "olleh", 6) == 0);
    CHECK(!nipc_dispatch_string_reverse(req, 14, resp, 13, &len, backwards, NULL));
    CHECK(!nipc_dispatch_string_reverse(req, 14, resp, 3, &len, backwards, NULL));
}

static void null_is_refused_everywhere(void)
{
    CHECK_EQ(nipc_header_encode(NULL, buf, 32), 0);
    CHECK_EQ(nipc_header_decode(NULL, 32, NULL), NIPC_ERR_BAD_LAYOUT);
    CHECK_EQ(nipc_hello_encode(NULL, NULL, 44), 0);
    CHECK_EQ(nipc_hello_decode(buf, 44, NULL), NIPC_ERR_BAD_LAYOUT);
    CHECK_EQ(nipc_batch_item_get(buf, 8, 1, 0, NULL, NULL), NIPC_ERR_BAD_LAYOUT);
    nipc_batch_builder_init(NULL, buf, 8, 1);
    CHECK_EQ(nipc_batch_builder_add(NULL, "", 0), NIPC_ERR_BAD_LAYOUT);
    CHECK_EQ(nipc_batch_builder_finish(NULL, NULL), 0);
    CHECK_EQ(nipc_cgroups_resp_item(NULL, 0, NULL), NIPC_ERR_BAD_LAYOUT);
    nipc_cgroups_builder_set_header(NULL, 1, 1);
    CHECK_EQ(nipc_cgroups_builder_add(NULL, 0, 0, 0, "", 0, "", 0), NIPC_ERR_BAD_LAYOUT);
    nipc_cgroups_builder_t b;
    nipc_cgroups_builder_init(&b, NULL, 4096, 1, 0, 0);
    CHECK_EQ(nipc_cgroups_builder_add(&b, 0, 0, 0, NULL, 3, "", 0), NIPC_ERR_BAD_LAYOUT);
    CHECK_EQ(nipc_cgroups_builder_add(&b, 0, 0, 0, "", 0, "", 0), NIPC_ERR_OVERFLOW);
    CHECK_EQ(nipc_cgroups_builder_finish(&b), 0);
    CHECK_EQ(nipc_cgroups_lookup_resp_item(NULL, 0, NULL), NIPC_ERR_BAD_LAYOUT);
    CHECK_EQ(nipc_apps_lookup_req_item(NULL, 0, NULL), NIPC_ERR_BAD_LAYOUT);
    CHECK_EQ(nipc_apps_lookup_builder_finish(NULL), 0);
    CHECK_EQ(nipc_increment_decode(NULL, 8, NULL), NIPC_ERR_BAD_LAYOUT);
    CHECK(strcmp(nipc_error_name(NIPC_ERR_BAD_LAYOUT), "BAD_LAYOUT") == 0);
    CHECK(strcmp(nipc_error_name((nipc_error_t)99), "unknown") == 0);
    CHECK_EQ(nipc_align8(9), 16);
}

int main(void)
{
    RUN(header_travels_field_by_field);
    RUN(header_is_told_even_when_refused);
    RUN(chunk_header_without_bytes_is_refused);
    RUN(handshake_messages_travel);
    RUN(batch_is_built_and_taken_apart);
    RUN(batch_that_is_full_can_go_on_with_less);
    RUN(snapshot_is_built_and_read);
    RUN(snapshot_that_does_not_fit_is_lost_as_a_whole);
    RUN(snapshot_dispatch_prefers_the_error_of_the_builder);
    RUN(sample_services_answer);
    RUN(null_is_refused_everywhere);
    return check_result();
}
