/*
 * client.c - ask cgroups-snapshot once a second and print what it says.
 *
 *     client DIRECTORY [ROUNDS]
 *
 * The provider may start later, restart or vanish: refresh takes care of it.
 */
#include "netipc/netipc_service.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void print(const nipc_cgroups_resp_view_t *view)
{
    printf("%u cgroups, generation %llu\n", view->item_count, (unsigned long long)view->generation);
    for (uint32_t i = 0; i < view->item_count; i++) {
        nipc_cgroups_item_view_t item;
        if (nipc_cgroups_resp_item(view, i, &item) == NIPC_OK)
            printf("%08x %s %s\n", item.hash, item.name.ptr, item.path.ptr);
    }
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: client DIRECTORY [ROUNDS]\n");
        return 2;
    }
    int rounds = argc > 2 ? atoi(argv[2]) : -1, answered = 0;
    nipc_client_config_t config = {
        .supported_profiles = NIPC_PROFILES_SHARED_MEMORY,
        .preferred_profiles = NIPC_PROFILES_SHARED_MEMORY,
        .call_timeout_ms = 5000,
    };
    nipc_client_ctx_t client;
    nipc_client_init(&client, argv[1], "cgroups-snapshot", &config);
    for (int round = 0; round != rounds; round++) {
        if (round > 0)
            sleep(1);
        /* Say it once when the state changes, not every second. */
        if (nipc_client_refresh(&client) && !nipc_client_ready(&client))
            fprintf(stderr, "client: %s\n", nipc_last_error());
        if (!nipc_client_ready(&client))
            continue;
        nipc_cgroups_resp_view_t view;
        nipc_error_t error = nipc_client_call_cgroups_snapshot(&client, &view);
        if (error == NIPC_OK) {
            print(&view);
            answered++;
        } else {
            fprintf(stderr, "client: %s: %s\n", nipc_error_name(error), nipc_last_error());
        }
    }
    nipc_client_close(&client);
    return answered == 0;
}
