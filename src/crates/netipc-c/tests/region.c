/* Messages through shared memory, by whatever this system shares it. */
#include "carrier.h"
#include "check.h"

#ifdef _WIN32
static const uint32_t profiles[] = {NIPC_WIN_SHM_PROFILE_HYBRID, NIPC_WIN_SHM_PROFILE_BUSYWAIT};
#define STORE(member, value) InterlockedExchange(&(member), (LONG)(value))
#define CREATE(profile, id, requests, responses, out)                                              \
    nipc_win_shm_server_create(check_dir(), "shm", 7, id, profile, requests, responses, out)
#define ATTACH(profile, id, out) nipc_win_shm_client_attach(check_dir(), "shm", 7, id, profile, out)
#else
static const uint32_t profiles[] = {NIPC_PROFILE_SHM_HYBRID};
#define STORE(member, value) __atomic_store_n(&(member), (value), __ATOMIC_RELEASE)
#define CREATE(profile, id, requests, responses, out)                                              \
    ((void)(profile), nipc_shm_server_create(check_dir(), "shm", id, requests, responses, out))
#define ATTACH(profile, id, out)                                                                   \
    ((void)(profile), nipc_shm_client_attach(check_dir(), "shm", id, out))
#endif

static uint32_t profile; /* the one at hand */
static REGION(ctx_t) server, client;

static void open_both(uint64_t id)
{
    REQUIRE(CREATE(profile, id, 1000, 3000, &server) == REGION_CODE(OK));
    REQUIRE(ATTACH(profile, id, &client) == REGION_CODE(OK));
}

static void close_both(void)
{
    REGION(close)(&client);
    REGION(destroy)(&server);
}

static void *answer(void *arg)
{
    (void)arg;
    uint8_t buf[1024];
    size_t len;
    for (int i = 0; i < 1000; i++) {
        CHECK_EQ(REGION(receive)(&server, buf, sizeof buf, &len, 0), REGION_CODE(OK));
        buf[0]++;
        CHECK_EQ(REGION(send)(&server, buf, len), REGION_CODE(OK));
    }
    return NULL;
}

static void messages_go_there_and_back(void)
{
    pthread_t thread;
    open_both(1);
    pthread_create(&thread, NULL, answer, NULL);
    for (int i = 0; i < 1000; i++) {
        uint8_t buf[3000] = {(uint8_t)i, 2, 3};
        size_t len = 0;
        CHECK_EQ(REGION(send)(&client, buf, (size_t)i % 1000 + 1), REGION_CODE(OK));
        CHECK_EQ(REGION(receive)(&client, buf, sizeof buf, &len, 10000), REGION_CODE(OK));
        CHECK(len == (size_t)i % 1000 + 1 && buf[0] == (uint8_t)(i + 1));
    }
    pthread_join(thread, NULL);
    CHECK(client.local_req_seq == 1000 && client.local_resp_seq == 1000);
    CHECK(server.local_req_seq == 1000 && server.local_resp_seq == 1000);
    close_both();
}

static void messages_that_cannot_be_are_refused(void)
{
    uint8_t buf[4096] = {0};
    size_t len = 7;
    open_both(2);
    CHECK_EQ(REGION(send)(&client, buf, 0), REGION_CODE(ERR_BAD_PARAM));
    CHECK_EQ(REGION(send)(&client, NULL, 8), REGION_CODE(ERR_BAD_PARAM));
    CHECK_EQ(REGION(send)(&client, buf, 1025), REGION_CODE(ERR_MSG_TOO_LARGE));
    CHECK_EQ(REGION(receive)(&server, buf, sizeof buf, &len, 20), REGION_CODE(ERR_TIMEOUT));
    CHECK_EQ(REGION(receive)(&server, buf, 0, &len, 20), REGION_CODE(ERR_BAD_PARAM));
    CHECK_EQ(REGION(receive)(&server, NULL, 8, &len, 20), REGION_CODE(ERR_BAD_PARAM));
    CHECK_EQ(len, 7);
    CHECK_EQ(REGION(send)(&client, buf, 100), REGION_CODE(OK));
    CHECK_EQ(REGION(receive)(&server, buf, 99, &len, 1000), REGION_CODE(ERR_MSG_TOO_LARGE));
    CHECK_EQ(len, 100);
    CHECK_EQ(REGION(receive)(&server, buf, sizeof buf, &len, 20), REGION_CODE(ERR_TIMEOUT));

    REGION(region_header_t) *header = server.base; /* a peer that lies */
    CHECK_EQ(REGION(send)(&client, buf, 8), REGION_CODE(OK));
    STORE(header->req_len, 0x7fffffffu);
    CHECK_EQ(REGION(receive)(&server, buf, sizeof buf, &len, 1000), REGION_CODE(ERR_MSG_TOO_LARGE));
    CHECK_EQ(REGION(send)(&client, buf, 8), REGION_CODE(OK));
    STORE(header->req_len, 0);
    CHECK_EQ(REGION(receive)(&server, buf, sizeof buf, &len, 1000), REGION_CODE(ERR_BAD_HEADER));
    close_both();
    CHECK_EQ(REGION(send)(&client, buf, 8), REGION_CODE(ERR_BAD_PARAM));
    CHECK_EQ(REGION(receive)(&client, buf, 8, &len, 1), REGION_CODE(ERR_BAD_PARAM));
}

int main(void)
{
    for (size_t i = 0; i < sizeof profiles / sizeof *profiles; i++) {
        profile = profiles[i];
        RUN(messages_go_there_and_back);
        RUN(messages_that_cannot_be_are_refused);
    }
    return check_result();
}
