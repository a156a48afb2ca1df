/*
 * The interop peer in C: server|client DIR SERVICE KEY=VALUE..., see interop/README.md.
 */
#include "peer.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef _WIN32
#include <fcntl.h>
#include <io.h>
#endif

static const struct scenario {
    const char *name;
    bool (*serve)(const struct meeting *), (*call)(const struct meeting *);
} scenarios[] = {
    {"codec", codec_serve, codec_call},
    {"echo", messages_serve, messages_echo},
    {"pipeline", messages_serve, messages_pipeline},
    {"snapshot", snapshots_serve, snapshots_ask},
    {"cache", snapshots_serve, snapshots_keep},
    {"retry", snapshots_serve, snapshots_survive},
#ifndef _WIN32 /* where endpoints are no files that could be missing */
    {"fallback", snapshots_serve, snapshots_ask},
#endif
    {"lookup-cgroups", lookups_serve_cgroups, lookups_ask_cgroups},
    {"lookup-apps", lookups_serve_apps, lookups_ask_apps},
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

void wait_for_the_end(void)
{
    char rest[64];
    ssize_t got;
    while ((got = read(STDIN_FILENO, rest, sizeof rest)) > 0 || (got < 0 && errno == EINTR))
        continue;
}

uint32_t profiles(const struct meeting *meeting)
{
#ifdef _WIN32
    uint32_t shared = NIPC_PROFILE_SHM_HYBRID; /* the other one never sleeps */
#else
    uint32_t shared = NIPC_PROFILE_SHM_HYBRID | NIPC_PROFILE_SHM_FUTEX;
#endif
    switch (meeting->transport) {
    case OVER_REGION:
        return NIPC_PROFILE_BASELINE | shared;
    case OVER_RINGS:
        return NIPC_PROFILE_BASELINE | shared | NIPC_PROFILE_RING;
    default:
        return NIPC_PROFILE_BASELINE;
    }
}

enum transport transport_of(uint32_t selected_profile)
{
    switch (selected_profile) {
    case NIPC_PROFILE_BASELINE:
        return OVER_SOCKET;
    case NIPC_PROFILE_RING:
        return OVER_RINGS;
    default:
        return OVER_REGION;
    }
}

bool connected(nipc_client_ctx_t *client, const struct meeting *meeting)
{
    nipc_client_config_t config = {
        .supported_profiles = profiles(meeting),
        .preferred_profiles = profiles(meeting),
    };
    nipc_client_init(client, meeting->dir, meeting->service, &config);
    nipc_client_refresh(client);
    if (!nipc_client_ready(client))
        return fail("no session: %s", nipc_last_error());
    /* Where shared memory cannot be had the socket is what is wanted. */
    bool falls_back = strcmp(meeting->scenario, "fallback") == 0;
    enum transport wanted = falls_back ? OVER_SOCKET : meeting->transport;
    if (transport_of(client->session.selected_profile) != wanted ||
        (client->shm != NULL) != (wanted == OVER_REGION))
        return fail("the session is over another transport");
    return true;
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
        wait_for_the_end();
        nipc_server_stop(server);
        pthread_join(thread, NULL);
    }
    nipc_server_destroy(server);
    return runs || fail("no thread for the server");
}

static bool number(const char *text, uint64_t most, uint64_t *out)
{
    char *end;
    errno = 0;
    *out = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == 0 && errno == 0 && *out <= most;
}

/* Reads KEY=VALUE; false if it is not known here. */
static bool read_word(const char *word, struct meeting *meeting)
{
    const char *value = strchr(word, '=');
    uint64_t n;
    if (!value)
        return false;
    size_t len = (size_t)(value++ - word);
#define IS(key) (len == strlen(key) && strncmp(word, key, len) == 0)
    if (IS("scenario")) {
        meeting->scenario = value;
        return true;
    }
    if (IS("transport")) {
        if (strcmp(value, "shm") == 0)
            meeting->transport = OVER_REGION;
#ifndef _WIN32 /* which has no rings */
        else if (strcmp(value, "ring") == 0)
            meeting->transport = OVER_RINGS;
#endif
        else
            return strcmp(value, "socket") == 0;
        return true;
    }
    if (!number(value, UINT64_MAX, &n))
        return false;
    if (IS("rounds"))
        meeting->rounds = n;
    else if (IS("depth"))
        meeting->depth = n;
    else if (IS("generation"))
        meeting->generation = n;
    else if (n > UINT32_MAX)
        return false;
    else if (IS("items"))
        meeting->items = (uint32_t)n;
    else if (IS("keys"))
        meeting->keys = (uint32_t)n;
    else if (IS("response_bytes"))
        meeting->response_bytes = (uint32_t)n;
    else
        return false;
    return true;
#undef IS
}

static const struct scenario *read_words(int count, char **words, struct meeting *meeting)
{
    for (int i = 0; i < count; i++)
        if (!read_word(words[i], meeting))
            return NULL;
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++)
        if (strcmp(scenarios[i].name, meeting->scenario) == 0)
            return &scenarios[i];
    return NULL;
}

int main(int argc, char **argv)
{
#ifdef _WIN32
    _setmode(_fileno(stdout), _O_BINARY); /* lines end as everywhere */
#endif
    bool serves = argc > 1 && strcmp(argv[1], "server") == 0;
    if (argc < 4 || (!serves && strcmp(argv[1], "client") != 0)) {
        fprintf(stderr, "usage: netipc-interop-c server|client DIR SERVICE KEY=VALUE...\n");
        return 2;
    }
    struct meeting meeting = {
        .dir = argv[2], .service = argv[3], .scenario = "snapshot", .items = 100,
        .keys = 16, .rounds = 5, .depth = 16, .generation = 1,
    };
    const struct scenario *scenario = read_words(argc - 4, argv + 4, &meeting);
    if (!scenario) {
        say("UNSUPPORTED");
        return 0;
    }
    if (serves) {
        if (scenario->serve(&meeting))
            return 0;
        fprintf(stderr, "%s\n", failure());
        return 1;
    }
    if (scenario->call(&meeting)) {
        say("PASS");
        return 0;
    }
    printf("FAIL %s\n", failure());
    return 1;
}
