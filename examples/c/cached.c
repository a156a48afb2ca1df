/*
 * cached.c - keep the last snapshot of cgroups-snapshot and look cgroups up in it from other threads.
 *
 *     cached DIRECTORY NAME...
 *
 * Names are looked up with the hash the example provider gives them.
 */
#include "netipc/netipc_service.h"

#include <stdio.h>

static uint32_t hash_of(const char *name)
{
    uint32_t hash = 0x811c9dc5u;
    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 0x01000193u;
    return hash;
}

struct question {
    nipc_cgroups_cache_t *cache;
    const char *name;
    bool found;
};

static void *look_up(void *arg)
{
    struct question *question = arg;
    nipc_cgroups_cache_read_guard_t guard;
    if (!nipc_cgroups_cache_read_lock(question->cache, &guard))
        return NULL;
    const nipc_cgroups_cache_item_view_t *item =
        nipc_cgroups_cache_get(&guard, hash_of(question->name), question->name);
    question->found = item != NULL;
    if (item)
        printf("%s is at %s\n", item->name, item->path);
    else
        printf("%s is not known\n", question->name);
    nipc_cgroups_cache_read_unlock(&guard); /* item is gone now */
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: cached DIRECTORY NAME...\n");
        return 2;
    }
    nipc_cgroups_cache_t cache;
    nipc_cgroups_cache_init(&cache, argv[1], "cgroups-snapshot", NULL);
    if (!nipc_cgroups_cache_refresh(&cache))
        fprintf(stderr, "cached: %s\n", nipc_last_error()); /* what was there stays; here nothing */
    printf("%u cgroups\n", cache.item_count);

    int missing = 0;
    for (int i = 2; i < argc; i++) {
        struct question question = {&cache, argv[i], false};
        pthread_t thread;
        if (pthread_create(&thread, NULL, look_up, &question) == 0)
            pthread_join(thread, NULL);
        missing += !question.found;
    }
    nipc_cgroups_cache_close(&cache);
    return missing != 0;
}
