/* Names of pipes, and names and regions of shared memory. */
#include "netipc/netipc_named_pipe.h"
#include "netipc/netipc_win_shm.h"

#include "vectors.h"

static void fnv1a64(const struct json *vector)
{
    size_t len;
    uint8_t *bytes = json_bytes(json_get(json_get(vector, "input"), "hex"), &len);
    char hash[17];
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)nipc_fnv1a_64(bytes, len));
    EXPECT(strcmp(hash, json_string(vector, "output")) == 0);
}

static void service_name(const struct json *vector)
{
    nipc_str_view_t name = text_of(json_get(vector, "input"));
    nipc_np_listener_t listener;
    nipc_np_error_t error = nipc_np_listen(check_dir(), name.ptr, NULL, &listener);
    nipc_np_close_listener(&listener);
    if (json_true(vector, "valid"))
        EXPECT(error == NIPC_NP_OK || error == NIPC_NP_ERR_PIPE_NAME);
    else
        EXPECT(is_expected(vector, nipc_np_error_name(error)));
}

static void windows_names(const struct json *vector)
{
    const struct json *input = json_get(vector, "input"), *output = json_get(vector, "output");
    const char *dir = json_string(input, "run_dir"), *service = json_string(input, "service");
    uint64_t token = json_number(input, "auth_token"), session = json_number(input, "session_id");
    uint32_t profile = (uint32_t)json_number(input, "profile");
    wchar_t wide[NIPC_NP_MAX_PIPE_NAME];
    char narrow[NIPC_NP_MAX_PIPE_NAME];
    if (!json_true(vector, "valid")) {
        EXPECT(nipc_np_build_pipe_name(wide, NIPC_NP_MAX_PIPE_NAME, dir, service) == -1);
        return;
    }
    EXPECT(nipc_np_build_pipe_name(wide, NIPC_NP_MAX_PIPE_NAME, dir, service) == 0);
    snprintf(narrow, sizeof narrow, "%ls", wide);
    EXPECT(strcmp(narrow, json_string(output, "pipe")) == 0);

    /* The objects are found under their names. */
    nipc_win_shm_ctx_t region;
    REQUIRE(nipc_win_shm_server_create(dir, service, token, session, profile, 64, 64, &region) ==
            NIPC_WIN_SHM_OK);
    HANDLE mapping = OpenFileMappingA(FILE_MAP_READ, FALSE, json_string(output, "mapping"));
    HANDLE request = OpenEventA(SYNCHRONIZE, FALSE, json_string(output, "request_event"));
    HANDLE response = OpenEventA(SYNCHRONIZE, FALSE, json_string(output, "response_event"));
    EXPECT(mapping != NULL);
    EXPECT((request != NULL) == (profile == NIPC_WIN_SHM_PROFILE_HYBRID));
    EXPECT((response != NULL) == (request != NULL));
    CloseHandle(mapping);
    if (request) {
        CloseHandle(request);
        CloseHandle(response);
    }
    nipc_win_shm_destroy(&region);
}

static void windows_region(const struct json *vector)
{
    const struct json *input = json_get(vector, "input"), *output = json_get(vector, "output");
    nipc_win_shm_ctx_t region;
    REQUIRE(nipc_win_shm_server_create(
                check_dir(), "region", 0, 1, (uint32_t)json_number(input, "profile"),
                (uint32_t)json_number(input, "request_payload") + NIPC_HEADER_LEN,
                (uint32_t)json_number(input, "response_payload") + NIPC_HEADER_LEN,
                &region) == NIPC_WIN_SHM_OK);
    EXPECT(region.request_offset == json_number(output, "request_offset"));
    EXPECT(region.request_capacity == json_number(output, "request_capacity"));
    EXPECT(region.response_offset == json_number(output, "response_offset"));
    EXPECT(region.response_capacity == json_number(output, "response_capacity"));
    EXPECT(region.region_size == json_number(output, "region_size"));
    EXPECT(is_bytes(json_get(output, "initial_header"), region.base, NIPC_WIN_SHM_HEADER_LEN));
    nipc_win_shm_destroy(&region);
}

static const struct vector_target targets[] = {
    {"fnv1a64", fnv1a64},
    {"service_name", service_name},
    {"windows_names", windows_names},
    {"windows_region", windows_region},
    {"posix_paths", NULL}, /* nothing of the interface on this system */
    {"posix_region", NULL},
    {"posix_region_attach", NULL},
    {"djb2", NULL},
    {"next_pow2", NULL},
};

int main(void)
{
    VECTORS_RUN("derived", targets);
    return check_result();
}
