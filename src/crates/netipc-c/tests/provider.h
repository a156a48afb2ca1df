/* provider.h - a snapshot provider in a thread, for the tests of clients and caches. */
#ifndef NETIPC_TESTS_PROVIDER_H
#define NETIPC_TESTS_PROVIDER_H

#include "netipc/netipc_service.h"

#include "check.h"

#define PROFILES_SOCKET NIPC_PROFILE_BASELINE
#define PROFILES_SHM (NIPC_PROFILE_BASELINE | NIPC_PROFILE_SHM_HYBRID | NIPC_PROFILE_SHM_FUTEX)
#define PROFILES_RING (NIPC_PROFILE_BASELINE | NIPC_PROFILE_RING)

/* Each way to carry messages. Where there are no rings the last is the first once more. */
static const uint32_t carriers[] = {PROFILES_SOCKET, PROFILES_SHM, PROFILES_RING};
#define CARRIERS (int)(sizeof carriers / sizeof *carriers)
#ifdef _WIN32
#define IS_RING(profiles) ((void)(profiles), false)
#else
#define IS_RING(profiles) ((profiles) == PROFILES_RING)
#endif

struct provider {
    nipc_managed_server_t server;
    pthread_t thread;
    _Atomic int items; /* how many cgroups a snapshot has */
    _Atomic uint64_t generation;
    _Atomic bool fails;
};

static inline bool provider_answer(void *user, const nipc_cgroups_req_t *request,
                                   nipc_cgroups_builder_t *reply)
{
    struct provider *provider = user;
    (void)request;
    nipc_cgroups_builder_set_header(reply, 1, provider->generation);
    for (int i = 0; i < provider->items; i++) {
        char name[64], path[128];
        int name_len = snprintf(name, sizeof name, "cgroup_%d", i);
        int path_len = snprintf(path, sizeof path, "/sys/fs/cgroup/machine.slice/%d/cgroup.procs", i);
        nipc_cgroups_builder_add(reply, (uint32_t)i * 31, 2, i % 2, name, (uint32_t)name_len, path,
                                 (uint32_t)path_len);
    }
    return !provider->fails;
}

/* Runs a server in a thread of its own. */
static inline void *server_main(void *server)
{
    nipc_server_run(server);
    return NULL;
}

static inline void provider_start(struct provider *provider, const char *service, uint32_t profiles)
{
    nipc_server_config_t config = {.supported_profiles = profiles, .auth_token = 7};
    nipc_cgroups_service_handler_t handler = {.handle = provider_answer, .user = provider};
    nipc_error_t error =
        nipc_server_init_typed(&provider->server, check_dir(), service, &config, 4, &handler);
    if (error != NIPC_OK)
        fprintf(stderr, "start: %s: %s\n", nipc_error_name(error), nipc_last_error());
    REQUIRE(error == NIPC_OK);
    REQUIRE(pthread_create(&provider->thread, NULL, server_main, &provider->server) == 0);
}

static inline void provider_stop(struct provider *provider)
{
    nipc_server_stop(&provider->server);
    pthread_join(provider->thread, NULL);
    nipc_server_destroy(&provider->server);
}

static inline nipc_client_config_t provider_client(uint32_t profiles)
{
    nipc_client_config_t config = {.supported_profiles = profiles, .auth_token = 7};
    return config;
}

#endif
