/*
 * provider.c - provide cgroups-snapshot: answer every client with the cgroups there are.
 *
 *     provider DIRECTORY
 *
 * Serves until it gets SIGINT or SIGTERM, then lets requests under way finish.
 */
#include "netipc/netipc_service.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

/* What handlers read must not change under them: they run in several threads. */
struct table {
    uint64_t generation;
    const char *root;
};

static uint32_t hash_of(const char *name)
{
    uint32_t hash = 0x811c9dc5u;
    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 0x01000193u;
    return hash;
}

static bool answer(void *user, const nipc_cgroups_req_t *request, nipc_cgroups_builder_t *reply)
{
    const struct table *table = user;
    (void)request;
    DIR *dir = opendir(table->root);
    if (!dir)
        return false; /* the client sees a failed call */
    nipc_cgroups_builder_set_header(reply, 1, table->generation);
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (entry->d_name[0] == '.' || entry->d_type != DT_DIR)
            continue;
        char path[512];
        int len = snprintf(path, sizeof path, "%s/%s/cgroup.procs", table->root, entry->d_name);
        /* Whether it fits is for the library to see to: it makes room and asks again. */
        nipc_cgroups_builder_add(reply, hash_of(entry->d_name), 0, 1, entry->d_name,
                                 (uint32_t)strlen(entry->d_name), path, (uint32_t)len);
    }
    closedir(dir);
    return true;
}

static void *run(void *server)
{
    nipc_server_run(server);
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: provider DIRECTORY\n");
        return 2;
    }
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL); /* before there are threads */

    struct table table = {.generation = 1, .root = "/sys"};
    nipc_server_config_t config = {
        .supported_profiles = NIPC_PROFILES_SHARED_MEMORY,
        .preferred_profiles = NIPC_PROFILES_SHARED_MEMORY,
    };
    nipc_cgroups_service_handler_t handler = {.handle = answer, .user = &table};
    nipc_managed_server_t server;
    if (nipc_server_init_typed(&server, argv[1], "cgroups-snapshot", &config, 2, &handler) != NIPC_OK) {
        fprintf(stderr, "provider: %s\n", nipc_last_error());
        return 1;
    }
    pthread_t thread;
    if (pthread_create(&thread, NULL, run, &server) != 0) {
        perror("provider");
        nipc_server_destroy(&server);
        return 1;
    }
    puts("serving"); /* clients can connect since init returned */
    fflush(stdout);

    int signal;
    sigwait(&signals, &signal);
    if (!nipc_server_drain(&server, 5000))
        fprintf(stderr, "provider: some requests were cut off\n");
    pthread_join(thread, NULL);
    nipc_server_destroy(&server);
    return 0;
}
