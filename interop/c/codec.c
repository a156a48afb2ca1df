/*
 * Messages as files: written from their values, read and written again. Their names are those of the
 * vectors they equal.
 */
#include "codec.h"
#include "peer.h"

#include <stdlib.h>
#include <string.h>

enum { BATCH = 4 };

static const char *const batch[BATCH] = {"a", "1234567", "12345678", "123456789"};

static size_t write_header(uint8_t out[MOST])
{
    nipc_header_t header = {
        .magic = NIPC_MAGIC_MSG, .version = NIPC_VERSION, .header_len = NIPC_HEADER_LEN,
        .kind = NIPC_KIND_REQUEST, .flags = NIPC_FLAG_BATCH, .code = NIPC_METHOD_INCREMENT,
        .payload_len = 48, .item_count = 3, .message_id = 9,
    };
    return nipc_header_encode(&header, out, MOST);
}

static size_t header_again(const uint8_t *in, size_t len, uint8_t out[MOST])
{
    nipc_header_t header;
    return nipc_header_decode(in, len, &header) ? 0 : nipc_header_encode(&header, out, MOST);
}

static size_t write_chunk(uint8_t out[MOST])
{
    nipc_chunk_header_t chunk = {
        .magic = NIPC_MAGIC_CHUNK, .version = NIPC_VERSION, .message_id = 5,
        .total_message_len = 1000, .chunk_index = 11, .chunk_count = 12, .chunk_payload_len = 8,
    };
    return nipc_chunk_header_encode(&chunk, out, MOST);
}

static size_t chunk_again(const uint8_t *in, size_t len, uint8_t out[MOST])
{
    nipc_chunk_header_t chunk;
    return nipc_chunk_header_decode(in, len, &chunk) ? 0
                                                     : nipc_chunk_header_encode(&chunk, out, MOST);
}

static size_t write_hello(uint8_t out[MOST])
{
    nipc_hello_t hello = {
        .layout_version = 1, .supported_profiles = 3, .preferred_profiles = 2,
        .max_request_payload_bytes = 4096, .max_request_batch_items = 16,
        .max_response_payload_bytes = 65536, .max_response_batch_items = 16,
        .auth_token = 0x1122334455667788u, .packet_size = 65536,
    };
    return nipc_hello_encode(&hello, out, MOST);
}

static size_t hello_again(const uint8_t *in, size_t len, uint8_t out[MOST])
{
    nipc_hello_t hello;
    return nipc_hello_decode(in, len, &hello) ? 0 : nipc_hello_encode(&hello, out, MOST);
}

static size_t write_ack(uint8_t out[MOST])
{
    nipc_hello_ack_t ack = {
        .layout_version = 1, .server_supported_profiles = 7, .intersection_profiles = 3,
        .selected_profile = 2, .agreed_max_request_payload_bytes = 4096,
        .agreed_max_request_batch_items = 16, .agreed_max_response_payload_bytes = 65536,
        .agreed_max_response_batch_items = 16, .agreed_packet_size = 65536, .session_id = 42,
    };
    return nipc_hello_ack_encode(&ack, out, MOST);
}

static size_t ack_again(const uint8_t *in, size_t len, uint8_t out[MOST])
{
    nipc_hello_ack_t ack;
    return nipc_hello_ack_decode(in, len, &ack) ? 0 : nipc_hello_ack_encode(&ack, out, MOST);
}

static size_t write_batch(uint8_t out[MOST])
{
    nipc_batch_builder_t builder;
    nipc_batch_builder_init(&builder, out, MOST, BATCH);
    for (int i = 0; i < BATCH; i++)
        if (nipc_batch_builder_add(&builder, batch[i], strlen(batch[i])) != NIPC_OK)
            return 0;
    return nipc_batch_builder_finish(&builder, NULL);
}

static size_t batch_again(const uint8_t *in, size_t len, uint8_t out[MOST])
{
    nipc_batch_builder_t builder;
    nipc_batch_builder_init(&builder, out, MOST, BATCH);
    for (uint32_t i = 0; i < BATCH; i++) {
        const void *item;
        uint32_t item_len;
        if (nipc_batch_item_get(in, len, BATCH, i, &item, &item_len) != NIPC_OK ||
            nipc_batch_builder_add(&builder, item, item_len) != NIPC_OK)
            return 0;
    }
    return nipc_batch_builder_finish(&builder, NULL);
}

static size_t write_increment(uint8_t out[MOST])
{
    return nipc_increment_encode((uint64_t)1 << 63, out, MOST);
}

static size_t increment_again(const uint8_t *in, size_t len, uint8_t out[MOST])
{
    uint64_t value;
    return nipc_increment_decode(in, len, &value) ? 0 : nipc_increment_encode(value, out, MOST);
}

static size_t write_string(uint8_t out[MOST])
{
    return nipc_string_reverse_encode("a\0b", 3, out, MOST);
}

static size_t string_again(const uint8_t *in, size_t len, uint8_t out[MOST])
{
    nipc_string_reverse_view_t view;
    return nipc_string_reverse_decode(in, len, &view)
               ? 0 : nipc_string_reverse_encode(view.str, view.str_len, out, MOST);
}

static size_t write_snapshot_request(uint8_t out[MOST])
{
    nipc_cgroups_req_t request = {.layout_version = 1};
    return nipc_cgroups_req_encode(&request, out, MOST);
}

static size_t snapshot_request_again(const uint8_t *in, size_t len, uint8_t out[MOST])
{
    nipc_cgroups_req_t request;
    return nipc_cgroups_req_decode(in, len, &request) ? 0
                                                      : nipc_cgroups_req_encode(&request, out, MOST);
}

static size_t write_snapshot(uint8_t out[MOST])
{
    nipc_cgroups_builder_t builder;
    nipc_cgroups_builder_init(&builder, out, MOST, 2, 0, 1);
    for (int i = 0; i < 2; i++)
        if (nipc_cgroups_builder_add(&builder, 3381825264u, 3, 1, "docker-abc", 10,
                                     "/sys/fs/cgroup/docker/abc", 25) != NIPC_OK)
            return 0;
    return nipc_cgroups_builder_finish(&builder);
}

static size_t snapshot_again(const uint8_t *in, size_t len, uint8_t out[MOST])
{
    nipc_cgroups_resp_view_t view;
    nipc_cgroups_builder_t builder;
    if (nipc_cgroups_resp_decode(in, len, &view) != NIPC_OK)
        return 0;
    nipc_cgroups_builder_init(&builder, out, MOST, view.item_count, view.systemd_enabled,
                              view.generation);
    for (uint32_t i = 0; i < view.item_count; i++) {
        nipc_cgroups_item_view_t item;
        if (nipc_cgroups_resp_item(&view, i, &item) != NIPC_OK ||
            nipc_cgroups_builder_add(&builder, item.hash, item.options, item.enabled, item.name.ptr,
                                     item.name.len, item.path.ptr, item.path.len) != NIPC_OK)
            return 0;
    }
    return nipc_cgroups_builder_finish(&builder);
}

static const struct message messages[] = {
    {"hdr-batch-3", write_header, header_again},
    {"chk-last", write_chunk, chunk_again},
    {"hel-shm", write_hello, hello_again},
    {"ack-shm", write_ack, ack_again},
    {"bat-odd-lengths", write_batch, batch_again},
    {"inc-9223372036854775808", write_increment, increment_again},
    {"str-inner-nul", write_string, string_again},
    {"snq", write_snapshot_request, snapshot_request_again},
    {"snr-same-name-twice", write_snapshot, snapshot_again},
};
enum { PLAIN_MESSAGES = sizeof messages / sizeof *messages };
static const size_t message_count = PLAIN_MESSAGES + LOOKUP_MESSAGES;

static const struct message *message_at(size_t i)
{
    return i < PLAIN_MESSAGES ? &messages[i] : &lookup_messages[i - PLAIN_MESSAGES];
}

static FILE *open_file(const struct meeting *meeting, const char *side, const char *mode)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s.%s", meeting->dir, meeting->service, side);
    FILE *file = fopen(path, mode);
    if (!file)
        fail("cannot open %s", path);
    return file;
}

static void write_line(FILE *file, const char *name, const uint8_t *bytes, size_t len)
{
    fprintf(file, "%s ", name);
    for (size_t i = 0; i < len; i++)
        fprintf(file, "%02x", bytes[i]);
    fputc('\n', file);
}

bool codec_serve(const struct meeting *meeting)
{
    FILE *file = open_file(meeting, "server", "w");
    bool good = file != NULL;
    for (size_t i = 0; good && i < message_count; i++) {
        uint8_t bytes[MOST];
        const struct message *message = message_at(i);
        size_t len = message->write(bytes);
        good = len > 0 || fail("%s cannot be written", message->name);
        write_line(file, message->name, bytes, len);
    }
    if (file && fclose(file) != 0)
        good = fail("the messages cannot be stored");
    if (good) {
        say("READY");
        wait_for_the_end();
    }
    return good;
}

/* Reads hexadecimal digits; returns how many bytes they are. */
static size_t read_digits(const char *digits, uint8_t bytes[MOST])
{
    size_t len = 0;
    unsigned byte;
    for (; len < MOST && sscanf(digits, "%2x", &byte) == 1 && digits[1]; digits += 2)
        bytes[len++] = (uint8_t)byte;
    return len;
}

static bool write_again(const char *name, const char *digits, FILE *to)
{
    uint8_t in[MOST], out[MOST];
    size_t len = read_digits(digits, in);
    for (size_t i = 0; i < message_count; i++) {
        const struct message *message = message_at(i);
        if (strcmp(message->name, name) != 0)
            continue;
        size_t written = message->again(in, len, out);
        write_line(to, name, out, written);
        return written > 0 || fail("%s: %s", name, nipc_last_error());
    }
    return fail("%s: not known here", name);
}

bool codec_call(const struct meeting *meeting)
{
    FILE *from = open_file(meeting, "server", "r");
    FILE *to = from ? open_file(meeting, "client", "w") : NULL;
    bool good = to != NULL;
    char name[64], digits[2 * MOST + 1];
    while (good && fscanf(from, "%63s %8192s", name, digits) == 2)
        good = write_again(name, digits, to);
    if (to && fclose(to) != 0)
        good = fail("the messages cannot be stored");
    if (from)
        fclose(from);
    return good;
}
