/* Sessions over a socket, with well-behaved peers and with raw bytes. */
#include "netipc/netipc_uds.h"

#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

struct pair {
    nipc_uds_listener_t listener;
    nipc_uds_session_t client, server;
    nipc_uds_error_t accepted;
};

static void *accept_one(void *arg)
{
    struct pair *pair = arg;
    pair->accepted = nipc_uds_accept(&pair->listener, 42, &pair->server);
    return NULL;
}

static nipc_uds_error_t connect_pair(struct pair *pair, const nipc_uds_server_config_t *server,
                                     const nipc_uds_client_config_t *client)
{
    pthread_t thread;
    REQUIRE(nipc_uds_listen(check_dir(), "uds", server, &pair->listener) == NIPC_UDS_OK);
    pthread_create(&thread, NULL, accept_one, pair);
    nipc_uds_error_t connected = nipc_uds_connect(check_dir(), "uds", client, &pair->client);
    pthread_join(thread, NULL);
    return connected;
}

static void close_pair(struct pair *pair)
{
    nipc_uds_close_session(&pair->client);
    nipc_uds_close_session(&pair->server);
    nipc_uds_close_listener(&pair->listener);
}

static nipc_header_t request(uint64_t id)
{
    nipc_header_t header = {.kind = NIPC_KIND_REQUEST, .code = 1, .item_count = 1, .message_id = id};
    return header;
}

static void sessions_agree_and_carry_messages(void)
{
    struct pair pair;
    CHECK_EQ(connect_pair(&pair, NULL, NULL), NIPC_UDS_OK);
    CHECK_EQ(pair.accepted, NIPC_UDS_OK);
    CHECK(pair.client.session_id == 42 && pair.server.session_id == 42);
    CHECK_EQ(pair.client.role, NIPC_UDS_ROLE_CLIENT);
    CHECK_EQ(pair.server.role, NIPC_UDS_ROLE_SERVER);
    CHECK_EQ(pair.client.selected_profile, NIPC_PROFILE_BASELINE);
    CHECK_EQ(pair.client.max_request_payload_bytes, 1024);
    CHECK_EQ(pair.client.max_response_payload_bytes, 1024);
    CHECK_EQ(pair.client.max_request_batch_items, 1);
    CHECK(pair.client.packet_size <= 65536);
    CHECK_EQ(nipc_uds_session_fd(&pair.client), pair.client.fd);
    CHECK_EQ(nipc_uds_session_fd(NULL), -1);
    CHECK_EQ(nipc_uds_listener_fd(&pair.listener), pair.listener.fd);

    nipc_header_t header = request(9), got;
    const void *payload;
    size_t len;
    uint8_t buf[2048];
    CHECK_EQ(nipc_uds_send(&pair.client, &header, "ping", 4), NIPC_UDS_OK);
    CHECK(header.magic == NIPC_MAGIC_MSG && header.payload_len == 4 && header.header_len == 32);
    CHECK_EQ(pair.client.inflight_count, 1);
    CHECK_EQ(pair.client.inflight_ids[0], 9);
    CHECK_EQ(nipc_uds_receive(&pair.server, buf, sizeof buf, &got, &payload, &len), NIPC_UDS_OK);
    CHECK(payload == buf + 32 && len == 4 && memcmp(payload, "ping", 4) == 0 && got.message_id == 9);
    got.kind = NIPC_KIND_RESPONSE;
    CHECK_EQ(nipc_uds_send(&pair.server, &got, NULL, 0), NIPC_UDS_OK);
    /* a buffer that holds no packet is no problem */
    CHECK_EQ(nipc_uds_receive(&pair.client, buf, 3, &got, &payload, &len), NIPC_UDS_OK);
    CHECK(len == 0 && pair.client.inflight_count == 0);
    close_pair(&pair);
    CHECK_EQ(pair.client.fd, -1);
    close_pair(&pair);
}

static void socket_is_private_and_goes_with_its_listener(void)
{
    nipc_uds_listener_t listener, second;
    struct stat file;
    REQUIRE(nipc_uds_listen(check_dir(), "uds", NULL, &listener) == NIPC_UDS_OK);
    CHECK(stat(listener.path, &file) == 0 && (file.st_mode & 0777) == 0600);
    CHECK_EQ(nipc_uds_listen(check_dir(), "uds", NULL, &second), NIPC_UDS_ERR_ADDR_IN_USE);
    CHECK_EQ(second.fd, -1);
    nipc_uds_close_listener(&second);
    char path[108];
    strcpy(path, listener.path);
    nipc_uds_close_listener(&listener);
    nipc_uds_close_listener(&listener);
    CHECK(access(path, F_OK) != 0);
}

static void listener_whose_descriptor_the_program_closed_is_not_closed_again(void)
{
    nipc_uds_listener_t listener, second;
    nipc_uds_session_t session;
    char path[108];
    REQUIRE(nipc_uds_listen(check_dir(), "uds", NULL, &listener) == NIPC_UDS_OK);
    strcpy(path, listener.path);
    int other = dup2(0, listener.fd); /* closes it, and takes its number */
    REQUIRE(other >= 0);
    listener.fd = -1;
    errno = 0;
    CHECK_EQ(nipc_uds_accept(&listener, 1, &session), NIPC_UDS_ERR_ACCEPT);
    CHECK_EQ(errno, EBADF);
    nipc_uds_close_listener(&listener);
    CHECK(fcntl(other, F_GETFD) >= 0);
    CHECK(access(path, F_OK) != 0);
    close(other);

    /* What such a listener leaves is dead, and its end does not hurt who came after it. */
    REQUIRE(nipc_uds_listen(check_dir(), "uds", NULL, &listener) == NIPC_UDS_OK);
    close(listener.fd);
    listener.fd = -1;
    CHECK_EQ(nipc_uds_connect(check_dir(), "uds", NULL, &session), NIPC_UDS_ERR_CONNECT);
    CHECK_EQ(nipc_uds_listen(check_dir(), "uds", NULL, &second), NIPC_UDS_OK);
    nipc_uds_close_listener(&listener);
    CHECK(access(path, F_OK) == 0);
    nipc_uds_close_listener(&second);
    CHECK_EQ(nipc_uds_accept(&second, 1, &session), NIPC_UDS_ERR_ACCEPT);
}

static void names_and_paths_are_checked(void)
{
    nipc_uds_session_t session;
    nipc_uds_listener_t listener;
    char dir[200];
    memset(dir, 'x', sizeof dir - 1);
    dir[0] = '/';
    dir[199] = 0;
    const char *bad[] = {"", ".", "..", "a/b", "a b", "\xff"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK_EQ(nipc_uds_connect(check_dir(), bad[i], NULL, &session), NIPC_UDS_ERR_BAD_PARAM);
        CHECK_EQ(nipc_uds_listen(check_dir(), bad[i], NULL, &listener), NIPC_UDS_ERR_BAD_PARAM);
    }
    CHECK_EQ(nipc_uds_connect(dir, "x", NULL, &session), NIPC_UDS_ERR_PATH_TOO_LONG);
    CHECK_EQ(nipc_uds_listen(dir, "x", NULL, &listener), NIPC_UDS_ERR_PATH_TOO_LONG);
    CHECK_EQ(nipc_uds_connect(check_dir(), "nobody", NULL, &session), NIPC_UDS_ERR_CONNECT);
    CHECK_EQ(errno, ENOENT);
    CHECK(strstr(nipc_last_error(), "nobody.sock") != NULL);
    CHECK_EQ(nipc_uds_connect(NULL, "x", NULL, &session), NIPC_UDS_ERR_BAD_PARAM);
    CHECK_EQ(nipc_uds_listen("/nonexistent", "x", NULL, &listener), NIPC_UDS_ERR_SOCKET);
    nipc_uds_close_session(&session);
}

static void refusals_have_their_reason(void)
{
    struct pair pair;
    nipc_uds_server_config_t server = {.auth_token = 1, .max_request_payload_bytes = 100};
    nipc_uds_client_config_t client = {.auth_token = 2};
    CHECK_EQ(connect_pair(&pair, &server, &client), NIPC_UDS_ERR_AUTH_FAILED);
    CHECK_EQ(pair.accepted, NIPC_UDS_ERR_AUTH_FAILED);
    close_pair(&pair);
    client.auth_token = 1;
    client.max_request_payload_bytes = 101;
    CHECK_EQ(connect_pair(&pair, &server, &client), NIPC_UDS_ERR_LIMIT_EXCEEDED);
    close_pair(&pair);
    client.max_request_payload_bytes = 100;
    client.supported_profiles = NIPC_PROFILE_SHM_HYBRID;
    CHECK_EQ(connect_pair(&pair, &server, &client), NIPC_UDS_ERR_NO_PROFILE);
    close_pair(&pair);
    client.supported_profiles = 0;
    client.packet_size = 32;
    CHECK_EQ(connect_pair(&pair, &server, &client), NIPC_UDS_ERR_INCOMPATIBLE);
    close_pair(&pair);
}

static void large_messages_travel_in_parts(void)
{
    enum { SIZE = 1 << 20 };
    struct pair pair;
    nipc_uds_server_config_t server = {.max_request_payload_bytes = SIZE,
                                       .max_response_payload_bytes = SIZE, .packet_size = 4096};
    nipc_uds_client_config_t client = {.max_request_payload_bytes = SIZE};
    CHECK_EQ(connect_pair(&pair, &server, &client), NIPC_UDS_OK);
    CHECK_EQ(pair.client.packet_size, 4096);
    uint8_t *message = malloc(SIZE);
    for (int i = 0; i < SIZE; i++)
        message[i] = (uint8_t)(i * 7);
    size_t sizes[] = {0, 1, 4064, 4065, 8128, 8129, 40000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (int in_buf = 0; in_buf < 2; in_buf++) {
            uint8_t buf[8192];
            nipc_header_t header = request(i * 2 + (size_t)in_buf), got;
            const void *payload;
            size_t len;
            CHECK_EQ(nipc_uds_send(&pair.client, &header, message, sizes[i]), NIPC_UDS_OK);
            CHECK_EQ(nipc_uds_receive(&pair.server, buf, in_buf ? sizeof buf : 0, &got, &payload,
                                      &len), NIPC_UDS_OK);
            CHECK(len == sizes[i] && memcmp(payload, message, len) == 0);
            if (sizes[i] > 4064)
                CHECK(payload == pair.server.recv_buf);
            else if (in_buf)
                CHECK(payload == buf + 32);
        }
    }
    nipc_header_t header = request(1000);
    uint32_t count = pair.client.inflight_count;
    CHECK_EQ(nipc_uds_send(&pair.client, &header, message, SIZE + 1ul), NIPC_UDS_ERR_LIMIT_EXCEEDED);
    CHECK_EQ(pair.client.inflight_count, count);
    free(message);
    close_pair(&pair);
}

static void ids_in_flight_are_the_public_array(void)
{
    struct pair pair;
    nipc_header_t header = request(1), got;
    const void *payload;
    size_t len;
    CHECK_EQ(connect_pair(&pair, NULL, NULL), NIPC_UDS_OK);
    for (uint64_t id = 0; id < 50; id++) {
        header = request(id);
        CHECK_EQ(nipc_uds_send(&pair.client, &header, "x", 1), NIPC_UDS_OK);
        CHECK_EQ(nipc_uds_send(&pair.client, &header, "x", 1), NIPC_UDS_ERR_DUPLICATE_MSG_ID);
    }
    CHECK_EQ(pair.client.inflight_count, 50);
    CHECK(pair.client.inflight_capacity >= 51);
    pair.client.inflight_ids[pair.client.inflight_count++] = 777; /* by hand */
    header = request(777);
    CHECK_EQ(nipc_uds_send(&pair.client, &header, "x", 1), NIPC_UDS_ERR_DUPLICATE_MSG_ID);
    header.kind = NIPC_KIND_RESPONSE;
    CHECK_EQ(nipc_uds_send(&pair.server, &header, "r", 1), NIPC_UDS_OK);
    CHECK_EQ(nipc_uds_receive(&pair.client, NULL, 0, &got, &payload, &len), NIPC_UDS_OK);
    CHECK_EQ(pair.client.inflight_count, 50);
    CHECK_EQ(nipc_uds_send(&pair.server, &header, "r", 1), NIPC_UDS_OK);
    CHECK_EQ(nipc_uds_receive(&pair.client, NULL, 0, &got, &payload, &len),
             NIPC_UDS_ERR_UNKNOWN_MSG_ID);
    close_pair(&pair);
}

static void session_made_by_hand_sends_and_receives(void)
{
    int fds[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds) == 0);
    nipc_uds_session_t session;
    memset(&session, 0, sizeof session);
    session.fd = fds[0];
    session.role = NIPC_UDS_ROLE_CLIENT;
    session.packet_size = 100;
    nipc_header_t header = request(5), got;
    uint8_t packet[200];
    CHECK_EQ(nipc_uds_send(&session, &header, "0123456789", 10), NIPC_UDS_OK);
    CHECK_EQ(recv(fds[1], packet, sizeof packet, 0), 42);
    session.packet_size = 32;
    header = request(6);
    CHECK_EQ(nipc_uds_send(&session, &header, "0123456789", 10), NIPC_UDS_ERR_BAD_PARAM);
    CHECK_EQ(session.inflight_count, 1);
    session.packet_size = 100;
    session.max_response_payload_bytes = 4;
    session.max_response_batch_items = 1;

    header.kind = NIPC_KIND_RESPONSE;
    header.message_id = 5;
    header.payload_len = 5;
    nipc_header_encode(&header, packet, sizeof packet);
    send(fds[1], packet, 37, 0);
    const void *payload;
    size_t len = 99;
    memset(&got, 0, sizeof got);
    CHECK_EQ(nipc_uds_receive(&session, NULL, 0, &got, &payload, &len), NIPC_UDS_ERR_LIMIT_EXCEEDED);
    CHECK(got.message_id == 5 && got.payload_len == 5 && len == 99);
    send(fds[1], packet, 20, 0);
    CHECK_EQ(nipc_uds_receive(&session, NULL, 0, &got, &payload, &len), NIPC_UDS_ERR_PROTOCOL);
    header.payload_len = 2;
    nipc_header_encode(&header, packet, sizeof packet);
    send(fds[1], packet, 36, 0); /* trailing bytes */
    CHECK_EQ(nipc_uds_receive(&session, NULL, 0, &got, &payload, &len), NIPC_UDS_ERR_PROTOCOL);
    header.kind = NIPC_KIND_CONTROL;
    nipc_header_encode(&header, packet, sizeof packet);
    send(fds[1], packet, 33, 0); /* one byte is missing, and what follows is no part */
    send(fds[1], packet, 33, 0);
    CHECK_EQ(nipc_uds_receive(&session, NULL, 0, &got, &payload, &len), NIPC_UDS_ERR_CHUNK);
    close(fds[1]);
    CHECK_EQ(nipc_uds_receive(&session, NULL, 0, &got, &payload, &len), NIPC_UDS_ERR_RECV);
    CHECK_EQ(session.inflight_count, 0);
    header = request(7);
    CHECK_EQ(nipc_uds_send(&session, &header, "x", 1), NIPC_UDS_ERR_SEND); /* and no SIGPIPE */
    CHECK_EQ(errno, EPIPE);
    nipc_uds_close_session(&session);
    CHECK_EQ(nipc_uds_send(&session, &header, "x", 1), NIPC_UDS_ERR_BAD_PARAM);
}

static void receives_end_at_their_deadline_and_by_the_abort_descriptor(void)
{
    struct pair pair;
    nipc_header_t got;
    const void *payload;
    size_t len;
    int fds[2];
    CHECK_EQ(connect_pair(&pair, NULL, NULL), NIPC_UDS_OK);
    REQUIRE(pipe(fds) == 0);
    long long start = check_now_ms();
    CHECK_EQ(nipc_uds_receive_timeout(&pair.server, NULL, 0, &got, &payload, &len, 50, fds[0]),
             NIPC_UDS_ERR_TIMEOUT);
    CHECK(strstr(nipc_last_error(), "timed out") != NULL);
    CHECK(check_now_ms() - start >= 50);
    nipc_header_t header = request(1);
    CHECK_EQ(nipc_uds_send(&pair.client, &header, "x", 1), NIPC_UDS_OK);
    REQUIRE(write(fds[1], "a", 1) == 1);
    CHECK_EQ(nipc_uds_receive_timeout(&pair.server, NULL, 0, &got, &payload, &len, 0, fds[0]),
             NIPC_UDS_ERR_ABORTED);
    char byte;
    CHECK(read(fds[0], &byte, 1) == 1 && byte == 'a'); /* it was not read */
    CHECK_EQ(nipc_uds_receive_timeout(&pair.server, NULL, 0, &got, &payload, &len, 5000, fds[0]),
             NIPC_UDS_OK);
    close(fds[0]);
    close(fds[1]);
    close_pair(&pair);
}

static void batch_directories_are_checked_on_receipt(void)
{
    struct pair pair;
    nipc_uds_client_config_t client = {.max_request_batch_items = 4};
    CHECK_EQ(connect_pair(&pair, NULL, &client), NIPC_UDS_OK);
    CHECK_EQ(pair.server.max_request_batch_items, 4);
    uint8_t batch[64];
    uint32_t count;
    nipc_batch_builder_t builder;
    nipc_batch_builder_init(&builder, batch, sizeof batch, 2);
    nipc_batch_builder_add(&builder, "one", 3);
    nipc_batch_builder_add(&builder, "two", 3);
    size_t size = nipc_batch_builder_finish(&builder, &count);
    nipc_header_t header = request(1), got;
    const void *payload;
    size_t len;
    header.flags = NIPC_FLAG_BATCH;
    header.item_count = count;
    CHECK_EQ(nipc_uds_send(&pair.client, &header, batch, size), NIPC_UDS_OK);
    CHECK_EQ(nipc_uds_receive(&pair.server, NULL, 0, &got, &payload, &len), NIPC_UDS_OK);
    header.item_count = 5;
    header.message_id = 2;
    CHECK_EQ(nipc_uds_send(&pair.client, &header, batch, size), NIPC_UDS_ERR_LIMIT_EXCEEDED);
    header.item_count = count;
    batch[0] = 1;
    CHECK_EQ(nipc_uds_send(&pair.client, &header, batch, size), NIPC_UDS_OK);
    CHECK_EQ(nipc_uds_receive(&pair.server, NULL, 0, &got, &payload, &len), NIPC_UDS_ERR_PROTOCOL);
    close_pair(&pair);
}

static void null_is_refused_everywhere(void)
{
    nipc_header_t header = request(1);
    const void *payload;
    size_t len;
    nipc_uds_session_t session;
    CHECK_EQ(nipc_uds_connect(check_dir(), "x", NULL, NULL), NIPC_UDS_ERR_BAD_PARAM);
    CHECK_EQ(nipc_uds_listen(check_dir(), "x", NULL, NULL), NIPC_UDS_ERR_BAD_PARAM);
    CHECK_EQ(nipc_uds_accept(NULL, 1, &session), NIPC_UDS_ERR_BAD_PARAM);
    CHECK_EQ(session.fd, -1);
    CHECK_EQ(nipc_uds_send(NULL, &header, NULL, 0), NIPC_UDS_ERR_BAD_PARAM);
    CHECK_EQ(nipc_uds_send(&session, NULL, NULL, 0), NIPC_UDS_ERR_BAD_PARAM);
    CHECK_EQ(nipc_uds_send(&session, &header, NULL, 1), NIPC_UDS_ERR_BAD_PARAM);
    CHECK_EQ(nipc_uds_receive(NULL, NULL, 0, &header, &payload, &len), NIPC_UDS_ERR_BAD_PARAM);
    CHECK_EQ(nipc_uds_receive(&session, NULL, 0, NULL, NULL, NULL), NIPC_UDS_ERR_BAD_PARAM);
    CHECK(strcmp(nipc_uds_error_name(NIPC_UDS_ERR_CHUNK), "CHUNK") == 0);
}

int main(void)
{
    RUN(sessions_agree_and_carry_messages);
    RUN(socket_is_private_and_goes_with_its_listener);
    RUN(listener_whose_descriptor_the_program_closed_is_not_closed_again);
    RUN(names_and_paths_are_checked);
    RUN(refusals_have_their_reason);
    RUN(large_messages_travel_in_parts);
    RUN(ids_in_flight_are_the_public_array);
    RUN(session_made_by_hand_sends_and_receives);
    RUN(receives_end_at_their_deadline_and_by_the_abort_descriptor);
    RUN(batch_directories_are_checked_on_receipt);
    RUN(null_is_refused_everywhere);
    return check_result();
}
