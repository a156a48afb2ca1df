/* Shared memory that cannot be had: the linker puts this program's fallocate in the place of the
   system's, for the library as well. */
#define NIPC_INTERNAL_TESTING
#include "provider.h"

#include <errno.h>
#include <sys/types.h>

static _Atomic int fault;         /* what fails, as errno */
static _Atomic int interruptions; /* how often it is interrupted before */
static _Atomic int calls;

int __real_fallocate(int fd, int mode, off_t offset, off_t len);
int __wrap_fallocate(int fd, int mode, off_t offset, off_t len);

int __wrap_fallocate(int fd, int mode, off_t offset, off_t len)
{
    calls++;
    if (interruptions > 0) {
        interruptions--;
        errno = EINTR;
        return -1;
    }
    if (fault) {
        errno = fault;
        return -1;
    }
    return __real_fallocate(fd, mode, offset, len);
}

void nipc_shm_test_fault_set(nipc_shm_test_fault_site_t site, int errno_value)
{
    fault = site == NIPC_SHM_TEST_FAULT_ALLOCATE ? errno_value : 0;
}

void nipc_shm_test_fault_clear(void)
{
    fault = 0;
}

static void region_without_room_is_refused_and_leaves_nothing(void)
{
    const int faults[] = {ENOSPC, EDQUOT, EFBIG, ENOMEM};
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        nipc_shm_ctx_t region;
        char path[128];
        snprintf(path, sizeof path, "%s/full-0000000000000001.ipcshm", check_dir());
        nipc_shm_test_fault_set(NIPC_SHM_TEST_FAULT_ALLOCATE, faults[i]);
        errno = 0;
        CHECK_EQ(nipc_shm_server_create(check_dir(), "full", 1, 64, 64, &region),
                 NIPC_SHM_ERR_ALLOCATE);
        CHECK_EQ(errno, faults[i]);
        CHECK(region.fd == -1 && region.base == NULL);
        CHECK(access(path, F_OK) != 0);
        nipc_shm_test_fault_clear();
        CHECK_EQ(nipc_shm_server_create(check_dir(), "full", 1, 64, 64, &region), NIPC_SHM_OK);
        nipc_shm_destroy(&region);
    }
}

static void interrupted_allocation_is_taken_up_again(void)
{
    nipc_shm_ctx_t region;
    interruptions = 3;
    calls = 0;
    CHECK_EQ(nipc_shm_server_create(check_dir(), "full", 1, 64, 64, &region), NIPC_SHM_OK);
    CHECK_EQ(calls, 4);
    nipc_shm_destroy(&region);
}

static void sessions_go_on_over_the_socket(void)
{
    for (int i = 1; i < CARRIERS; i++) {
        struct provider provider = {.items = 3};
        nipc_client_config_t config = provider_client(carriers[i]);
        nipc_cgroups_resp_view_t view;
        nipc_client_ctx_t client;
        provider_start(&provider, "full", carriers[i]);
        nipc_client_init(&client, check_dir(), "full", &config);
        nipc_shm_test_fault_set(NIPC_SHM_TEST_FAULT_ALLOCATE, ENOSPC);
        CHECK(nipc_client_refresh(&client) && nipc_client_ready(&client));
        CHECK(client.shm == NULL && client.session.selected_profile == NIPC_PROFILE_BASELINE);
        CHECK_EQ(nipc_client_call_cgroups_snapshot(&client, &view), NIPC_OK);
        CHECK_EQ(view.item_count, 3);
        nipc_client_close(&client);
        nipc_shm_test_fault_clear();
        CHECK(nipc_client_refresh(&client));
        CHECK(client.session.selected_profile != NIPC_PROFILE_BASELINE);
        nipc_client_close(&client);
        provider_stop(&provider);
    }
}

static void *accept_one(void *listener)
{
    static nipc_uds_session_t session;
    CHECK_EQ(nipc_uds_accept(listener, 1, &session), NIPC_UDS_OK);
    return &session;
}

/* The server decides again without them. */
static void rings_without_room_are_not_agreed_on(void)
{
    nipc_uds_server_config_t server = {.supported_profiles = PROFILES_RING, .backlog = 1};
    nipc_uds_client_config_t client = {.supported_profiles = PROFILES_RING};
    nipc_uds_listener_t listener;
    REQUIRE(nipc_uds_listen(check_dir(), "full", &server, &listener) == NIPC_UDS_OK);
    for (int is_full = 0; is_full < 2; is_full++) {
        nipc_uds_session_t session, *accepted;
        pthread_t thread;
        if (is_full)
            nipc_shm_test_fault_set(NIPC_SHM_TEST_FAULT_ALLOCATE, ENOSPC);
        pthread_create(&thread, NULL, accept_one, &listener);
        CHECK_EQ(nipc_uds_connect(check_dir(), "full", &client, &session), NIPC_UDS_OK);
        pthread_join(thread, (void **)&accepted);
        nipc_shm_test_fault_clear();
        uint32_t selected = is_full ? NIPC_PROFILE_BASELINE : NIPC_PROFILE_RING;
        CHECK_EQ(session.selected_profile, selected);
        CHECK_EQ(accepted->selected_profile, selected);
        nipc_uds_close_session(&session);
        nipc_uds_close_session(accepted);
    }
    nipc_uds_close_listener(&listener);
}

int main(void)
{
    RUN(region_without_room_is_refused_and_leaves_nothing);
    RUN(interrupted_allocation_is_taken_up_again);
    RUN(sessions_go_on_over_the_socket);
    RUN(rings_without_room_are_not_agreed_on);
    return check_result();
}
