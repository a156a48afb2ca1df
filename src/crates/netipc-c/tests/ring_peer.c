/* Rings whose other end is not this library: a client written down from PROTOCOL.md, section 27, that does
   what it should, and then what it should not. */
#include "netipc/netipc_uds.h"

#include "check.h"

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

enum { MOST = 100000, WORD_SERVER_TAKEN = 384, WORD_CLIENT_TAKEN = 512, SLOTS_AT = 1024, SLOT = 64,
       START = 56, PATIENCE_MS = 10000 };

/* The client's end. */
struct peer {
    int fd, bell; /* the socket, and what wakes the server */
    uint8_t *memory;
    size_t size;
    uint32_t request_slots, request_bulk, response_slots;
    uint64_t sent; /* records */
    uint64_t bulk; /* bytes of them in the bulk */
};

struct pair {
    nipc_uds_listener_t listener;
    nipc_uds_session_t server;
    struct peer peer;
};

static uint32_t u32_at(const uint8_t *memory, size_t at)
{
    uint32_t value;
    memcpy(&value, memory + at, sizeof value);
    return value;
}

/* Receives a HELLO_ACK and up to three descriptors. How many came. */
static int receive_grant(int fd, nipc_hello_ack_t *ack, int fds[3])
{
    uint8_t packet[256];
    union {
        struct cmsghdr head;
        char space[CMSG_SPACE(3 * sizeof(int))];
    } along;
    struct iovec part = {packet, sizeof packet};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &along,
                             .msg_controllen = sizeof along};
    ssize_t len = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
    REQUIRE(len == 80 && nipc_hello_ack_decode(packet + 32, 48, ack) == NIPC_OK);
    struct cmsghdr *first = CMSG_FIRSTHDR(&message);
    if (!first)
        return 0;
    int count = (int)((first->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    memcpy(fds, CMSG_DATA(first), sizeof(int) * (size_t)count);
    return count;
}

static int connect_socket(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    strcpy(address.sun_path, path);
    REQUIRE(connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    return fd;
}

static void *join(void *arg)
{
    struct pair *pair = arg;
    struct peer *peer = &pair->peer;
    nipc_hello_t hello = {
        .layout_version = 1, .supported_profiles = NIPC_PROFILE_RING,
        .preferred_profiles = NIPC_PROFILE_RING, .max_request_payload_bytes = MOST,
        .max_request_batch_items = 1, .max_response_payload_bytes = MOST,
        .max_response_batch_items = 1, .packet_size = 65536,
    };
    nipc_header_t header = {.magic = NIPC_MAGIC_MSG, .version = 1, .header_len = 32,
                            .kind = NIPC_KIND_CONTROL, .code = NIPC_CODE_HELLO, .payload_len = 44,
                            .item_count = 1};
    nipc_hello_ack_t ack;
    uint8_t packet[76];
    int fds[3];
    nipc_header_encode(&header, packet, 32);
    nipc_hello_encode(&hello, packet + 32, 44);
    peer->fd = connect_socket(pair->listener.path);
    REQUIRE(send(peer->fd, packet, sizeof packet, 0) == sizeof packet);
    REQUIRE(receive_grant(peer->fd, &ack, fds) == 3);
    CHECK_EQ(ack.selected_profile, NIPC_PROFILE_RING);
    struct stat file;
    REQUIRE(fstat(fds[0], &file) == 0);
    peer->size = (size_t)file.st_size;
    peer->memory = mmap(NULL, peer->size, PROT_READ | PROT_WRITE, MAP_SHARED, fds[0], 0);
    REQUIRE(peer->memory != MAP_FAILED);
    peer->request_slots = u32_at(peer->memory, 8);
    peer->request_bulk = u32_at(peer->memory, 12);
    peer->response_slots = u32_at(peer->memory, 16);
    CHECK_EQ(u32_at(peer->memory, 0), 0x4E524E47);
    CHECK_EQ(peer->size, SLOTS_AT + SLOT * (peer->request_slots + peer->response_slots) +
                             peer->request_bulk + u32_at(peer->memory, 20));
    peer->bell = fds[1];
    close(fds[0]);
    close(fds[2]);
    return NULL;
}

static void open_pair(struct pair *pair)
{
    nipc_uds_server_config_t config = {
        .supported_profiles = NIPC_PROFILE_RING, .max_request_payload_bytes = MOST,
        .max_response_payload_bytes = MOST,
    };
    pthread_t thread;
    memset(pair, 0, sizeof *pair);
    REQUIRE(nipc_uds_listen(check_dir(), "peer", &config, &pair->listener) == NIPC_UDS_OK);
    pthread_create(&thread, NULL, join, pair);
    REQUIRE(nipc_uds_accept(&pair->listener, 1, &pair->server) == NIPC_UDS_OK);
    pthread_join(thread, NULL);
}

static void close_pair(struct pair *pair)
{
    nipc_uds_close_session(&pair->server);
    nipc_uds_close_listener(&pair->listener);
    munmap(pair->peer.memory, pair->peer.size);
    close(pair->peer.fd);
    close(pair->peer.bell);
}

static void ring_bell(struct peer *peer)
{
    uint64_t one = 1;
    REQUIRE(write(peer->bell, &one, sizeof one) == sizeof one);
}

/* Announces a record that says it has `length` bytes. */
static void announce(struct peer *peer, uint32_t length)
{
    size_t slot = SLOTS_AT + SLOT * (peer->sent % peer->request_slots);
    uint64_t word = (uint64_t)length << 32 | (uint32_t)(peer->sent + 1);
    __atomic_store_n((uint64_t *)(void *)(peer->memory + slot), word, __ATOMIC_RELEASE);
    peer->sent++;
    ring_bell(peer);
}

/* Puts bytes where the next record has them. */
static void put(struct peer *peer, const uint8_t *bytes, size_t len)
{
    size_t slot = SLOTS_AT + SLOT * (peer->sent % peer->request_slots);
    size_t bulk = SLOTS_AT + SLOT * (peer->request_slots + peer->response_slots);
    for (size_t i = 0; i < len; i++) {
        size_t beyond = i - START;
        peer->memory[i < START ? slot + 8 + i
                               : bulk + (peer->bulk + beyond) % peer->request_bulk] = bytes[i];
    }
    if (len > START)
        peer->bulk += (len - START + 63) / 64 * 64;
}

static nipc_header_t request(uint64_t id, uint32_t payload_len)
{
    nipc_header_t header = {.magic = NIPC_MAGIC_MSG, .version = 1, .header_len = 32,
                            .kind = NIPC_KIND_REQUEST, .code = 1, .payload_len = payload_len,
                            .item_count = 1, .message_id = id};
    return header;
}

static nipc_uds_error_t receive(struct pair *pair, nipc_header_t *header, const void **payload,
                                size_t *len)
{
    return nipc_uds_receive_timeout(&pair->server, NULL, 0, header, payload, len, PATIENCE_MS, -1);
}

/* A message of whole records, sent as the protocol says. */
static void send_message(struct peer *peer, const uint8_t *message, size_t len)
{
    size_t longest = START + peer->request_bulk / 4;
    for (size_t done = 0; done < len;) {
        size_t record = len - done < longest ? len - done : longest;
        put(peer, message + done, record);
        announce(peer, (uint32_t)record);
        done += record;
    }
}

static void what_another_end_sends_is_received(void)
{
    struct pair pair;
    const uint32_t sizes[] = {0, 1, 24, 25, 1000, 8216, 20000};
    uint8_t message[32 + 20000];
    uint64_t records = 0;
    open_pair(&pair);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        nipc_header_t header = request(i, sizes[i]), got;
        const void *payload;
        size_t len;
        nipc_header_encode(&header, message, 32);
        for (uint32_t n = 0; n < sizes[i]; n++)
            message[32 + n] = (uint8_t)(n * 31 + i);
        send_message(&pair.peer, message, 32 + sizes[i]);
        CHECK_EQ(receive(&pair, &got, &payload, &len), NIPC_UDS_OK);
        CHECK(got.message_id == i && len == sizes[i] && memcmp(payload, message + 32, len) == 0);
        records = pair.peer.sent;
    }
    /* Before it sleeps it says how many it has taken. */
    nipc_header_t got;
    const void *payload;
    size_t len;
    CHECK_EQ(nipc_uds_try_receive(&pair.server, NULL, 0, &got, &payload, &len), NIPC_UDS_ERR_TIMEOUT);
    CHECK_EQ(__atomic_load_n((uint64_t *)(void *)(pair.peer.memory + WORD_SERVER_TAKEN),
                             __ATOMIC_ACQUIRE), records);
    close_pair(&pair);
}

static void broken_records_end_the_session(void)
{
    const struct {
        uint32_t length;      /* of the first record, as it is announced */
        uint32_t payload_len; /* as the envelope says */
        uint32_t magic, item_count;
        uint32_t then; /* the length of a second record, if there is one */
        nipc_uds_error_t error;
    } cases[] = {
        {0, 0, NIPC_MAGIC_MSG, 1, 0, NIPC_UDS_ERR_PROTOCOL},
        {31, 0, NIPC_MAGIC_MSG, 1, 0, NIPC_UDS_ERR_PROTOCOL},
        {UINT32_MAX, 0, NIPC_MAGIC_MSG, 1, 0, NIPC_UDS_ERR_PROTOCOL},
        {56 + 8192 + 1, MOST, NIPC_MAGIC_MSG, 1, 0, NIPC_UDS_ERR_PROTOCOL},
        {33, 0, NIPC_MAGIC_MSG, 1, 0, NIPC_UDS_ERR_PROTOCOL},
        {40, 100, NIPC_MAGIC_MSG, 1, 0, NIPC_UDS_ERR_PROTOCOL},
        {32, 0, 0, 1, 0, NIPC_UDS_ERR_PROTOCOL},
        {32, 0, NIPC_MAGIC_CHUNK, 1, 0, NIPC_UDS_ERR_PROTOCOL},
        {56 + 8192, MOST + 1, NIPC_MAGIC_MSG, 1, 0, NIPC_UDS_ERR_LIMIT_EXCEEDED},
        {56 + 8192, UINT32_MAX, NIPC_MAGIC_MSG, 1, 0, NIPC_UDS_ERR_LIMIT_EXCEEDED},
        {40, 8, NIPC_MAGIC_MSG, 2, 0, NIPC_UDS_ERR_LIMIT_EXCEEDED},
        {56 + 8192, 10000, NIPC_MAGIC_MSG, 1, 0, NIPC_UDS_ERR_TIMEOUT},
        {56 + 8192, 10000, NIPC_MAGIC_MSG, 1, 10000 - 8216 + 1, NIPC_UDS_ERR_PROTOCOL},
        {56 + 8192, 10000, NIPC_MAGIC_MSG, 1, 10000 - 8216 - 1, NIPC_UDS_ERR_PROTOCOL},
        {56 + 8192, 10000, NIPC_MAGIC_MSG, 1, UINT32_MAX, NIPC_UDS_ERR_PROTOCOL},
        {56 + 8192, 10000, NIPC_MAGIC_MSG, 1, 10000 - 8216, NIPC_UDS_OK},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pair pair;
        uint8_t wire[32];
        nipc_header_t header = request(7, cases[i].payload_len), got;
        const void *payload;
        size_t len;
        open_pair(&pair);
        REQUIRE(pair.peer.request_bulk == 4 * 8192);
        header.magic = cases[i].magic;
        header.item_count = cases[i].item_count;
        nipc_header_encode(&header, wire, 32);
        put(&pair.peer, wire, 32);
        announce(&pair.peer, cases[i].length);
        if (cases[i].then)
            announce(&pair.peer, cases[i].then);
        nipc_uds_error_t error = nipc_uds_try_receive(&pair.server, NULL, 0, &got, &payload, &len);
        if (error != cases[i].error)
            fprintf(stderr, "case %zu: %s: %s\n", i, nipc_uds_error_name(error), nipc_last_error());
        CHECK_EQ(error, cases[i].error);
        close_pair(&pair);
    }
}

static void wrong_counts_end_the_session_that_they_are_of(void)
{
    struct pair pair;
    nipc_header_t header = request(1, 0);
    uint8_t payload[4096] = {0};
    nipc_uds_error_t error = NIPC_UDS_OK;
    open_pair(&pair);
    header.kind = NIPC_KIND_RESPONSE;
    /* The peer says it has taken what nobody sent. That is looked at when room is needed. */
    uint64_t *taken = (uint64_t *)(void *)(pair.peer.memory + WORD_CLIENT_TAKEN);
    __atomic_store_n(taken, UINT64_MAX, __ATOMIC_RELEASE);
    for (int i = 0; i < 1000 && error == NIPC_UDS_OK; i++)
        error = nipc_uds_try_send(&pair.server, &header, payload, sizeof payload);
    CHECK_EQ(error, NIPC_UDS_ERR_SEND);
    close_pair(&pair);
}

/* Whatever is in the memory, a receive comes back, and with nothing beyond the limits. */
static void random_memory_hurts_nobody(void)
{
    unsigned seed = (unsigned)time(NULL);
    for (int session = 0; session < 200; session++) {
        struct pair pair;
        unsigned state = seed + (unsigned)session;
        open_pair(&pair);
        for (int round = 0; round < 20; round++) {
            nipc_header_t got;
            uint8_t buf[64];
            const void *payload;
            size_t len;
            for (int i = 0; i < 16; i++)
                pair.peer.memory[(size_t)rand_r(&state) % pair.peer.size] = (uint8_t)rand_r(&state);
            nipc_header_t header = request((uint64_t)round, (uint32_t)(rand_r(&state) % 9000));
            uint8_t wire[32];
            nipc_header_encode(&header, wire, 32);
            wire[rand_r(&state) % 32] ^= (uint8_t)(1 << rand_r(&state) % 20);
            put(&pair.peer, wire, 32);
            announce(&pair.peer, rand_r(&state) % 4 ? (uint32_t)(rand_r(&state) % 9000) : header.payload_len + 32);
            nipc_uds_error_t error =
                nipc_uds_try_receive(&pair.server, buf, sizeof buf, &got, &payload, &len);
            if (error != NIPC_UDS_OK && error != NIPC_UDS_ERR_TIMEOUT)
                break;
            if (error == NIPC_UDS_OK && len > MOST) {
                fprintf(stderr, "seed %u\n", seed);
                CHECK(len <= MOST);
            }
        }
        close_pair(&pair);
    }
}

int main(void)
{
    RUN(what_another_end_sends_is_received);
    RUN(broken_records_end_the_session);
    RUN(wrong_counts_end_the_session_that_they_are_of);
    RUN(random_memory_hurts_nobody);
    return check_result();
}
