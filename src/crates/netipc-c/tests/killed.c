/* Peers that are killed: nobody waits for them, and others take their place. */
#include "provider.h"

#include "process.h"

#include <sched.h>

/* In the other process: a provider that never ends by itself, or a client that stays connected. */
static struct provider provider = {.items = 3, .generation = 1};

static const char *self;

static void connect_to(nipc_client_ctx_t *client, const char *service, uint32_t profiles)
{
    nipc_client_config_t config = provider_client(profiles);
    nipc_client_init(client, check_dir(), service, &config);
    long long start = check_now_ms();
    while (!nipc_client_ready(client) && check_now_ms() - start < 30000)
        nipc_client_refresh(client), sched_yield();
    REQUIRE(nipc_client_ready(client));
}

static void calls_of_a_killed_server_fail_and_its_place_is_free(void)
{
    for (int i = 0; i < CARRIERS; i++) {
        char argument[128];
        snprintf(argument, sizeof argument, "serve%d=%s", i, check_dir());
        process server = process_start(self, argument);
        nipc_cgroups_resp_view_t view;
        nipc_client_ctx_t client;
        connect_to(&client, "killed", carriers[i]);
        CHECK_EQ(client.shm != NULL, carriers[i] == PROFILES_SHM);
        CHECK_EQ(client.session.selected_profile == NIPC_PROFILE_RING, IS_RING(carriers[i]));
        CHECK_EQ(nipc_client_call_cgroups_snapshot(&client, &view), NIPC_OK);
        process_kill(server);
        long long start = check_now_ms();
        CHECK(nipc_client_call_cgroups_snapshot(&client, &view) != NIPC_OK);
        CHECK(check_now_ms() - start < 20000); /* of the 30 seconds of a call */
        CHECK(!nipc_client_ready(&client));

        struct provider next = {.items = 5};
        provider_start(&next, "killed", carriers[i]);
        nipc_client_refresh(&client);
        CHECK_EQ(nipc_client_call_cgroups_snapshot(&client, &view), NIPC_OK);
        CHECK_EQ(view.item_count, 5);
        nipc_client_close(&client);
        provider_stop(&next);
    }
}

static void killed_client_leaves_its_server_to_others(void)
{
    for (int i = 0; i < CARRIERS; i++) {
        char argument[128];
        struct provider live = {.items = 1};
        provider_start(&live, "lives", carriers[i]);
        snprintf(argument, sizeof argument, "connect%d=%s", i, check_dir());
        process other = process_start(self, argument);
        long long start = check_now_ms();
        /* Whatever is counted is a client that came. */
        while (__atomic_load_n(&live.server.session_count, __ATOMIC_RELAXED) == 0 &&
               check_now_ms() - start < 30000)
            sched_yield();
        CHECK_EQ(__atomic_load_n(&live.server.session_count, __ATOMIC_RELAXED), 1);
        process_kill(other);
        start = check_now_ms();
        while (__atomic_load_n(&live.server.session_count, __ATOMIC_RELAXED) != 0 &&
               check_now_ms() - start < 30000)
            sched_yield();
        CHECK_EQ(__atomic_load_n(&live.server.session_count, __ATOMIC_RELAXED), 0);
        nipc_cgroups_resp_view_t view;
        nipc_client_ctx_t client;
        connect_to(&client, "lives", carriers[i]);
        CHECK_EQ(nipc_client_call_cgroups_snapshot(&client, &view), NIPC_OK);
        nipc_client_close(&client);
        provider_stop(&live);
    }
}

/* What the other process does. Its directory is that of the first. */
static int other(const char *argument)
{
    const char *given = strchr(argument, '=');
    REQUIRE(given && strlen(given + 1) < sizeof check_dir_path);
    strcpy(check_dir_path, given + 1);
    uint32_t profiles = carriers[given[-1] - '0'];
    struct event never = EVENT;
    if (strncmp(argument, "serve", 5) == 0) {
        provider_start(&provider, "killed", profiles);
    } else {
        nipc_client_ctx_t client;
        connect_to(&client, "lives", profiles);
        event_wait(&never);
        nipc_client_close(&client);
    }
    event_wait(&never);
    return 0;
}

int main(int argc, char **argv)
{
    self = argv[0];
    if (argc > 1)
        return other(argv[1]);
    RUN(calls_of_a_killed_server_fail_and_its_place_is_free);
    RUN(killed_client_leaves_its_server_to_others);
    return check_result();
}
