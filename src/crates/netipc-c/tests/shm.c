/* What only regions that are files have. For all else see region.c. */
#include "netipc/netipc_shm.h"

#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

static nipc_shm_ctx_t server, client;

static void open_both(uint64_t id)
{
    REQUIRE(nipc_shm_server_create(check_dir(), "shm", id, 1000, 3000, &server) == NIPC_SHM_OK);
    REQUIRE(nipc_shm_client_attach(check_dir(), "shm", id, &client) == NIPC_SHM_OK);
}

static void close_both(void)
{
    nipc_shm_close(&client);
    nipc_shm_destroy(&server);
}

static void region_lies_as_specified(void)
{
    struct stat file;
    open_both(0xABC);
    char path[128];
    snprintf(path, sizeof path, "%s/shm-0000000000000abc.ipcshm", check_dir());
    CHECK(strcmp(server.path, path) == 0 && strcmp(client.path, path) == 0);
    CHECK(stat(path, &file) == 0 && (file.st_mode & 0777) == 0600);
    CHECK_EQ(server.role, NIPC_SHM_ROLE_SERVER);
    CHECK_EQ(client.role, NIPC_SHM_ROLE_CLIENT);
    CHECK(server.request_offset == 64 && server.request_capacity == 1024);
    CHECK(server.response_offset == 64 + 1024 && server.response_capacity == 3008);
    CHECK_EQ(server.region_size, 64 + 1024 + 3008);
    CHECK_EQ(file.st_size, 64 + 1024 + 3008);
    CHECK(client.request_offset == 64 && client.region_size == server.region_size);
    CHECK(client.spin_tries == NIPC_SHM_DEFAULT_SPIN);
    const nipc_shm_region_header_t *header = server.base;
    void *client_base = client.base;
    CHECK(header->magic == NIPC_SHM_REGION_MAGIC && header->version == NIPC_SHM_REGION_VERSION);
    CHECK(header->header_len == NIPC_SHM_HEADER_LEN && header->owner_pid == getpid());
    CHECK(header->owner_generation != 0 && header->owner_generation == client.owner_generation);
    CHECK(nipc_shm_owner_alive(&client) && nipc_shm_owner_alive(&server));
    client.owner_generation++;
    CHECK(!nipc_shm_owner_alive(&client));
    client.owner_generation--;
    client.base = NULL;
    CHECK(!nipc_shm_owner_alive(&client));
    CHECK_EQ(nipc_shm_send(&client, "x", 1), NIPC_SHM_ERR_BAD_PARAM);
    client.base = client_base;
    CHECK(nipc_shm_fd(&client) == client.fd && nipc_shm_fd(NULL) == -1);
    close_both();
    CHECK(access(path, F_OK) != 0);
    CHECK(server.fd == -1 && server.base == NULL);
    close_both();
}

static void arguments_are_checked(void)
{
    nipc_shm_ctx_t ctx;
    char dir[300];
    memset(dir, 'x', sizeof dir - 1);
    dir[0] = '/';
    dir[299] = 0;
    CHECK_EQ(nipc_shm_server_create(check_dir(), "shm", 1, 0, 64, &ctx), NIPC_SHM_ERR_BAD_PARAM);
    CHECK_EQ(nipc_shm_server_create(check_dir(), "shm", 1, 0xFFFFFFFF, 64, &ctx),
             NIPC_SHM_ERR_BAD_PARAM);
    CHECK_EQ(nipc_shm_server_create(check_dir(), "a/b", 1, 64, 64, &ctx), NIPC_SHM_ERR_BAD_PARAM);
    CHECK_EQ(nipc_shm_server_create(dir, "shm", 1, 64, 64, &ctx), NIPC_SHM_ERR_PATH_TOO_LONG);
    CHECK_EQ(nipc_shm_server_create("/nonexistent", "shm", 1, 64, 64, &ctx), NIPC_SHM_ERR_OPEN);
    CHECK_EQ(nipc_shm_server_create(NULL, "shm", 1, 64, 64, &ctx), NIPC_SHM_ERR_BAD_PARAM);
    CHECK_EQ(nipc_shm_server_create(check_dir(), "shm", 1, 64, 64, NULL), NIPC_SHM_ERR_BAD_PARAM);
    errno = 0;
    CHECK_EQ(nipc_shm_client_attach(check_dir(), "shm", 99, &ctx), NIPC_SHM_ERR_OPEN);
    CHECK_EQ(errno, ENOENT);
    CHECK_EQ(ctx.fd, -1);
    nipc_shm_close(&ctx);
    nipc_shm_destroy(&ctx);
    CHECK_EQ(nipc_shm_server_create(check_dir(), "shm", 1, 64, 64, &server), NIPC_SHM_OK);
    CHECK_EQ(nipc_shm_server_create(check_dir(), "shm", 1, 64, 64, &ctx), NIPC_SHM_ERR_ADDR_IN_USE);
    nipc_shm_destroy(&server);
    CHECK(!nipc_shm_owner_alive(NULL));
    CHECK(strcmp(nipc_shm_error_name(NIPC_SHM_ERR_NOT_READY), "NOT_READY") == 0);
}

static nipc_shm_error_t attach_spoilt(size_t size, void (*spoil)(nipc_shm_region_header_t *))
{
    nipc_shm_region_header_t header = {
        .magic = NIPC_SHM_REGION_MAGIC, .version = NIPC_SHM_REGION_VERSION,
        .header_len = NIPC_SHM_HEADER_LEN, .owner_pid = getpid(), .owner_generation = 1,
        .request_offset = 64, .request_capacity = 64, .response_offset = 128,
        .response_capacity = 64};
    if (spoil)
        spoil(&header);
    char path[128];
    snprintf(path, sizeof path, "%s/spoilt-0000000000000001.ipcshm", check_dir());
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    REQUIRE(fd >= 0 && write(fd, &header, sizeof header) == sizeof header);
    REQUIRE(ftruncate(fd, (off_t)size) == 0);
    close(fd);
    nipc_shm_ctx_t ctx;
    nipc_shm_error_t error = nipc_shm_client_attach(check_dir(), "spoilt", 1, &ctx);
    nipc_shm_close(&ctx);
    unlink(path);
    return error;
}

static void bad_magic(nipc_shm_region_header_t *h) { h->magic = 1; }
static void bad_version(nipc_shm_region_header_t *h) { h->version = 9; }
static void bad_header(nipc_shm_region_header_t *h) { h->header_len = 63; }
static void no_area(nipc_shm_region_header_t *h) { h->request_capacity = 0; }
static void misaligned(nipc_shm_region_header_t *h) { h->response_offset = 130; }
static void overlapping(nipc_shm_region_header_t *h) { h->response_offset = 64; }

static void spoilt_regions_are_refused(void)
{
    CHECK_EQ(attach_spoilt(192, NULL), NIPC_SHM_OK);
    CHECK_EQ(attach_spoilt(63, NULL), NIPC_SHM_ERR_NOT_READY);
    CHECK_EQ(attach_spoilt(191, NULL), NIPC_SHM_ERR_BAD_SIZE);
    CHECK_EQ(attach_spoilt(192, bad_magic), NIPC_SHM_ERR_BAD_MAGIC);
    CHECK_EQ(attach_spoilt(192, bad_version), NIPC_SHM_ERR_BAD_VERSION);
    CHECK_EQ(attach_spoilt(192, bad_header), NIPC_SHM_ERR_BAD_HEADER);
    CHECK_EQ(attach_spoilt(192, no_area), NIPC_SHM_ERR_NOT_READY);
    CHECK_EQ(attach_spoilt(192, misaligned), NIPC_SHM_ERR_BAD_SIZE);
    CHECK_EQ(attach_spoilt(192, overlapping), NIPC_SHM_ERR_BAD_SIZE);
}

static void regions_of_dead_servers_are_swept(void)
{
    pid_t child = fork();
    if (child == 0) {
        nipc_shm_ctx_t left;
        _exit(nipc_shm_server_create(check_dir(), "shm", 5, 64, 64, &left) != NIPC_SHM_OK);
    }
    int status;
    REQUIRE(waitpid(child, &status, 0) == child && status == 0);
    CHECK_EQ(nipc_shm_client_attach(check_dir(), "shm", 5, &client), NIPC_SHM_OK);
    CHECK(!nipc_shm_owner_alive(&client));
    nipc_shm_close(&client);
    REQUIRE(nipc_shm_server_create(check_dir(), "shm-other", 5, 64, 64, &server) == NIPC_SHM_OK);
    nipc_shm_cleanup_stale(check_dir(), "shm");
    CHECK_EQ(nipc_shm_client_attach(check_dir(), "shm", 5, &client), NIPC_SHM_ERR_OPEN);
    CHECK_EQ(access(server.path, F_OK), 0);
    nipc_shm_cleanup_stale(check_dir(), "shm-other"); /* alive */
    CHECK_EQ(access(server.path, F_OK), 0);
    nipc_shm_cleanup_stale(NULL, NULL);
    nipc_shm_destroy(&server);
}

int main(void)
{
    RUN(region_lies_as_specified);
    RUN(arguments_are_checked);
    RUN(spoilt_regions_are_refused);
    RUN(regions_of_dead_servers_are_swept);
    return check_result();
}
