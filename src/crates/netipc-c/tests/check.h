/* check.h - what every C test uses: checks that say where they failed, a directory of its own, time,
   and events between threads. A test program runs its tests in order and returns how many checks
   failed. */
#ifndef NETIPC_TESTS_CHECK_H
#define NETIPC_TESTS_CHECK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int check_count;
static int check_failures;
static int check_tests;
static const char *check_test;

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        __atomic_add_fetch(&check_count, 1, __ATOMIC_RELAXED);                                     \
        if (!(condition)) {                                                                        \
            __atomic_add_fetch(&check_failures, 1, __ATOMIC_RELAXED);                              \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, check_test, #condition);        \
        }                                                                                          \
    } while (0)

#define CHECK_EQ(got, expected)                                                                    \
    do {                                                                                           \
        __atomic_add_fetch(&check_count, 1, __ATOMIC_RELAXED);                                     \
        long long got_ = (long long)(got), expected_ = (long long)(expected);                      \
        if (got_ != expected_) {                                                                   \
            __atomic_add_fetch(&check_failures, 1, __ATOMIC_RELAXED);                              \
            fprintf(stderr, "%s:%d: %s: %s is %lld, expected %s = %lld\n", __FILE__, __LINE__,     \
                    check_test, #got, got_, #expected, expected_);                                 \
        }                                                                                          \
    } while (0)

/* A precondition of the rest of the program. */
#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, check_test, #condition);        \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

#define RUN(test)                                                                                  \
    do {                                                                                           \
        check_test = #test;                                                                        \
        check_tests++;                                                                             \
        test();                                                                                    \
    } while (0)

static inline int check_result(void)
{
    printf("%d tests, %d checks, %d failed\n", check_tests, check_count, check_failures);
    return check_failures != 0;
}

static char check_dir_path[64];

#ifdef _WIN32

/* A name that no other program has. There need not be a directory of that name. */
static inline const char *check_dir(void)
{
    if (!check_dir_path[0])
        snprintf(check_dir_path, sizeof check_dir_path, "C:/netipc-c-%d", getpid());
    return check_dir_path;
}

#else

static inline void check_remove_dir(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", check_dir_path);
    if (system(command) != 0)
        fprintf(stderr, "%s is left behind\n", check_dir_path);
}

/* A new directory, removed when the program ends. */
static inline const char *check_dir(void)
{
    if (!check_dir_path[0]) {
        strcpy(check_dir_path, "/tmp/netipc-c-XXXXXX");
        if (!mkdtemp(check_dir_path)) {
            perror("mkdtemp");
            exit(1);
        }
        atexit(check_remove_dir);
    }
    return check_dir_path;
}

#endif

static inline long long check_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* Something that happens in one thread and is waited for in others. */
struct event {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool happened;
};

#define EVENT {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false}

static inline void event_set(struct event *event, bool happened)
{
    pthread_mutex_lock(&event->lock);
    event->happened = happened;
    pthread_cond_broadcast(&event->changed);
    pthread_mutex_unlock(&event->lock);
}

static inline void event_wait(struct event *event)
{
    pthread_mutex_lock(&event->lock);
    while (!event->happened)
        pthread_cond_wait(&event->changed, &event->lock);
    pthread_mutex_unlock(&event->lock);
}

#endif
