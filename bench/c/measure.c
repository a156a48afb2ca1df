/*
 * The measuring loop: two thirds of the time give the mean, with no clock read between calls; in the
 * last third each call is timed.
 */
#include "peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Counts times in nanoseconds, in steps of less than a hundredth of them. */
enum { STEP_BITS = 7, STEPS = 1 << STEP_BITS };
struct histogram {
    uint64_t counts[64 * STEPS];
    uint64_t total, max;
};

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void record(struct histogram *times, uint64_t ns)
{
    /* What is below the first steps is counted exactly. */
    unsigned bits = 64u - (unsigned)__builtin_clzll(ns | 1);
    unsigned shift = bits > STEP_BITS + 1 ? bits - STEP_BITS - 1 : 0;
    times->counts[shift * STEPS + (ns >> shift)]++;
    times->total++;
    if (ns > times->max)
        times->max = ns;
}

/* The time that so many of a hundred are not above. */
static uint64_t quantile(const struct histogram *times, unsigned percent)
{
    uint64_t wanted = (times->total * percent + 99) / 100, seen = 0;
    for (unsigned at = 0; at < 64 * STEPS; at++) {
        seen += times->counts[at];
        if (times->counts[at] == 0 || seen < wanted)
            continue;
        unsigned shift = at >= STEPS ? at / STEPS - 1 : 0;
        uint64_t above = ((uint64_t)(at - shift * STEPS) + 1) << shift;
        return above - 1 < times->max ? above - 1 : times->max;
    }
    return times->max;
}

/* How many steps fit a millisecond; 0 if one failed. */
static uint64_t warm_up(const struct bench *bench, bool (*step)(void *), void *user)
{
    uint64_t start = now_ns(), done = 0;
    while (done < 10000 && done < bench->count && now_ns() - start < bench->duration_ns / 10) {
        if (!step(user))
            return 0;
        done++;
    }
    uint64_t took = now_ns() - start;
    uint64_t per_ms = done * 1000000 / (took ? took : 1);
    return per_ms ? per_ms : 1;
}

static bool flat_out(const struct bench *bench, uint64_t per_ms, bool (*step)(void *), void *user,
                     uint64_t *calls, uint64_t *took)
{
    uint64_t start = now_ns();
    *calls = 0;
    while (*calls < bench->count && now_ns() - start < bench->duration_ns * 2 / 3) {
        uint64_t left = bench->count - *calls, steps = per_ms < left ? per_ms : left;
        for (uint64_t i = 0; i < steps; i++)
            if (!step(user))
                return false;
        *calls += steps;
    }
    *took = now_ns() - start;
    return true;
}

static bool timed(const struct bench *bench, bool (*step)(void *), void *user,
                  struct histogram *times)
{
    uint64_t before = now_ns(), end = before + bench->duration_ns / 3;
    while (times->total < bench->count && before < end) {
        if (!step(user))
            return false;
        record(times, now_ns() - before);
        before = now_ns();
    }
    return true;
}

bool measure(const struct bench *bench, bool (*step)(void *user), void *user)
{
    uint64_t calls = 0, took = 0;
    struct histogram *times = calloc(1, sizeof *times);
    if (!times)
        return fail("no memory");
    uint64_t per_ms = warm_up(bench, step, user);
    bool good = per_ms > 0;
    if (good) {
        say("READY");
        good = wait_for_go() && flat_out(bench, per_ms, step, user, &calls, &took) &&
               timed(bench, step, user, times);
    }
    if (good) {
        printf("calls=%llu\nns_per_call=%.3f\np50_ns=%llu\np99_ns=%llu\nmax_ns=%llu\n",
               (unsigned long long)(calls + times->total), (double)took / (double)(calls ? calls : 1),
               (unsigned long long)quantile(times, 50), (unsigned long long)quantile(times, 99),
               (unsigned long long)times->max);
        say("DONE");
        wait_until_the_driver_leaves();
    }
    free(times);
    return good;
}
