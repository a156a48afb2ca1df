/* Who waits while nothing happens does not wake up, whatever carries messages. */
#include "provider.h"

#include <dirent.h>

enum { REST_MS = 300, RESTS = 60, CALLS = 500 };

/* How often the other threads of this process have gone to sleep. */
static long long sleeps(void)
{
    long long count = 0;
    DIR *tasks = opendir("/proc/self/task");
    REQUIRE(tasks != NULL);
    for (struct dirent *task; (task = readdir(tasks)) != NULL;) {
        char path[300], line[256];
        if (task->d_name[0] == '.' || atoi(task->d_name) == getpid())
            continue;
        snprintf(path, sizeof path, "/proc/self/task/%s/status", task->d_name);
        FILE *status = fopen(path, "r");
        if (!status)
            continue; /* it has ended */
        while (fgets(line, sizeof line, status))
            if (strncmp(line, "voluntary_ctxt_switches:", 24) == 0)
                count += atoll(line + 24);
        fclose(status);
    }
    closedir(tasks);
    return count;
}

/* Whether nobody wakes up for a while, once all have come to rest. */
static bool comes_to_rest(void)
{
    const struct timespec rest = {.tv_nsec = REST_MS * 1000000};
    for (int i = 0; i < RESTS; i++) {
        long long before = sleeps();
        nanosleep(&rest, NULL);
        if (sleeps() == before)
            return true;
    }
    return false;
}

static void servers_clients_and_caches_come_to_rest(void)
{
    for (int i = 0; i < CARRIERS; i++) {
        struct provider provider = {.items = 3};
        nipc_client_config_t config = provider_client(carriers[i]);
        nipc_client_ctx_t client;
        nipc_cgroups_cache_t cache;
        nipc_cgroups_resp_view_t view;
        provider_start(&provider, "idle", carriers[i]);
        nipc_client_init(&client, check_dir(), "idle", &config);
        nipc_cgroups_cache_init(&cache, check_dir(), "idle", &config);
        CHECK(nipc_cgroups_cache_refresh(&cache));
        nipc_client_refresh(&client);
        /* Enough for both sides to find out whether looking again pays. */
        for (int call = 0; call < CALLS; call++)
            CHECK_EQ(nipc_client_call_cgroups_snapshot(&client, &view), NIPC_OK);
        CHECK(comes_to_rest());
        nipc_cgroups_cache_close(&cache);
        nipc_client_close(&client);
        provider_stop(&provider);
    }
}

static void *accept_one(void *arg)
{
    nipc_uds_listener_t *listener = arg;
    nipc_uds_session_t session;
    nipc_header_t header;
    const void *payload;
    size_t len;
    REQUIRE(nipc_uds_accept(listener, 1, &session) == NIPC_UDS_OK);
    CHECK_EQ(nipc_uds_receive(&session, NULL, 0, &header, &payload, &len), NIPC_UDS_ERR_RECV);
    nipc_uds_close_session(&session);
    return NULL;
}

static void a_session_that_waits_for_a_message_sleeps(void)
{
    for (int i = 0; i < CARRIERS; i++) {
        if (carriers[i] == PROFILES_SHM)
            continue; /* is the region's, see below */
        nipc_uds_server_config_t server = {.supported_profiles = carriers[i]};
        nipc_uds_client_config_t client = {.supported_profiles = carriers[i]};
        nipc_uds_listener_t listener;
        nipc_uds_session_t session;
        pthread_t thread;
        REQUIRE(nipc_uds_listen(check_dir(), "waits", &server, &listener) == NIPC_UDS_OK);
        pthread_create(&thread, NULL, accept_one, &listener);
        CHECK_EQ(nipc_uds_connect(check_dir(), "waits", &client, &session), NIPC_UDS_OK);
        CHECK(comes_to_rest());
        nipc_uds_close_session(&session); /* which the other end sees at once */
        pthread_join(thread, NULL);
        nipc_uds_close_listener(&listener);
    }
}

static void *receive_one(void *region)
{
    char message[64];
    size_t len;
    CHECK_EQ(nipc_shm_receive(region, message, sizeof message, &len, 0), NIPC_SHM_OK);
    return NULL;
}

static void a_region_that_waits_for_a_message_sleeps(void)
{
    nipc_shm_ctx_t server, client;
    pthread_t thread;
    REQUIRE(nipc_shm_server_create(check_dir(), "waits", 1, 1024, 1024, &server) == NIPC_SHM_OK);
    REQUIRE(nipc_shm_client_attach(check_dir(), "waits", 1, &client) == NIPC_SHM_OK);
    pthread_create(&thread, NULL, receive_one, &server);
    CHECK(comes_to_rest());
    CHECK_EQ(nipc_shm_send(&client, "x", 1), NIPC_SHM_OK);
    pthread_join(thread, NULL);
    nipc_shm_close(&client);
    nipc_shm_destroy(&server);
}

int main(void)
{
    RUN(servers_clients_and_caches_come_to_rest);
    RUN(a_session_that_waits_for_a_message_sleeps);
    RUN(a_region_that_waits_for_a_message_sleeps);
    return check_result();
}
