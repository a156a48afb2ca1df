/* Rings: what sessions over them do that others do not. What all do alike session.c and client.c test. */
#include "provider.h"

#include "process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>

enum { MOST = 1 << 20, PATIENCE_MS = 30000 };

struct pair {
    nipc_uds_listener_t listener;
    nipc_uds_session_t client, server;
};

static void *accept_one(void *arg)
{
    struct pair *pair = arg;
    CHECK_EQ(nipc_uds_accept(&pair->listener, 1, &pair->server), NIPC_UDS_OK);
    return NULL;
}

static void open_pair_of(struct pair *pair, uint32_t server_profiles, uint32_t client_profiles)
{
    nipc_uds_server_config_t server = {
        .supported_profiles = server_profiles, .preferred_profiles = server_profiles,
        .max_request_payload_bytes = MOST, .max_response_payload_bytes = MOST,
    };
    nipc_uds_client_config_t client = {
        .supported_profiles = client_profiles, .preferred_profiles = client_profiles,
        .max_request_payload_bytes = MOST, .max_response_payload_bytes = MOST,
    };
    pthread_t thread;
    REQUIRE(nipc_uds_listen(check_dir(), "ring", &server, &pair->listener) == NIPC_UDS_OK);
    pthread_create(&thread, NULL, accept_one, pair);
    CHECK_EQ(nipc_uds_connect(check_dir(), "ring", &client, &pair->client), NIPC_UDS_OK);
    pthread_join(thread, NULL);
    CHECK_EQ(pair->client.selected_profile, pair->server.selected_profile);
}

static void open_pair(struct pair *pair)
{
    open_pair_of(pair, NIPC_PROFILES_SHARED_MEMORY, NIPC_PROFILES_SHARED_MEMORY);
    REQUIRE(pair->client.selected_profile == NIPC_PROFILE_RING);
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

static uint8_t *bytes(size_t len)
{
    uint8_t *all = malloc(len);
    REQUIRE(all != NULL);
    for (size_t i = 0; i < len; i++)
        all[i] = (uint8_t)(i * 7 + i / 256);
    return all;
}

static bool is_readable(const nipc_uds_session_t *session)
{
    struct pollfd fd = {.fd = nipc_uds_session_fd(session), .events = POLLIN};
    return poll(&fd, 1, 0) == 1;
}

static bool wait_for(const nipc_uds_session_t *session, short events)
{
    struct pollfd fd = {.fd = nipc_uds_session_fd(session), .events = events};
    return poll(&fd, 1, PATIENCE_MS) == 1;
}

/* How many descriptors this process has. */
static int descriptors(void)
{
    int count = 0;
    for (int fd = 0; fd < 1024; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void rings_are_selected_where_both_offer_them_and_nowhere_else(void)
{
    const uint32_t all = NIPC_PROFILES_SHARED_MEMORY;
    const uint32_t published = NIPC_PROFILE_BASELINE | NIPC_PROFILE_SHM_HYBRID;
    const struct {
        uint32_t server, client, selected;
    } cases[] = {
        {all, all, NIPC_PROFILE_RING},
        {PROFILES_RING, all, NIPC_PROFILE_RING},
        {all, published, NIPC_PROFILE_SHM_HYBRID},
        {published, all, NIPC_PROFILE_SHM_HYBRID},
        {all, NIPC_PROFILE_BASELINE, NIPC_PROFILE_BASELINE},
        {0, all, NIPC_PROFILE_BASELINE},
        {published, PROFILES_RING, NIPC_PROFILE_BASELINE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pair pair;
        open_pair_of(&pair, cases[i].server, cases[i].client);
        CHECK_EQ(pair.client.selected_profile, cases[i].selected);
        bool is_ring = cases[i].selected == NIPC_PROFILE_RING;
        CHECK_EQ(nipc_uds_session_fd(&pair.client) != pair.client.fd, is_ring);
        CHECK_EQ(nipc_uds_session_fd(&pair.server) != pair.server.fd, is_ring);
        close_pair(&pair);
    }
}

static void closing_a_session_gives_everything_back(void)
{
    struct pair pair;
    int before = descriptors();
    for (int i = 0; i < 3; i++) {
        open_pair(&pair);
        CHECK(descriptors() > before + 3);
        close_pair(&pair);
        CHECK(pair.client.fd == -1 && pair.client._link == NULL);
        close_pair(&pair);
    }
    CHECK_EQ(descriptors(), before);
    /* also if the program has closed the socket, whose number is another file's by now */
    open_pair(&pair);
    int other = dup2(0, pair.client.fd);
    REQUIRE(other >= 0);
    pair.client.fd = -1;
    nipc_uds_close_session(&pair.client);
    CHECK(fcntl(other, F_GETFD) >= 0);
    close(other);
    close_pair(&pair);
    CHECK_EQ(descriptors(), before);
}

static void many_requests_are_under_way_at_once(void)
{
    enum { DEPTH = 64 };
    struct pair pair;
    nipc_header_t header, taken[DEPTH];
    uint64_t numbers[DEPTH];
    const void *payload;
    uint8_t buf[256];
    size_t len;
    open_pair(&pair);
    for (int round = 0; round < 100; round++) {
        for (uint64_t id = 0; id < DEPTH; id++) {
            header = request(id);
            CHECK_EQ(nipc_uds_send(&pair.client, &header, &id, sizeof id), NIPC_UDS_OK);
        }
        CHECK_EQ(pair.client.inflight_count, DEPTH);
        for (int i = 0; i < DEPTH; i++) {
            CHECK_EQ(nipc_uds_receive(&pair.server, buf, sizeof buf, &taken[i], &payload, &len),
                     NIPC_UDS_OK);
            REQUIRE(len == sizeof numbers[i]);
            memcpy(&numbers[i], payload, len);
        }
        for (int i = DEPTH - 1; i >= 0; i--) {
            taken[i].kind = NIPC_KIND_RESPONSE;
            CHECK_EQ(nipc_uds_send(&pair.server, &taken[i], &numbers[i], sizeof numbers[i]),
                     NIPC_UDS_OK);
        }
        for (uint64_t id = DEPTH; id-- > 0;) {
            CHECK_EQ(nipc_uds_receive(&pair.client, buf, sizeof buf, &header, &payload, &len),
                     NIPC_UDS_OK);
            CHECK(header.message_id == id && len == sizeof id && memcmp(payload, &id, len) == 0);
        }
        CHECK_EQ(pair.client.inflight_count, 0);
    }
    close_pair(&pair);
}

/* Sends back what comes, until the peer hangs up. */
static void *echo(void *arg)
{
    nipc_uds_session_t *session = arg;
    for (;;) {
        nipc_header_t header;
        const void *payload;
        size_t len;
        nipc_uds_error_t error = nipc_uds_receive(session, NULL, 0, &header, &payload, &len);
        if (error != NIPC_UDS_OK) {
            CHECK_EQ(error, NIPC_UDS_ERR_RECV);
            return NULL;
        }
        header.kind = NIPC_KIND_RESPONSE;
        CHECK_EQ(nipc_uds_send(session, &header, payload, len), NIPC_UDS_OK);
    }
}

static void messages_larger_than_the_rings_pass_in_parts(void)
{
    const size_t sizes[] = {0, 1, 24, 25, 8216, 8217, 32768, 100000, MOST};
    struct pair pair;
    pthread_t thread;
    uint8_t *message = bytes(MOST), *buf = malloc(MOST + 32);
    open_pair(&pair);
    pthread_create(&thread, NULL, echo, &pair.server);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (int in_buf = 0; in_buf < 2; in_buf++) {
            nipc_header_t header = request(i), got;
            const void *payload;
            size_t len;
            CHECK_EQ(nipc_uds_send(&pair.client, &header, message, sizes[i]), NIPC_UDS_OK);
            CHECK_EQ(nipc_uds_receive(&pair.client, buf, in_buf ? MOST + 32 : 10, &got, &payload,
                                      &len), NIPC_UDS_OK);
            CHECK(len == sizes[i] && memcmp(payload, message, len) == 0);
            CHECK(got.message_id == i && got.magic == NIPC_MAGIC_MSG && got.payload_len == len);
            if (payload == buf + 32)
                CHECK(memcmp(buf, &got, 32) == 0);
            else
                CHECK(payload == pair.client.recv_buf);
            if (sizes[i] <= 24) /* with its envelope in one line of the cache */
                CHECK_EQ(payload == buf + 32, in_buf);
            if (sizes[i] == MOST)
                CHECK(payload == pair.client.recv_buf);
        }
    }
    nipc_uds_close_session(&pair.client);
    pthread_join(thread, NULL);
    close_pair(&pair);
    free(message);
    free(buf);
}

static void limits_and_ids_hold_as_on_sockets(void)
{
    struct pair pair;
    nipc_header_t header = request(1), got;
    const void *payload;
    size_t len = 99;
    open_pair(&pair);
    pair.server.max_request_payload_bytes = 4; /* members are heeded */
    CHECK_EQ(nipc_uds_send(&pair.client, &header, "12345", 5), NIPC_UDS_OK);
    CHECK_EQ(nipc_uds_send(&pair.client, &header, "12345", 5), NIPC_UDS_ERR_DUPLICATE_MSG_ID);
    memset(&got, 0, sizeof got);
    CHECK_EQ(nipc_uds_receive(&pair.server, NULL, 0, &got, &payload, &len),
             NIPC_UDS_ERR_LIMIT_EXCEEDED);
    CHECK(got.message_id == 1 && got.payload_len == 5 && len == 99);
    pair.client.max_request_payload_bytes = 4;
    header = request(2);
    CHECK_EQ(nipc_uds_send(&pair.client, &header, "12345", 5), NIPC_UDS_ERR_LIMIT_EXCEEDED);
    CHECK_EQ(pair.client.inflight_count, 1);
    header.kind = NIPC_KIND_RESPONSE;
    CHECK_EQ(nipc_uds_send(&pair.server, &header, NULL, 0), NIPC_UDS_OK);
    CHECK_EQ(nipc_uds_receive(&pair.client, NULL, 0, &got, &payload, &len),
             NIPC_UDS_ERR_UNKNOWN_MSG_ID);
    close_pair(&pair);
}

/* ---- Loops of one's own, over rings and over sockets ---------------------------------------------- */

static const uint32_t pollable[] = {PROFILES_RING, PROFILES_SOCKET};

static void one_descriptor_tells_of_messages_and_of_the_end(void)
{
    for (int i = 0; i < 2; i++) {
        struct pair pair;
        nipc_header_t header, got;
        const void *payload;
        uint8_t buf[128];
        size_t len;
        open_pair_of(&pair, pollable[i], pollable[i]);
        for (uint64_t id = 0; id < 300; id++) {
            CHECK_EQ(nipc_uds_try_receive(&pair.server, buf, sizeof buf, &got, &payload, &len),
                     NIPC_UDS_ERR_TIMEOUT);
            CHECK(!is_readable(&pair.server));
            header = request(id * 2);
            CHECK_EQ(nipc_uds_send(&pair.client, &header, "one", 3), NIPC_UDS_OK);
            header = request(id * 2 + 1);
            CHECK_EQ(nipc_uds_send(&pair.client, &header, "two", 3), NIPC_UDS_OK);
            CHECK(is_readable(&pair.server));
            for (uint64_t message = id * 2; message < id * 2 + 2; message++) {
                CHECK_EQ(nipc_uds_try_receive(&pair.server, buf, sizeof buf, &got, &payload, &len),
                         NIPC_UDS_OK);
                CHECK(got.message_id == message && len == 3);
            }
            pair.client.inflight_count = 0;
        }
        CHECK_EQ(nipc_uds_try_receive(&pair.server, NULL, 0, &got, &payload, &len),
                 NIPC_UDS_ERR_TIMEOUT);
        header = request(1000);
        CHECK_EQ(nipc_uds_send(&pair.client, &header, "end", 3), NIPC_UDS_OK);
        nipc_uds_close_session(&pair.client);
        CHECK(wait_for(&pair.server, POLLIN));
        CHECK_EQ(nipc_uds_try_receive(&pair.server, NULL, 0, &got, &payload, &len), NIPC_UDS_OK);
        CHECK(got.message_id == 1000);
        nipc_uds_error_t error;
        int turns = 0;
        while ((error = nipc_uds_try_receive(&pair.server, NULL, 0, &got, &payload, &len)) ==
                   NIPC_UDS_ERR_TIMEOUT && turns++ < 3)
            CHECK(wait_for(&pair.server, POLLIN));
        CHECK_EQ(error, NIPC_UDS_ERR_RECV);
        close_pair(&pair);
    }
}

static void nothing_waits_in_a_loop_whatever_has_no_room(void)
{
    uint8_t *message = bytes(MOST);
    for (int i = 0; i < 2; i++) {
        struct pair pair;
        nipc_header_t header = request(1), other = request(2), got;
        const void *payload;
        size_t len;
        int turns = 0;
        open_pair_of(&pair, pollable[i], pollable[i]);
        nipc_uds_error_t sent = nipc_uds_try_send(&pair.client, &header, message, MOST);
        CHECK_EQ(sent, NIPC_UDS_ERR_TIMEOUT);
        CHECK_EQ(nipc_uds_try_send(&pair.client, &other, "x", 1), NIPC_UDS_ERR_BAD_PARAM);
        CHECK_EQ(nipc_uds_send(&pair.client, &other, "x", 1), NIPC_UDS_ERR_BAD_PARAM);
        CHECK_EQ(pair.client.inflight_count, 1);
        short events = pair.client.selected_profile == NIPC_PROFILE_RING ? POLLIN : POLLOUT;
        for (;;) {
            nipc_uds_error_t received =
                nipc_uds_try_receive(&pair.server, NULL, 0, &got, &payload, &len);
            if (received == NIPC_UDS_OK)
                break;
            REQUIRE(received == NIPC_UDS_ERR_TIMEOUT);
            REQUIRE(sent == NIPC_UDS_ERR_TIMEOUT && wait_for(&pair.client, events));
            sent = nipc_uds_try_send(&pair.client, &header, message, MOST);
            turns++;
        }
        CHECK_EQ(sent, NIPC_UDS_OK);
        CHECK(turns > 1);
        CHECK(len == MOST && memcmp(payload, message, len) == 0 && got.message_id == 1);
        CHECK(payload == pair.server.recv_buf);
        CHECK_EQ(nipc_uds_try_send(&pair.client, &other, "x", 1), NIPC_UDS_OK);
        CHECK_EQ(nipc_uds_receive(&pair.server, NULL, 0, &got, &payload, &len), NIPC_UDS_OK);
        CHECK(got.message_id == 2 && len == 1);
        close_pair(&pair);
    }
    free(message);
}

static void a_message_begun_in_a_loop_is_completed_by_any_receive(void)
{
    int fds[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds) == 0);
    nipc_uds_session_t by_hand[2];
    memset(by_hand, 0, sizeof by_hand);
    for (int i = 0; i < 2; i++) {
        by_hand[i].fd = fds[i];
        by_hand[i].role = i == 0 ? NIPC_UDS_ROLE_CLIENT : NIPC_UDS_ROLE_SERVER;
        by_hand[i].packet_size = 4096;
        by_hand[i].max_request_payload_bytes = MOST;
        by_hand[i].max_request_batch_items = 1;
    }
    uint8_t *message = bytes(MOST);
    nipc_header_t header = request(5), got;
    const void *payload;
    size_t len;
    CHECK_EQ(nipc_uds_try_send(&by_hand[0], &header, message, MOST), NIPC_UDS_ERR_TIMEOUT);
    CHECK_EQ(nipc_uds_try_receive(&by_hand[1], NULL, 0, &got, &payload, &len), NIPC_UDS_ERR_TIMEOUT);
    CHECK_EQ(nipc_uds_receive_timeout(&by_hand[1], NULL, 0, &got, &payload, &len, 20, -1),
             NIPC_UDS_ERR_TIMEOUT);
    while (nipc_uds_try_send(&by_hand[0], &header, message, MOST) == NIPC_UDS_ERR_TIMEOUT)
        CHECK_EQ(nipc_uds_try_receive(&by_hand[1], NULL, 0, &got, &payload, &len),
                 NIPC_UDS_ERR_TIMEOUT);
    memset(&got, 0, sizeof got);
    CHECK_EQ(nipc_uds_receive(&by_hand[1], NULL, 0, &got, &payload, &len), NIPC_UDS_OK);
    CHECK(got.message_id == 5 && len == MOST && memcmp(payload, message, len) == 0);
    nipc_uds_close_session(&by_hand[0]);
    nipc_uds_close_session(&by_hand[1]);
    free(message);
}

/* ---- Where there is little left -------------------------------------------------------------------- */

/* Few descriptors: rings wake by packets on the socket, which is then what is waited for. None: no
   rings at all. */
static void rings_take_what_descriptors_there_are(void)
{
    struct rlimit before, few;
    struct pair pair;
    nipc_header_t header = request(1), got;
    const void *payload;
    size_t len;
    REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
    int lowest = dup(0);
    REQUIRE(lowest >= 0);
    close(lowest);
    few = before;
    few.rlim_cur = (rlim_t)lowest + 8;
    if (few.rlim_cur / 2 < (rlim_t)lowest + 3) { /* as it is unless something takes a great many */
        REQUIRE(setrlimit(RLIMIT_NOFILE, &few) == 0);
        open_pair_of(&pair, PROFILES_RING, PROFILES_RING);
        CHECK_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
        CHECK_EQ(pair.client.selected_profile, NIPC_PROFILE_RING);
        CHECK_EQ(nipc_uds_session_fd(&pair.client), pair.client.fd);
        CHECK_EQ(nipc_uds_try_receive(&pair.server, NULL, 0, &got, &payload, &len),
                 NIPC_UDS_ERR_TIMEOUT);
        CHECK(!is_readable(&pair.server));
        CHECK_EQ(nipc_uds_send(&pair.client, &header, "knock", 5), NIPC_UDS_OK);
        CHECK(is_readable(&pair.server));
        CHECK_EQ(nipc_uds_try_receive(&pair.server, NULL, 0, &got, &payload, &len), NIPC_UDS_OK);
        CHECK(len == 5 && memcmp(payload, "knock", 5) == 0);
        close_pair(&pair);
    }
    few.rlim_cur = (rlim_t)lowest + 3; /* a listener, and both ends */
    REQUIRE(setrlimit(RLIMIT_NOFILE, &few) == 0);
    open_pair_of(&pair, PROFILES_RING, PROFILES_RING);
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
    CHECK_EQ(pair.client.selected_profile, NIPC_PROFILE_BASELINE);
    CHECK_EQ(nipc_uds_send(&pair.client, &header, "x", 1), NIPC_UDS_OK);
    CHECK_EQ(nipc_uds_receive(&pair.server, NULL, 0, &got, &payload, &len), NIPC_UDS_OK);
    close_pair(&pair);
}

/* ---- Peers that are killed ------------------------------------------------------------------------- */

static const char *self;

/* In the other process: connects, asks, and waits for an answer that does not come. */
static int other(const char *dir)
{
    nipc_uds_client_config_t config = {.supported_profiles = PROFILES_RING};
    nipc_uds_session_t session;
    nipc_header_t header = request(1);
    const void *payload;
    size_t len;
    if (nipc_uds_connect(dir, "ring", &config, &session) != NIPC_UDS_OK ||
        nipc_uds_send(&session, &header, "x", 1) != NIPC_UDS_OK)
        return 1;
    return nipc_uds_receive(&session, NULL, 0, &header, &payload, &len) != NIPC_UDS_OK;
}

struct killer {
    process victim;
    struct event waits;
};

static void *kill_when_it_waits(void *arg)
{
    struct killer *killer = arg;
    event_wait(&killer->waits);
    usleep(20000); /* that it sleeps by then is likely, and not needed */
    process_kill(killer->victim);
    return NULL;
}

static void killed_peer_ends_the_wait_for_it(void)
{
    nipc_uds_server_config_t config = {.supported_profiles = PROFILES_RING};
    nipc_uds_listener_t listener;
    REQUIRE(nipc_uds_listen(check_dir(), "ring", &config, &listener) == NIPC_UDS_OK);
    for (int in_a_loop = 0; in_a_loop < 2; in_a_loop++) {
        struct killer killer = {.victim = process_start(self, check_dir()), .waits = EVENT};
        nipc_uds_session_t session;
        nipc_header_t header;
        const void *payload;
        size_t len;
        pthread_t thread;
        REQUIRE(nipc_uds_accept(&listener, 1, &session) == NIPC_UDS_OK);
        CHECK_EQ(session.selected_profile, NIPC_PROFILE_RING);
        CHECK_EQ(nipc_uds_receive(&session, NULL, 0, &header, &payload, &len), NIPC_UDS_OK);
        pthread_create(&thread, NULL, kill_when_it_waits, &killer);
        long long start = check_now_ms();
        event_set(&killer.waits, true);
        nipc_uds_error_t error = NIPC_UDS_ERR_TIMEOUT;
        if (in_a_loop)
            while ((error = nipc_uds_try_receive(&session, NULL, 0, &header, &payload, &len)) ==
                   NIPC_UDS_ERR_TIMEOUT)
                CHECK(wait_for(&session, POLLIN));
        else
            error = nipc_uds_receive_timeout(&session, NULL, 0, &header, &payload, &len, PATIENCE_MS,
                                             -1);
        CHECK_EQ(error, NIPC_UDS_ERR_RECV);
        CHECK(check_now_ms() - start < PATIENCE_MS / 2);
        pthread_join(thread, NULL);
        header.kind = NIPC_KIND_RESPONSE;
        CHECK_EQ(nipc_uds_send(&session, &header, "x", 1), NIPC_UDS_ERR_SEND);
        nipc_uds_close_session(&session);
    }
    nipc_uds_close_listener(&listener);
}

/* ---- Clients and servers of services --------------------------------------------------------------- */

enum { CALLS = 2000 };

static void *call_often(void *arg)
{
    nipc_client_ctx_t *client = arg;
    for (int i = 0; i < CALLS; i++) {
        nipc_cgroups_resp_view_t view;
        CHECK_EQ(nipc_client_call_cgroups_snapshot(client, &view), NIPC_OK);
        CHECK(view.item_count == 20 && view.generation == 3);
    }
    return NULL;
}

static void one_server_serves_clients_over_each_carrier_at_once(void)
{
    const uint32_t profiles[] = {PROFILES_SOCKET, PROFILES_SHM, PROFILES_RING,
                                 NIPC_PROFILES_SHARED_MEMORY};
    enum { CLIENTS = sizeof profiles / sizeof *profiles };
    struct provider provider = {.items = 20, .generation = 3};
    nipc_client_ctx_t clients[CLIENTS];
    pthread_t threads[CLIENTS];
    provider_start(&provider, "mixed", PROFILES_SHM | NIPC_PROFILE_RING);
    for (int i = 0; i < CLIENTS; i++) {
        nipc_client_config_t config = provider_client(profiles[i]);
        nipc_client_init(&clients[i], check_dir(), "mixed", &config);
        CHECK(nipc_client_refresh(&clients[i]) && nipc_client_ready(&clients[i]));
        CHECK_EQ(clients[i].shm != NULL, profiles[i] == PROFILES_SHM);
        CHECK_EQ(clients[i].session.selected_profile == NIPC_PROFILE_RING,
                 (profiles[i] & NIPC_PROFILE_RING) != 0);
    }
    CHECK_EQ(clients[0].session.selected_profile, NIPC_PROFILE_BASELINE);
    for (int i = 0; i < CLIENTS; i++)
        pthread_create(&threads[i], NULL, call_often, &clients[i]);
    for (int i = 0; i < CLIENTS; i++) {
        pthread_join(threads[i], NULL);
        CHECK_EQ(clients[i].call_count, CALLS);
        nipc_client_close(&clients[i]);
    }
    provider_stop(&provider);
}

static void rings_of_a_client_are_not_for_others(void)
{
    struct provider provider = {.items = 1};
    nipc_client_config_t config = provider_client(PROFILES_RING);
    nipc_client_ctx_t client;
    nipc_cgroups_resp_view_t view;
    nipc_header_t header = request(1);
    const void *payload;
    size_t len;
    provider_start(&provider, "own", PROFILES_RING);
    nipc_client_init(&client, check_dir(), "own", &config);
    CHECK(nipc_client_refresh(&client));
    CHECK_EQ(nipc_uds_send(&client.session, &header, NULL, 0), NIPC_UDS_ERR_BAD_PARAM);
    CHECK_EQ(nipc_uds_receive(&client.session, NULL, 0, &header, &payload, &len),
             NIPC_UDS_ERR_BAD_PARAM);
    CHECK_EQ(nipc_client_call_cgroups_snapshot(&client, &view), NIPC_OK);
    nipc_uds_close_session(&client.session); /* as over a socket */
    CHECK_EQ(nipc_client_call_cgroups_snapshot(&client, &view), NIPC_OK);
    CHECK_EQ(client.session.selected_profile, NIPC_PROFILE_RING);
    nipc_client_close(&client);
    provider_stop(&provider);
}

int main(int argc, char **argv)
{
    self = argv[0];
    if (argc > 1)
        return other(argv[1]);
    RUN(rings_are_selected_where_both_offer_them_and_nowhere_else);
    RUN(closing_a_session_gives_everything_back);
    RUN(many_requests_are_under_way_at_once);
    RUN(messages_larger_than_the_rings_pass_in_parts);
    RUN(limits_and_ids_hold_as_on_sockets);
    RUN(one_descriptor_tells_of_messages_and_of_the_end);
    RUN(nothing_waits_in_a_loop_whatever_has_no_room);
    RUN(a_message_begun_in_a_loop_is_completed_by_any_receive);
    RUN(rings_take_what_descriptors_there_are);
    RUN(killed_peer_ends_the_wait_for_it);
    RUN(one_server_serves_clients_over_each_carrier_at_once);
    RUN(rings_of_a_client_are_not_for_others);
    return check_result();
}
