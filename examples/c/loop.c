/*
 * loop.c - a kind of service of your own, in an event loop of your own.
 *
 *     loop DIRECTORY serve        answers "echo" until it gets SIGINT or SIGTERM
 *     loop DIRECTORY ask TEXT     asks once and prints the answer
 *
 * One thread polls the listener and all sessions, sends each message back, and waits for no single peer
 * (but for its handshake): what comes in parts is kept by the session until all of it is there, and an
 * answer that has no room is taken up again when there is some. Messages travel over rings with peers
 * that have them, and over the socket with all others.
 *
 * It is the same with epoll, libuv (uv_poll_init with nipc_uds_session_fd), libevent and the like: serve
 * the session when its descriptor is ready, and wait for what `awaited` says. The descriptor is the
 * session's: take it out of the loop before you close the session.
 */
#include "netipc/netipc_uds.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { METHOD_ECHO = 1000, SESSIONS = 64, PROFILES = NIPC_PROFILE_BASELINE | NIPC_PROFILE_RING };

static const nipc_uds_server_config_t limits = {
    .supported_profiles = PROFILES, .preferred_profiles = PROFILES,
    .max_request_payload_bytes = 65536, .max_response_payload_bytes = 65536,
};

/* A client, and the answer that it is to get: the payload is what was received last. */
struct peer {
    nipc_uds_session_t session;
    bool is_answering;
    nipc_header_t header;
    const void *payload;
    size_t len;
};

/* Turns the request that was received into its answer. False if it is none. */
static bool answer(struct peer *peer)
{
    if (peer->header.kind != NIPC_KIND_REQUEST)
        return false;
    peer->header.kind = NIPC_KIND_RESPONSE; /* code and message_id are echoed */
    peer->header.flags = 0;
    peer->header.item_count = 1;
    if (peer->header.code != METHOD_ECHO) {
        peer->header.transport_status = NIPC_STATUS_UNSUPPORTED;
        peer->len = 0;
    }
    return true;
}

/* Does all that can be done without waiting. False if the session must be closed. */
static bool serve_peer(struct peer *peer)
{
    for (;;) {
        nipc_uds_error_t error = NIPC_UDS_OK;
        if (!peer->is_answering) {
            /* Without a buffer of ours the payload stays with the session until the next one. */
            error = nipc_uds_try_receive(&peer->session, NULL, 0, &peer->header, &peer->payload,
                                         &peer->len);
            if (error == NIPC_UDS_OK && !answer(peer))
                return false;
        }
        if (error == NIPC_UDS_OK) {
            error = nipc_uds_try_send(&peer->session, &peer->header, peer->payload, peer->len);
            peer->is_answering = error == NIPC_UDS_ERR_TIMEOUT;
        }
        if (error != NIPC_UDS_OK)
            return error == NIPC_UDS_ERR_TIMEOUT;
    }
}

/* What to wait for after that. The descriptor of rings is readable for room, too. */
static short awaited(const struct peer *peer)
{
    bool has_rings = peer->session.selected_profile == NIPC_PROFILE_RING;
    return peer->is_answering && !has_rings ? POLLOUT : POLLIN;
}

static int serve(const char *dir)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    int stop = signalfd(-1, &signals, SFD_CLOEXEC);

    nipc_uds_listener_t listener;
    if (nipc_uds_listen(dir, "echo", &limits, &listener) != NIPC_UDS_OK) {
        fprintf(stderr, "loop: %s\n", nipc_last_error());
        return 1;
    }
    puts("serving");
    fflush(stdout);

    static struct peer peers[SESSIONS];
    struct pollfd fds[SESSIONS + 2] = {{.fd = stop, .events = POLLIN}};
    uint64_t next_id = 1;
    int count = 0;
    for (;;) {
        /* While there is no place for another session, clients wait in the backlog. */
        fds[1] = (struct pollfd){.fd = count < SESSIONS ? listener.fd : -1, .events = POLLIN};
        for (int i = 0; i < count; i++)
            fds[i + 2] = (struct pollfd){.fd = nipc_uds_session_fd(&peers[i].session),
                                         .events = awaited(&peers[i])};
        if (poll(fds, (nfds_t)count + 2, -1) < 0)
            continue;
        if (fds[0].revents)
            break;
        if (fds[1].revents) {
            struct peer *peer = &peers[count];
            memset(peer, 0, sizeof *peer);
            if (nipc_uds_accept(&listener, next_id++, &peer->session) == NIPC_UDS_OK)
                fds[2 + count++].revents = POLLIN; /* it is served once before it is waited for */
        }
        for (int i = count - 1; i >= 0; i--) {
            if (fds[i + 2].revents && !serve_peer(&peers[i])) {
                nipc_uds_close_session(&peers[i].session);
                memmove(&peers[i], &peers[i + 1], sizeof *peers * (size_t)(--count - i));
            }
        }
    }
    while (count > 0)
        nipc_uds_close_session(&peers[--count].session);
    nipc_uds_close_listener(&listener);
    close(stop);
    return 0;
}

static int ask(const char *dir, const char *text)
{
    nipc_uds_client_config_t config = {
        .supported_profiles = PROFILES, .preferred_profiles = PROFILES,
        .max_request_payload_bytes = 65536,
    };
    nipc_uds_session_t session;
    if (nipc_uds_connect(dir, "echo", &config, &session) != NIPC_UDS_OK) {
        fprintf(stderr, "loop: %s\n", nipc_last_error());
        return 1;
    }
    nipc_header_t header = {.kind = NIPC_KIND_REQUEST, .code = METHOD_ECHO, .item_count = 1,
                            .message_id = 1};
    const void *payload;
    size_t len;
    nipc_uds_error_t error = nipc_uds_send(&session, &header, text, strlen(text));
    if (error == NIPC_UDS_OK)
        error = nipc_uds_receive_timeout(&session, NULL, 0, &header, &payload, &len, 5000, -1);
    if (error == NIPC_UDS_OK)
        printf("%.*s\n", (int)len, (const char *)payload);
    else
        fprintf(stderr, "loop: %s: %s\n", nipc_uds_error_name(error), nipc_last_error());
    nipc_uds_close_session(&session);
    return error != NIPC_UDS_OK;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[2], "serve") == 0)
        return serve(argv[1]);
    if (argc == 4 && strcmp(argv[2], "ask") == 0)
        return ask(argv[1], argv[3]);
    fprintf(stderr, "usage: loop DIRECTORY serve | loop DIRECTORY ask TEXT\n");
    return 2;
}
