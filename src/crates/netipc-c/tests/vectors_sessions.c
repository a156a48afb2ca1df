/* Sessions: handshakes at both ends, messages in packets, and a whole server. The other end is a bare
   socket that sends the bytes of the vector. */
#define NIPC_INTERNAL_TESTING
#include "netipc/netipc_service.h"

#include "vectors.h"

#include <sys/socket.h>
#include <sys/un.h>

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

/* ---- Handshakes ------------------------------------------------------------------------------- */

static int bare_socket(const char *name, struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    REQUIRE(fd >= 0);
    struct timeval patience = {.tv_sec = 20};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(address->sun_path, sizeof address->sun_path, "%s/%s.sock", check_dir(), name);
    return fd;
}

/* Whether a session is the one the vector speaks of. */
static bool is_session(const struct json *fields, const nipc_uds_session_t *session)
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
static bool is_alternative(const struct json *vector, nipc_uds_error_t error, const uint8_t *reply,
                           size_t len)
{
    const struct json *other = json_get(vector, "alternative");
    const struct json *other_reply = json_get(other, "reply");
    return other && (!other_reply || is_bytes(other_reply, reply, len)) &&
           (error == NIPC_UDS_OK || strcmp(json_string(other, "error"), nipc_uds_error_name(error)) == 0);
}

static void server_handshake(const struct json *vector)
{
    const struct json *from = json_get(vector, "config");
    nipc_uds_server_config_t config = {
        .supported_profiles = (uint32_t)json_number(from, "supported_profiles"),
        .preferred_profiles = (uint32_t)json_number(from, "preferred_profiles"),
        .max_request_payload_bytes = (uint32_t)json_number(from, "max_request_payload_bytes"),
        .max_request_batch_items = (uint32_t)json_number(from, "max_request_batch_items"),
        .max_response_payload_bytes = (uint32_t)json_number(from, "max_response_payload_bytes"),
        .auth_token = json_number(from, "auth_token"),
        .packet_size = (uint32_t)json_number(from, "packet_size")};
    nipc_uds_listener_t listener;
    nipc_uds_session_t session;
    struct sockaddr_un address;
    uint8_t reply[256];
    size_t len;
    REQUIRE(nipc_uds_listen(check_dir(), "server", &config, &listener) == NIPC_UDS_OK);
    int client = bare_socket("server", &address);
    uint8_t *hello = json_bytes(json_get(vector, "hex"), &len);
    REQUIRE(connect(client, (struct sockaddr *)&address, sizeof address) == 0);
    REQUIRE(send(client, hello, len, 0) == (ssize_t)len);
    nipc_uds_error_t error = nipc_uds_accept(&listener, json_number(from, "session_id"), &session);
    ssize_t got = recv(client, reply, sizeof reply, MSG_DONTWAIT);
    size_t reply_len = got > 0 ? (size_t)got : 0;

    const struct json *expected = json_get(vector, "reply");
    bool replied = expected && expected->kind != JSON_NULL ? is_bytes(expected, reply, reply_len)
                                                           : reply_len == 0;
    bool decided = error == NIPC_UDS_OK
                       ? json_true(vector, "valid") && is_session(json_get(vector, "fields"), &session)
                       : strcmp(json_string(vector, "error"), nipc_uds_error_name(error)) == 0;
    EXPECT((replied && decided) || is_alternative(vector, error, reply, reply_len));
    if (error != NIPC_UDS_OK)
        EXPECT(session.fd == -1 && nipc_last_error()[0] != 0);
    nipc_uds_close_session(&session);
    nipc_uds_close_listener(&listener);
    close(client);
}

struct bare_server {
    const struct json *vector;
    int fd;
    bool was_sent; /* what the client had to send */
};

static void *grant(void *arg)
{
    struct bare_server *server = arg;
    uint8_t hello[256];
    size_t len;
    int fd = accept(server->fd, NULL, NULL);
    ssize_t got = recv(fd, hello, sizeof hello, 0);
    server->was_sent = got > 0 && is_bytes(json_get(server->vector, "sends"), hello, (size_t)got);
    uint8_t *ack = json_bytes(json_get(server->vector, "hex"), &len);
    send(fd, ack, len, MSG_NOSIGNAL);
    recv(fd, hello, sizeof hello, 0); /* until the client hangs up */
    close(fd);
    return NULL;
}

static void client_handshake(const struct json *vector)
{
    const struct json *from = json_get(vector, "config");
    nipc_uds_client_config_t config = {
        .supported_profiles = (uint32_t)json_number(from, "supported_profiles"),
        .preferred_profiles = (uint32_t)json_number(from, "preferred_profiles"),
        .max_request_payload_bytes = (uint32_t)json_number(from, "max_request_payload_bytes"),
        .max_request_batch_items = (uint32_t)json_number(from, "max_request_batch_items"),
        .max_response_payload_bytes = (uint32_t)json_number(from, "max_response_payload_bytes"),
        .max_response_batch_items = (uint32_t)json_number(from, "max_response_batch_items"),
        .auth_token = json_number(from, "auth_token"),
        .packet_size = (uint32_t)json_number(from, "packet_size")};
    struct bare_server server = {.vector = vector};
    struct sockaddr_un address;
    nipc_uds_session_t session;
    pthread_t thread;
    server.fd = bare_socket("client", &address);
    REQUIRE(bind(server.fd, (struct sockaddr *)&address, sizeof address) == 0);
    REQUIRE(listen(server.fd, 1) == 0);
    REQUIRE(pthread_create(&thread, NULL, grant, &server) == 0);
    nipc_uds_error_t error = nipc_uds_connect(check_dir(), "client", &config, &session);
    bool decided = error == NIPC_UDS_OK
                       ? json_true(vector, "valid") && is_session(json_get(vector, "fields"), &session)
                       : strcmp(json_string(vector, "error"), nipc_uds_error_name(error)) == 0;
    EXPECT(decided || is_alternative(vector, error, NULL, 0));
    nipc_uds_close_session(&session);
    pthread_join(thread, NULL);
    EXPECT(server.was_sent);
    close(server.fd);
    unlink(address.sun_path);
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
    nipc_uds_server_config_t config = {
        .max_request_payload_bytes = (uint32_t)json_number(limits, "max_request_payload_bytes"),
        .max_request_batch_items = items,
        .max_response_payload_bytes = (uint32_t)json_number(limits, "max_response_payload_bytes"),
        .packet_size = (uint32_t)json_number(limits, "packet_size")};
    nipc_uds_client_config_t client = {
        .max_request_payload_bytes = config.max_request_payload_bytes,
        .max_request_batch_items = items,
        .max_response_payload_bytes = config.max_response_payload_bytes,
        .packet_size = config.packet_size};
    nipc_managed_server_t server;
    nipc_uds_session_t session;
    pthread_t thread;
    REQUIRE(nipc_server_init(&server, check_dir(), "service", &config, 2, NIPC_METHOD_INCREMENT,
                             next_number, NULL) == NIPC_OK);
    REQUIRE(pthread_create(&thread, NULL, serve, &server) == 0);
    REQUIRE(nipc_uds_connect(check_dir(), "service", &client, &session) == NIPC_UDS_OK);
    EXPECT(session.packet_size == config.packet_size);

    uint8_t packet[65536];
    for (const struct json *each = json_get(vector, "packets")->first; each; each = each->next) {
        size_t len;
        uint8_t *bytes = json_bytes(each, &len);
        REQUIRE(send(session.fd, bytes, len, MSG_NOSIGNAL) == (ssize_t)len);
    }
    for (const struct json *each = json_get(vector, "replies")->first; each; each = each->next) {
        ssize_t got = recv(session.fd, packet, sizeof packet, 0);
        EXPECT(got > 0 && is_bytes(each, packet, (size_t)got));
    }
    if (strcmp(json_string(vector, "after"), "closed") == 0) {
        EXPECT(recv(session.fd, packet, sizeof packet, 0) == 0);
    } else {
        nipc_header_t header = {.kind = NIPC_KIND_REQUEST, .code = NIPC_METHOD_INCREMENT,
                                .item_count = 1, .message_id = 77};
        const void *payload;
        size_t len;
        uint64_t value = 1;
        nipc_increment_encode(1, packet, 8);
        EXPECT(nipc_uds_send(&session, &header, packet, 8) == NIPC_UDS_OK);
        EXPECT(nipc_uds_receive(&session, NULL, 0, &header, &payload, &len) == NIPC_UDS_OK);
        EXPECT(nipc_increment_decode(payload, len, &value) == NIPC_OK && value == 2);
    }
    nipc_uds_close_session(&session);
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
