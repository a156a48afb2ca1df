/*
 * The benchmark peer in C: server|client DIR SERVICE KEY=VALUE..., see bench/README.md.
 */
#include "peer.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct scenario {
    const char *name;
    bool (*serve)(const struct bench *), (*call)(const struct bench *);
} scenarios[] = {
    {"increment", increment_serve, increment_call},
    {"snapshot", snapshot_serve, snapshot_call},
    {"lookup-cgroups", cgroups_serve, cgroups_call},
    {"lookup-apps", apps_serve, apps_call},
};

static char why[512];

bool fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why, sizeof why, format, arguments);
    va_end(arguments);
    return false;
}

const char *failure(void)
{
    return why;
}

void say(const char *line)
{
    puts(line);
    fflush(stdout);
}

/* Reads standard input byte by byte, so that nothing behind the line is lost. */
bool wait_for_go(void)
{
    char line[8];
    size_t len = 0;
    while (len < sizeof line - 1) {
        ssize_t got = read(STDIN_FILENO, line + len, 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0 || line[len] == '\n')
            break;
        len++;
    }
    line[len] = 0;
    return strcmp(line, "GO") == 0 || fail("the driver said %s instead of GO", line);
}

void wait_until_the_driver_leaves(void)
{
    char rest[64];
    ssize_t got;
    while ((got = read(STDIN_FILENO, rest, sizeof rest)) > 0 || (got < 0 && errno == EINTR))
        continue;
}

static void *serve(void *server)
{
    nipc_server_run(server);
    return NULL;
}

bool run(nipc_managed_server_t *server)
{
    pthread_t thread;
    bool runs = pthread_create(&thread, NULL, serve, server) == 0;
    if (runs) {
        say("READY");
        wait_until_the_driver_leaves();
        nipc_server_stop(server);
        pthread_join(thread, NULL);
    }
    nipc_server_destroy(server);
    return runs || fail("no thread for the server");
}

uint32_t profile(const struct bench *bench)
{
    static const uint32_t selected[] = {
        [SOCKET] = NIPC_PROFILE_BASELINE, [REGION] = NIPC_PROFILE_SHM_HYBRID,
        [RINGS] = NIPC_PROFILE_RING,
    };
    return selected[bench->transport];
}

uint32_t profiles(const struct bench *bench)
{
    return NIPC_PROFILE_BASELINE | profile(bench);
}

static uint32_t request_bytes(const struct bench *bench)
{
    return strncmp(bench->scenario, "lookup", 6) == 0 ? 64 + 64 * bench->items : 0;
}

static uint32_t response_bytes(const struct bench *bench)
{
    if (strcmp(bench->scenario, "snapshot") == 0)
        return 64 + 128 * bench->items;
    return strncmp(bench->scenario, "lookup", 6) == 0 ? 64 + 256 * bench->items : 0;
}

nipc_server_config_t server_config(const struct bench *bench)
{
    nipc_server_config_t config = {
        .supported_profiles = profiles(bench), .preferred_profiles = profiles(bench),
        .max_request_payload_bytes = request_bytes(bench),
        .max_response_payload_bytes = response_bytes(bench),
    };
    return config;
}

nipc_client_config_t client_config(const struct bench *bench)
{
    nipc_client_config_t config = {
        .supported_profiles = profiles(bench), .preferred_profiles = profiles(bench),
        .max_request_payload_bytes = request_bytes(bench),
        .max_response_payload_bytes = response_bytes(bench),
    };
    return config;
}

bool connected(nipc_client_ctx_t *client, const struct bench *bench)
{
    nipc_client_config_t config = client_config(bench);
    nipc_client_init(client, bench->dir, bench->service, &config);
    nipc_client_refresh(client);
    if (!nipc_client_ready(client))
        return fail("no session: %s", nipc_last_error());
    return client->session.selected_profile == profile(bench) ||
           fail("the session is over another transport");
}

/* Reads KEY=VALUE; false if it is not known here. */
static bool read_word(const char *word, struct bench *bench)
{
    const char *value = strchr(word, '=');
    if (!value)
        return false;
    size_t len = (size_t)(value++ - word);
#define IS(key) (len == strlen(key) && strncmp(word, key, len) == 0)
    if (IS("scenario")) {
        bench->scenario = value;
        return true;
    }
    if (IS("transport")) {
        static const char *const names[] = {[SOCKET] = "socket", [REGION] = "shm", [RINGS] = "ring"};
        for (int i = SOCKET; i <= RINGS; i++)
            if (strcmp(value, names[i]) == 0) {
                bench->transport = (enum transport)i;
                return true;
            }
        return false;
    }
    char *end;
    errno = 0;
    unsigned long long n = strtoull(value, &end, 10);
    if (*value < '0' || *value > '9' || *end != 0 || errno != 0 || n > INT32_MAX)
        return false;
    if (IS("duration_ms"))
        bench->duration_ns = n * 1000000;
    else if (IS("count"))
        bench->count = n ? n : UINT64_MAX;
    else if (IS("items"))
        bench->items = (uint32_t)n;
    else if (IS("workers"))
        bench->workers = (int)n;
    else
        return false;
    return true;
#undef IS
}

static const struct scenario *read_words(int count, char **words, struct bench *bench)
{
    for (int i = 0; i < count; i++)
        if (!read_word(words[i], bench))
            return NULL;
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++)
        if (strcmp(scenarios[i].name, bench->scenario) == 0)
            return &scenarios[i];
    return NULL;
}

int main(int argc, char **argv)
{
    bool serves = argc > 1 && strcmp(argv[1], "server") == 0;
    if (argc < 4 || (!serves && strcmp(argv[1], "client") != 0)) {
        fprintf(stderr, "usage: netipc-bench-c server|client DIR SERVICE KEY=VALUE...\n");
        return 2;
    }
    struct bench bench = {
        .dir = argv[2], .service = argv[3], .scenario = "", .count = UINT64_MAX, .items = 1,
        .workers = 1,
    };
    const struct scenario *scenario = read_words(argc - 4, argv + 4, &bench);
    if (!scenario) {
        say("UNSUPPORTED");
        return 0;
    }
    if (serves ? scenario->serve(&bench) : scenario->call(&bench))
        return 0;
    fprintf(stderr, "%s\n", failure());
    return 1;
}
