/* bare.h - the other end of a session: packets of any bytes, without this library. */
#ifndef NETIPC_TESTS_BARE_H
#define NETIPC_TESTS_BARE_H

#include "carrier.h"
#include "check.h"

#ifdef _WIN32

typedef HANDLE bare;

static inline void bare_name(wchar_t name[NIPC_NP_MAX_PIPE_NAME], const char *service)
{
    REQUIRE(nipc_np_build_pipe_name(name, NIPC_NP_MAX_PIPE_NAME, check_dir(), service) == 0);
}

static inline bare bare_connect(const char *service)
{
    wchar_t name[NIPC_NP_MAX_PIPE_NAME];
    DWORD messages = PIPE_READMODE_MESSAGE;
    bare_name(name, service);
    bare peer = CreateFileW(name, GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_EXISTING, 0, NULL);
    REQUIRE(peer != INVALID_HANDLE_VALUE);
    REQUIRE(SetNamedPipeHandleState(peer, &messages, NULL, NULL));
    return peer;
}

static inline bare bare_listen(const char *service)
{
    wchar_t name[NIPC_NP_MAX_PIPE_NAME];
    bare_name(name, service);
    bare listener = CreateNamedPipeW(name, PIPE_ACCESS_DUPLEX,
                                     PIPE_TYPE_MESSAGE | PIPE_READMODE_MESSAGE | PIPE_WAIT, 1, 65536,
                                     65536, 0, NULL);
    REQUIRE(listener != INVALID_HANDLE_VALUE);
    return listener;
}

/* The listener is the client's now. */
static inline bare bare_accept(bare listener)
{
    REQUIRE(ConnectNamedPipe(listener, NULL) || GetLastError() == ERROR_PIPE_CONNECTED);
    return listener;
}

static inline void bare_send(bare peer, const void *bytes, size_t len)
{
    DWORD sent;
    WriteFile(peer, bytes, (DWORD)len, &sent, NULL);
}

/* Waits for a packet. 0: there will be none. */
static inline size_t bare_receive(bare peer, void *bytes, size_t size)
{
    DWORD got = 0;
    bool all = ReadFile(peer, bytes, (DWORD)size, &got, NULL);
    return all || GetLastError() == ERROR_MORE_DATA ? got : 0;
}

static inline void bare_close(bare peer)
{
    CloseHandle(peer);
}

static inline void bare_close_listener(bare listener, const char *service)
{
    (void)listener;
    (void)service;
}

#else

#include <sys/socket.h>
#include <sys/un.h>

typedef int bare;

static inline struct sockaddr_un bare_address(const char *service)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/%s.sock", check_dir(), service);
    return address;
}

static inline bare bare_socket(void)
{
    bare peer = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    REQUIRE(peer >= 0);
    struct timeval patience = {.tv_sec = 20};
    setsockopt(peer, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return peer;
}

static inline bare bare_connect(const char *service)
{
    struct sockaddr_un address = bare_address(service);
    bare peer = bare_socket();
    REQUIRE(connect(peer, (struct sockaddr *)&address, sizeof address) == 0);
    return peer;
}

static inline bare bare_listen(const char *service)
{
    struct sockaddr_un address = bare_address(service);
    bare listener = bare_socket();
    REQUIRE(bind(listener, (struct sockaddr *)&address, sizeof address) == 0);
    REQUIRE(listen(listener, 1) == 0);
    return listener;
}

static inline bare bare_accept(bare listener)
{
    return accept(listener, NULL, NULL);
}

static inline void bare_send(bare peer, const void *bytes, size_t len)
{
    if (send(peer, bytes, len, MSG_NOSIGNAL) < 0 && errno != EPIPE)
        perror("send");
}

/* Waits for a packet. 0: there will be none. */
static inline size_t bare_receive(bare peer, void *bytes, size_t size)
{
    ssize_t got = recv(peer, bytes, size, 0);
    return got > 0 ? (size_t)got : 0;
}

static inline void bare_close(bare peer)
{
    close(peer);
}

static inline void bare_close_listener(bare listener, const char *service)
{
    struct sockaddr_un address = bare_address(service);
    close(listener);
    unlink(address.sun_path);
}

#endif

#endif
