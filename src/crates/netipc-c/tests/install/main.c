/* The smallest program that needs the headers and the library. */
#include "netipc/netipc_service.h"

#include <stdio.h>
#include <string.h>

int main(void)
{
    nipc_client_ctx_t client;
    nipc_client_init(&client, "/nonexistent", "cgroups-snapshot", NULL);
    nipc_client_refresh(&client);
    int found = client.state == NIPC_CLIENT_NOT_FOUND && strstr(nipc_last_error(), "cgroups-snapshot");
    puts(nipc_last_error());
    nipc_client_close(&client);
    return !found;
}
