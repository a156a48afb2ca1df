/* What only regions of Windows have: profiles, tokens, and ends that tell. For all else see region.c. */
#include "netipc/netipc_win_shm.h"

#include "check.h"

#define HYBRID NIPC_WIN_SHM_PROFILE_HYBRID
#define BUSYWAIT NIPC_WIN_SHM_PROFILE_BUSYWAIT

static nipc_win_shm_ctx_t server, client;

static void open_both(uint32_t profile)
{
    REQUIRE(nipc_win_shm_server_create(check_dir(), "win", 7, 1, profile, 1000, 3000, &server) ==
            NIPC_WIN_SHM_OK);
    REQUIRE(nipc_win_shm_client_attach(check_dir(), "win", 7, 1, profile, &client) ==
            NIPC_WIN_SHM_OK);
}

static void close_both(void)
{
    nipc_win_shm_close(&client);
    nipc_win_shm_destroy(&server);
}

static void region_lies_as_specified(void)
{
    const uint32_t profiles[] = {HYBRID, BUSYWAIT};
    for (int i = 0; i < 2; i++) {
        open_both(profiles[i]);
        const nipc_win_shm_region_header_t *header = client.base;
        CHECK_EQ(sizeof *header, NIPC_WIN_SHM_HEADER_LEN);
        CHECK(header->magic == NIPC_WIN_SHM_MAGIC && header->version == NIPC_WIN_SHM_VERSION);
        CHECK(header->header_len == NIPC_WIN_SHM_HEADER_LEN && header->profile == profiles[i]);
        CHECK(header->request_offset == 128 && header->request_capacity == 1024);
        CHECK(header->response_offset == 128 + 1024 && header->response_capacity == 3008);
        CHECK_EQ(header->spin_tries, NIPC_WIN_SHM_DEFAULT_SPIN);
        CHECK(client.request_offset == 128 && client.response_capacity == 3008);
        CHECK(server.role == NIPC_WIN_SHM_ROLE_SERVER && client.role == NIPC_WIN_SHM_ROLE_CLIENT);
        CHECK(server.profile == profiles[i] && client.profile == profiles[i]);
        CHECK(server.region_size == 128 + 1024 + 3008 && client.region_size == server.region_size);
        CHECK(server.mapping && (server.req_event != NULL) == (i == 0));
        CHECK((client.resp_event != NULL) == (i == 0));
        close_both();
        CHECK(server.base == NULL && server.mapping == NULL && client.base == NULL);
        close_both();
    }
}

static void names_and_profiles_are_checked(void)
{
    nipc_win_shm_ctx_t ctx;
    CHECK_EQ(nipc_win_shm_server_create(check_dir(), "win", 0, 1, HYBRID, 0, 64, &ctx),
             NIPC_WIN_SHM_ERR_BAD_PARAM);
    CHECK_EQ(nipc_win_shm_server_create(check_dir(), "win", 0, 1, HYBRID, 0xFFFFFFFF, 64, &ctx),
             NIPC_WIN_SHM_ERR_BAD_PARAM);
    CHECK_EQ(nipc_win_shm_server_create(check_dir(), "win", 0, 1, 8, 64, 64, &ctx),
             NIPC_WIN_SHM_ERR_BAD_PARAM);
    CHECK_EQ(nipc_win_shm_server_create(check_dir(), "a/b", 0, 1, HYBRID, 64, 64, &ctx),
             NIPC_WIN_SHM_ERR_BAD_PARAM);
    CHECK_EQ(nipc_win_shm_server_create(NULL, "win", 0, 1, HYBRID, 64, 64, &ctx),
             NIPC_WIN_SHM_ERR_BAD_PARAM);
    CHECK_EQ(nipc_win_shm_server_create(check_dir(), "win", 0, 1, HYBRID, 64, 64, NULL),
             NIPC_WIN_SHM_ERR_BAD_PARAM);
    SetLastError(0);
    CHECK_EQ(nipc_win_shm_client_attach(check_dir(), "win", 7, 1, HYBRID, &ctx),
             NIPC_WIN_SHM_ERR_OPEN_MAPPING);
    CHECK_EQ(GetLastError(), ERROR_FILE_NOT_FOUND);
    nipc_win_shm_close(&ctx);
    open_both(HYBRID);
    CHECK_EQ(nipc_win_shm_server_create(check_dir(), "win", 7, 1, HYBRID, 64, 64, &ctx),
             NIPC_WIN_SHM_ERR_ADDR_IN_USE);
    /* another token, session or profile is another region */
    CHECK_EQ(nipc_win_shm_client_attach(check_dir(), "win", 8, 1, HYBRID, &ctx),
             NIPC_WIN_SHM_ERR_OPEN_MAPPING);
    CHECK_EQ(nipc_win_shm_client_attach(check_dir(), "win", 7, 2, HYBRID, &ctx),
             NIPC_WIN_SHM_ERR_OPEN_MAPPING);
    CHECK_EQ(nipc_win_shm_client_attach(check_dir(), "win", 7, 1, BUSYWAIT, &ctx),
             NIPC_WIN_SHM_ERR_OPEN_MAPPING);
    nipc_win_shm_cleanup_stale(check_dir(), "win"); /* which never takes what lives */
    nipc_win_shm_cleanup_stale(NULL, NULL);
    CHECK_EQ(nipc_win_shm_client_attach(check_dir(), "win", 7, 1, HYBRID, &ctx), NIPC_WIN_SHM_OK);
    nipc_win_shm_close(&ctx);
    close_both();
    CHECK(strcmp(nipc_win_shm_error_name(NIPC_WIN_SHM_ERR_BAD_PROFILE), "BAD_PROFILE") == 0);
}

static void spoilt_regions_are_refused(void)
{
    static const struct {
        size_t offset;
        uint32_t value;
        nipc_win_shm_error_t error;
    } spoilt[] = {
        {offsetof(nipc_win_shm_region_header_t, magic), 1, NIPC_WIN_SHM_ERR_BAD_MAGIC},
        {offsetof(nipc_win_shm_region_header_t, version), 2, NIPC_WIN_SHM_ERR_BAD_VERSION},
        {offsetof(nipc_win_shm_region_header_t, header_len), 64, NIPC_WIN_SHM_ERR_BAD_HEADER},
        {offsetof(nipc_win_shm_region_header_t, profile), BUSYWAIT, NIPC_WIN_SHM_ERR_BAD_PROFILE},
        {offsetof(nipc_win_shm_region_header_t, request_capacity), 0, NIPC_WIN_SHM_ERR_BAD_HEADER},
        {offsetof(nipc_win_shm_region_header_t, response_offset), 130, NIPC_WIN_SHM_ERR_BAD_HEADER},
        {offsetof(nipc_win_shm_region_header_t, response_offset), 128, NIPC_WIN_SHM_ERR_BAD_HEADER},
        {offsetof(nipc_win_shm_region_header_t, response_capacity), 1u << 20,
         NIPC_WIN_SHM_ERR_BAD_HEADER}, /* beyond what is mapped */
    };
    nipc_win_shm_ctx_t ctx;
    open_both(HYBRID);
    for (size_t i = 0; i < sizeof spoilt / sizeof *spoilt; i++) {
        volatile LONG *field = (volatile LONG *)((char *)server.base + spoilt[i].offset);
        LONG before = InterlockedExchange(field, (LONG)spoilt[i].value);
        CHECK_EQ(nipc_win_shm_client_attach(check_dir(), "win", 7, 1, HYBRID, &ctx), spoilt[i].error);
        CHECK(ctx.base == NULL);
        InterlockedExchange(field, before);
    }
    CHECK_EQ(nipc_win_shm_client_attach(check_dir(), "win", 7, 1, HYBRID, &ctx), NIPC_WIN_SHM_OK);
    nipc_win_shm_close(&ctx);
    close_both();
}

static void closed_end_is_told_after_what_it_sent(void)
{
    const uint32_t profiles[] = {HYBRID, BUSYWAIT};
    for (int i = 0; i < 2; i++) {
        uint8_t buf[64];
        size_t len = 0;
        open_both(profiles[i]);
        CHECK_EQ(nipc_win_shm_send(&client, "last", 4), NIPC_WIN_SHM_OK);
        nipc_win_shm_close(&client);
        CHECK_EQ(nipc_win_shm_receive(&server, buf, sizeof buf, &len, 10000), NIPC_WIN_SHM_OK);
        CHECK(len == 4 && memcmp(buf, "last", 4) == 0);
        CHECK_EQ(nipc_win_shm_receive(&server, buf, sizeof buf, &len, 10000),
                 NIPC_WIN_SHM_ERR_DISCONNECTED);
        close_both();
    }
}

int main(void)
{
    RUN(region_lies_as_specified);
    RUN(names_and_profiles_are_checked);
    RUN(spoilt_regions_are_refused);
    RUN(closed_end_is_told_after_what_it_sent);
    return check_result();
}
