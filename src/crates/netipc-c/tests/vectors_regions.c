/* Names, paths and regions of shared memory. */
#include "netipc/netipc_shm.h"
#include "netipc/netipc_uds.h"

#include "vectors.h"

#include <fcntl.h>

static void service_name(const struct json *vector)
{
    nipc_str_view_t name = text_of(json_get(vector, "input"));
    nipc_uds_listener_t listener;
    nipc_uds_error_t error = nipc_uds_listen(check_dir(), name.ptr, NULL, &listener);
    nipc_uds_close_listener(&listener);
    if (json_true(vector, "valid"))
        EXPECT(error == NIPC_UDS_OK || error == NIPC_UDS_ERR_PATH_TOO_LONG);
    else
        EXPECT(is_expected(vector, nipc_uds_error_name(error)));
}

/* The directories of these vectors do not exist: where was looked is what the errors tell. */
static void posix_paths(const struct json *vector)
{
    const struct json *input = json_get(vector, "input"), *output = json_get(vector, "output");
    const char *dir = json_string(input, "run_dir"), *service = json_string(input, "service");
    nipc_uds_session_t session;
    nipc_shm_ctx_t region;
    nipc_uds_error_t error = nipc_uds_connect(dir, service, NULL, &session);
    if (!json_true(vector, "valid")) {
        /* Of what cannot be used, this is the kind that has a number of its own in C. */
        EXPECT(error == NIPC_UDS_ERR_PATH_TOO_LONG);
        return;
    }
    EXPECT(error == NIPC_UDS_ERR_CONNECT);
    EXPECT(strstr(nipc_last_error(), json_string(output, "socket")) != NULL);
    EXPECT(nipc_shm_client_attach(dir, service, json_number(input, "session_id"), &region) ==
           NIPC_SHM_ERR_OPEN);
    EXPECT(strstr(nipc_last_error(), json_string(output, "region")) != NULL);
}

static void posix_region(const struct json *vector)
{
    const struct json *input = json_get(vector, "input"), *output = json_get(vector, "output");
    nipc_shm_ctx_t region;
    REQUIRE(nipc_shm_server_create(
                check_dir(), "region", 1,
                (uint32_t)json_number(input, "request_payload") + NIPC_HEADER_LEN,
                (uint32_t)json_number(input, "response_payload") + NIPC_HEADER_LEN,
                &region) == NIPC_SHM_OK);
    EXPECT(region.request_offset == json_number(output, "request_offset"));
    EXPECT(region.request_capacity == json_number(output, "request_capacity"));
    EXPECT(region.response_offset == json_number(output, "response_offset"));
    EXPECT(region.response_capacity == json_number(output, "response_capacity"));
    EXPECT(region.region_size == json_number(output, "region_size"));
    nipc_shm_region_header_t header = *(nipc_shm_region_header_t *)region.base;
    EXPECT(header.owner_pid == getpid() && header.owner_generation == region.owner_generation);
    header.owner_pid = (int32_t)json_number(input, "owner_pid");
    header.owner_generation = (uint32_t)json_number(input, "owner_generation");
    EXPECT(is_bytes(json_get(output, "initial_header"), &header, sizeof header));
    nipc_shm_destroy(&region);
}

static void posix_region_attach(const struct json *vector)
{
    const struct json *input = json_get(vector, "input");
    size_t len;
    uint8_t *header = json_bytes(json_get(input, "header"), &len);
    char path[128];
    snprintf(path, sizeof path, "%s/attach-0000000000000001.ipcshm", check_dir());
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    REQUIRE(fd >= 0 && write(fd, header, len) == (ssize_t)len);
    REQUIRE(ftruncate(fd, (off_t)json_number(input, "file_size")) == 0);
    close(fd);
    nipc_shm_ctx_t region;
    nipc_shm_error_t error = nipc_shm_client_attach(check_dir(), "attach", 1, &region);
    if (json_true(vector, "valid"))
        EXPECT(error == NIPC_SHM_OK);
    else
        EXPECT(is_expected(vector, nipc_shm_error_name(error)));
    nipc_shm_close(&region);
    unlink(path);
}

static const struct vector_target targets[] = {
    {"service_name", service_name},
    {"posix_paths", posix_paths},
    {"posix_region", posix_region},
    {"posix_region_attach", posix_region_attach},
    {"fnv1a64", NULL}, /* what these are needed for is no part of the interface here */
    {"djb2", NULL},
    {"next_pow2", NULL},
    {"windows_names", NULL},
    {"windows_region", NULL},
};

int main(void)
{
    VECTORS_RUN("derived", targets);
    return check_result();
}
