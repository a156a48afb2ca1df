/* Sessions: handshakes at both ends, messages in packets, and a whole server. The other end is a bare
   one that sends the bytes of the vector. */
#define NIPC_INTERNAL_TESTING
#include "netipc/netipc_service.h"

#include "bare.h"
#include "vectors.h"

/* Makes a session by a handshake, whose other end proposes these limits. */
static bare propose(const char *service, uint32_t bytes, uint32_t items, uint32_t packet_size)
{
    nipc_hello_t hello = {
        .layout_version = 1, .supported_profiles = NIPC_PROFILE_BASELINE,
        .max_request_payload_bytes = bytes, .max_request_batch_items = items,
        .max_response_payload_bytes = bytes, .max_response_batch_items = items,
        .packet_size = packet_size};
    nipc_header_t header = {.magic = NIPC_MAGIC_MSG, .version = NIPC_VERSION,
                            .header_len = NIPC_HEADER_LEN, .kind = NIPC_KIND_CONTROL,
                            .code = NIPC_CODE_HELLO, .payload_len = NIPC_HELLO_WIRE_SIZE,
                            .item_count = 1};
    uint8_t packet[NIPC_HEADER_LEN + NIPC_HELLO_WIRE_SIZE];
    REQUIRE(nipc_header_encode(&header, packet, sizeof packet) == NIPC_HEADER_LEN);
    REQUIRE(nipc_hello_encode(&hello, packet + NIPC_HEADER_LEN, NIPC_HELLO_WIRE_SIZE) ==
            NIPC_HELLO_WIRE_SIZE);
    bare peer = bare_connect(service);
    bare_send(peer, packet, sizeof packet);
    return peer;
}

/* What the other end is granted. */
static nipc_hello_ack_t granted(bare peer)
{
    nipc_hello_ack_t ack;
    uint8_t packet[256];
    size_t len = bare_receive(peer, packet, sizeof packet);
    REQUIRE(len > NIPC_HEADER_LEN);
    REQUIRE(nipc_hello_ack_decode(packet + NIPC_HEADER_LEN, len - NIPC_HEADER_LEN, &ack) == NIPC_OK);
    return ack;
}

/* Both ends of a session; what was agreed on is for the caller to set. */
static bare open_pair(L1(session_t) *session)
{
    L1(listener_t) listener;
    REQUIRE(L1(listen)(check_dir(), "pair", NULL, &listener) == L1_CODE(OK));
    bare peer = propose("pair", 1024, 1, 65536);
    REQUIRE(L1(accept)(&listener, 1, session) == L1_CODE(OK));
    L1(close_listener)(&listener);
    granted(peer);
    return peer;
}

static void receive(const struct json *vector)
{
    const struct json *from = json_get(vector, "session");
    L1(session_t) session;
    bare peer = open_pair(&session);
    bool is_client = strcmp(json_string(from, "role"), "client") == 0;
    session.role = is_client ? L1_CODE(ROLE_CLIENT) : L1_CODE(ROLE_SERVER);
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
        bare_send(peer, packet, len);
    }
    bare_close(peer);

    nipc_header_t header;
    const void *payload = NULL;
    size_t len = 0;
    L1(error_t) error = L1(receive)(&session, NULL, 0, &header, &payload, &len);
    const struct json *fields = json_get(vector, "fields");
    if (error != L1_CODE(OK)) {
        EXPECT(is_expected(vector, L1(error_name)(error)));
    } else {
        EXPECT(json_true(vector, "valid"));
        EXPECT(header.message_id == json_number(fields, "message_id"));
        EXPECT(header.kind == json_number(fields, "kind"));
        EXPECT(is_bytes(json_get(fields, "payload"), payload, len));
    }
    L1(close_session)(&session);
}

static void send_message(const struct json *vector)
{
    const struct json *fields = json_get(vector, "fields");
    L1(session_t) session;
    bare peer = open_pair(&session);
    session.role = L1_CODE(ROLE_CLIENT);
    /* no limits, as those of a session that never agreed on any */
    session.max_request_payload_bytes = session.max_request_batch_items = 0;
    session.packet_size = (uint32_t)json_number(json_get(vector, "session"), "packet_size");
    size_t len;
    uint8_t *payload = json_bytes(json_get(fields, "payload"), &len);
    nipc_header_t header = {
        .kind = (uint16_t)json_number(fields, "kind"), .flags = (uint16_t)json_number(fields, "flags"),
        .code = (uint16_t)json_number(fields, "code"),
        .transport_status = (uint16_t)json_number(fields, "transport_status"),
        .item_count = (uint32_t)json_number(fields, "item_count"),
        .message_id = json_number(fields, "message_id")};
    EXPECT(L1(send)(&session, &header, payload, len) == L1_CODE(OK));
    L1(close_session)(&session);
    const struct json *each = json_get(vector, "packets")->first;
    uint8_t packet[65536];
    for (; each; each = each->next) {
        size_t got = bare_receive(peer, packet, sizeof packet);
        EXPECT(is_bytes(each, packet, got));
    }
    EXPECT(bare_receive(peer, packet, sizeof packet) == 0);
    bare_close(peer);
}

/* ---- Handshakes ------------------------------------------------------------------------------- */

/* Whether a session is the one the vector speaks of. */
static bool is_session(const struct json *fields, const L1(session_t) *session)
{
    return session->selected_profile == json_number(fields, "selected_profile") &&
           session->max_request_payload_bytes == json_number(fields, "max_request_payload_bytes") &&
           session->max_request_batch_items == json_number(fields, "max_request_batch_items") &&
           session->max_response_payload_bytes == json_number(fields, "max_response_payload_bytes") &&
           session->max_response_batch_items == json_number(fields, "max_response_batch_items") &&
           session->packet_size == json_number(fields, "packet_size") &&
           session->session_id == json_number(fields, "session_id");
}

/* A handshake whose alternative outcome is the one that came about. */
static bool is_alternative(const struct json *vector, L1(error_t) error, const uint8_t *reply,
                           size_t len)
{
    const struct json *other = json_get(vector, "alternative");
    const struct json *other_reply = json_get(other, "reply");
    return other && (!other_reply || is_bytes(other_reply, reply, len)) &&
           (error == L1_CODE(OK) || strcmp(json_string(other, "error"), L1(error_name)(error)) == 0);
}

static void server_handshake(const struct json *vector)
{
    const struct json *from = json_get(vector, "config");
    L1(server_config_t) config = {
        .supported_profiles = (uint32_t)json_number(from, "supported_profiles"),
        .preferred_profiles = (uint32_t)json_number(from, "preferred_profiles"),
        .max_request_payload_bytes = (uint32_t)json_number(from, "max_request_payload_bytes"),
        .max_request_batch_items = (uint32_t)json_number(from, "max_request_batch_items"),
        .max_response_payload_bytes = (uint32_t)json_number(from, "max_response_payload_bytes"),
        .auth_token = json_number(from, "auth_token"),
        .packet_size = (uint32_t)json_number(from, "packet_size")};
    L1(listener_t) listener;
    L1(session_t) session;
    uint8_t reply[256];
    size_t len;
    REQUIRE(L1(listen)(check_dir(), "server", &config, &listener) == L1_CODE(OK));
    bare client = bare_connect("server");
    uint8_t *hello = json_bytes(json_get(vector, "hex"), &len);
    bare_send(client, hello, len);
    L1(error_t) error = L1(accept)(&listener, json_number(from, "session_id"), &session);
    size_t reply_len = bare_receive(client, reply, sizeof reply);

    const struct json *expected = json_get(vector, "reply");
    bool replied = expected && expected->kind != JSON_NULL ? is_bytes(expected, reply, reply_len)
                                                           : reply_len == 0;
    bool decided = error == L1_CODE(OK)
                       ? json_true(vector, "valid") && is_session(json_get(vector, "fields"), &session)
                       : strcmp(json_string(vector, "error"), L1(error_name)(error)) == 0;
    EXPECT((replied && decided) || is_alternative(vector, error, reply, reply_len));
    if (error != L1_CODE(OK))
        EXPECT(L1_IS_CLOSED(&session) && nipc_last_error()[0] != 0);
    L1(close_session)(&session);
    L1(close_listener)(&listener);
    bare_close(client);
}

struct bare_server {
    const struct json *vector;
    bare listener;
    bool was_sent; /* what the client had to send */
};

static void *grant(void *arg)
{
    struct bare_server *server = arg;
    uint8_t hello[256];
    size_t len;
    bare client = bare_accept(server->listener);
    size_t got = bare_receive(client, hello, sizeof hello);
    server->was_sent = is_bytes(json_get(server->vector, "sends"), hello, got);
    uint8_t *ack = json_bytes(json_get(server->vector, "hex"), &len);
    bare_send(client, ack, len);
    bare_receive(client, hello, sizeof hello); /* until the client hangs up */
    bare_close(client);
    return NULL;
}

static void client_handshake(const struct json *vector)
{
    const struct json *from = json_get(vector, "config");
    L1(client_config_t) config = {
        .supported_profiles = (uint32_t)json_number(from, "supported_profiles"),
        .preferred_profiles = (uint32_t)json_number(from, "preferred_profiles"),
        .max_request_payload_bytes = (uint32_t)json_number(from, "max_request_payload_bytes"),
        .max_request_batch_items = (uint32_t)json_number(from, "max_request_batch_items"),
        .max_response_payload_bytes = (uint32_t)json_number(from, "max_response_payload_bytes"),
        .max_response_batch_items = (uint32_t)json_number(from, "max_response_batch_items"),
        .auth_token = json_number(from, "auth_token"),
        .packet_size = (uint32_t)json_number(from, "packet_size")};
    struct bare_server server = {.vector = vector};
    L1(session_t) session;
    pthread_t thread;
    server.listener = bare_listen("client");
    REQUIRE(pthread_create(&thread, NULL, grant, &server) == 0);
    L1(error_t) error = L1(connect)(check_dir(), "client", &config, &session);
    bool decided = error == L1_CODE(OK)
                       ? json_true(vector, "valid") && is_session(json_get(vector, "fields"), &session)
                       : strcmp(json_string(vector, "error"), L1(error_name)(error)) == 0;
    EXPECT(decided || is_alternative(vector, error, NULL, 0));
    L1(close_session)(&session);
    pthread_join(thread, NULL);
    EXPECT(server.was_sent);
    bare_close_listener(server.listener, "client");
}

/* ---- A server --------------------------------------------------------------------------------- */

static nipc_error_t next_number(void *user, const nipc_header_t *header, const uint8_t *payload,
                                size_t len, uint8_t *resp, size_t resp_size, size_t *resp_len)
{
    uint64_t value;
    (void)user;
    (void)header;
    nipc_error_t error = nipc_increment_decode(payload, len, &value);
    if (error != NIPC_OK)
        return error;
    if (value == 999)
        return NIPC_ERR_HANDLER_FAILED;
    if (value == 998)
        return NIPC_ERR_OVERFLOW;
    *resp_len = nipc_increment_encode(value + 1, resp, resp_size);
    return *resp_len ? NIPC_OK : NIPC_ERR_OVERFLOW;
}

static void *serve(void *server)
{
    nipc_server_run(server);
    return NULL;
}

static void increment_service(const struct json *vector)
{
    const struct json *limits = json_get(vector, "session");
    uint32_t items = (uint32_t)json_number(limits, "max_batch_items");
    L1(server_config_t) config = {
        .max_request_payload_bytes = (uint32_t)json_number(limits, "max_request_payload_bytes"),
        .max_request_batch_items = items,
        .max_response_payload_bytes = (uint32_t)json_number(limits, "max_response_payload_bytes"),
        .packet_size = (uint32_t)json_number(limits, "packet_size")};
    nipc_managed_server_t server;
    pthread_t thread;
    REQUIRE(nipc_server_init(&server, check_dir(), "service", &config, 2, NIPC_METHOD_INCREMENT,
                             next_number, NULL) == NIPC_OK);
    REQUIRE(pthread_create(&thread, NULL, serve, &server) == 0);
    bare client = propose("service", config.max_request_payload_bytes, items, config.packet_size);
    EXPECT(granted(client).agreed_packet_size == config.packet_size);

    uint8_t packet[65536];
    for (const struct json *each = json_get(vector, "packets")->first; each; each = each->next) {
        size_t len;
        uint8_t *bytes = json_bytes(each, &len);
        bare_send(client, bytes, len);
    }
    for (const struct json *each = json_get(vector, "replies")->first; each; each = each->next) {
        size_t got = bare_receive(client, packet, sizeof packet);
        EXPECT(is_bytes(each, packet, got));
    }
    if (strcmp(json_string(vector, "after"), "closed") == 0) {
        EXPECT(bare_receive(client, packet, sizeof packet) == 0);
    } else {
        nipc_header_t header = {.magic = NIPC_MAGIC_MSG, .version = NIPC_VERSION,
                                .header_len = NIPC_HEADER_LEN, .kind = NIPC_KIND_REQUEST,
                                .code = NIPC_METHOD_INCREMENT, .payload_len = 8, .item_count = 1,
                                .message_id = 77};
        uint64_t value = 1;
        nipc_header_encode(&header, packet, NIPC_HEADER_LEN);
        nipc_increment_encode(1, packet + NIPC_HEADER_LEN, 8);
        bare_send(client, packet, NIPC_HEADER_LEN + 8);
        size_t got = bare_receive(client, packet, sizeof packet);
        EXPECT(got == NIPC_HEADER_LEN + 8);
        EXPECT(nipc_increment_decode(packet + NIPC_HEADER_LEN, 8, &value) == NIPC_OK && value == 2);
    }
    bare_close(client);
    nipc_server_stop(&server);
    pthread_join(thread, NULL);
    nipc_server_destroy(&server);
}

static const struct vector_target targets[] = {
    {"receive", receive},
    {"send", send_message},
    {"server_handshake", server_handshake},
    {"client_handshake", client_handshake},
    {"increment_service", increment_service},
};

int main(void)
{
    VECTORS_RUN("stream", targets);
    VECTORS_RUN("handshake", targets);
    VECTORS_RUN("service", targets);
    return check_result();
}
