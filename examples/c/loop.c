/*
 * loop.c - a kind of service of your own, in an event loop of your own.
 *
 *     loop DIRECTORY serve        answers "echo" until it gets SIGINT or SIGTERM
 *     loop DIRECTORY ask TEXT     asks once and prints the answer
 *
 * One thread polls the listener and all sessions, and sends each message back. nipc_uds_receive() is
 * called only when a session is readable, with a timeout for peers that stop in the middle of a
 * message; a loop that must not wait for a peer at all gives such sessions a thread.
 */
#include "netipc/netipc_uds.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { METHOD_ECHO = 1000, SESSIONS = 64, PATIENCE_MS = 1000 };

static const nipc_uds_server_config_t limits = {.max_request_payload_bytes = 65536,
                                                .max_response_payload_bytes = 65536};

/* Answers one request. False if the session must be closed. */
static bool answer(nipc_uds_session_t *session)
{
    static uint8_t buf[65536 + 32];
    nipc_header_t header;
    const void *payload;
    size_t len;
    if (nipc_uds_receive_timeout(session, buf, sizeof buf, &header, &payload, &len, PATIENCE_MS,
                                 -1) != NIPC_UDS_OK)
        return false;
    if (header.kind != NIPC_KIND_REQUEST)
        return false;
    header.kind = NIPC_KIND_RESPONSE; /* code and message_id are echoed */
    header.flags = 0;
    header.item_count = 1;
    if (header.code != METHOD_ECHO) {
        header.transport_status = NIPC_STATUS_UNSUPPORTED;
        len = 0;
    }
    return nipc_uds_send(session, &header, payload, len) == NIPC_UDS_OK;
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

    static nipc_uds_session_t sessions[SESSIONS];
    struct pollfd fds[SESSIONS + 2] = {{.fd = stop, .events = POLLIN}};
    uint64_t next_id = 1;
    int count = 0;
    for (;;) {
        /* While there is no place for another session, clients wait in the backlog. */
        fds[1] = (struct pollfd){.fd = count < SESSIONS ? listener.fd : -1, .events = POLLIN};
        for (int i = 0; i < count; i++)
            fds[i + 2] = (struct pollfd){.fd = sessions[i].fd, .events = POLLIN};
        if (poll(fds, (nfds_t)count + 2, -1) < 0)
            continue;
        if (fds[0].revents)
            break;
        for (int i = count - 1; i >= 0; i--) {
            if (fds[i + 2].revents && !answer(&sessions[i])) {
                nipc_uds_close_session(&sessions[i]);
                memmove(&sessions[i], &sessions[i + 1], sizeof *sessions * (size_t)(--count - i));
            }
        }
        if (fds[1].revents &&
            nipc_uds_accept(&listener, next_id++, &sessions[count]) == NIPC_UDS_OK)
            count++;
    }
    while (count > 0)
        nipc_uds_close_session(&sessions[--count]);
    nipc_uds_close_listener(&listener);
    close(stop);
    return 0;
}

static int ask(const char *dir, const char *text)
{
    nipc_uds_client_config_t config = {.max_request_payload_bytes = 65536};
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
