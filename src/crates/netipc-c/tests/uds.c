/* What only sockets have: files, descriptors, and sessions made by hand. For all else see session.c. */
#include "netipc/netipc_uds.h"

#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static nipc_header_t request(uint64_t id)
{
    nipc_header_t header = {.kind = NIPC_KIND_REQUEST, .code = 1, .item_count = 1, .message_id = id};
    return header;
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

static void paths_are_checked(void)
{
    nipc_uds_session_t session;
    nipc_uds_listener_t listener;
    char dir[200];
    memset(dir, 'x', sizeof dir - 1);
    dir[0] = '/';
    dir[199] = 0;
    CHECK_EQ(nipc_uds_connect(dir, "x", NULL, &session), NIPC_UDS_ERR_PATH_TOO_LONG);
    CHECK_EQ(nipc_uds_listen(dir, "x", NULL, &listener), NIPC_UDS_ERR_PATH_TOO_LONG);
    CHECK_EQ(nipc_uds_listen("/nonexistent", "x", NULL, &listener), NIPC_UDS_ERR_SOCKET);
    CHECK_EQ(nipc_uds_listener_fd(&listener), -1);
    CHECK_EQ(nipc_uds_listener_fd(NULL), -1);
    CHECK_EQ(nipc_uds_session_fd(NULL), -1);
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

int main(void)
{
    RUN(socket_is_private_and_goes_with_its_listener);
    RUN(listener_whose_descriptor_the_program_closed_is_not_closed_again);
    RUN(paths_are_checked);
    RUN(session_made_by_hand_sends_and_receives);
    return check_result();
}
