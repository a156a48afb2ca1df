/* vectors.h - runs the golden and damaged messages that all implementations share. A program takes the
   vectors of some files, hands each to a function by its target, and fails if there is none. */
#ifndef NETIPC_TESTS_VECTORS_H
#define NETIPC_TESTS_VECTORS_H

#include "netipc/netipc_protocol.h"

#include "check.h"
#include "json.h"

static const char *id; /* of the vector at hand */

#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        check_test = id;                                                                           \
        CHECK(condition);                                                                          \
    } while (0)

struct vector_target {
    const char *name;
    void (*run)(const struct json *vector); /* NULL: nothing of the C interface on this system */
};

static inline void vectors_run_file(const char *dir, const char *name,
                                    const struct vector_target *targets, size_t count)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s.json", dir, name);
    const struct json *file = json_read(path);
    REQUIRE(json_count(json_get(file, "vectors")) > 10);
    for (const struct json *each = json_get(file, "vectors")->first; each; each = each->next) {
        const char *target = json_string(each, "target");
        size_t at = 0;
        while (at < count && strcmp(targets[at].name, target) != 0)
            at++;
        id = json_string(each, "id");
        check_test = id;
        REQUIRE(at < count);
        if (targets[at].run) {
            check_tests++;
            targets[at].run(each);
        }
    }
}

/* The vectors of this project, and those of the directory that NETIPC_VECTORS names. */
#define VECTORS_RUN(file, targets)                                                                 \
    do {                                                                                           \
        size_t count_ = sizeof(targets) / sizeof *(targets);                                       \
        vectors_run_file(VECTORS, file, targets, count_);                                          \
        if (getenv("NETIPC_VECTORS"))                                                              \
            vectors_run_file(getenv("NETIPC_VECTORS"), file, targets, count_);                     \
    } while (0)

/* Whether `name` is what a refused vector expects, or what it would accept instead. */
static inline bool is_expected(const struct json *vector, const char *name)
{
    const struct json *other = json_get(vector, "alternative");
    bool expected = strcmp(json_string(vector, "error"), name) == 0 ||
                    strcmp(json_string(other, "error"), name) == 0;
    if (!expected)
        fprintf(stderr, "%s: %s instead of %s\n", id, name, json_string(vector, "error"));
    return expected;
}

static inline bool is_bytes(const struct json *hex, const void *bytes, size_t len)
{
    size_t expected_len;
    uint8_t *expected = json_bytes(hex, &expected_len);
    bool same = expected_len == len && memcmp(expected, bytes, len) == 0;
    return same;
}

static inline bool is_text(const struct json *object, const char *key, nipc_str_view_t text)
{
    return is_bytes(json_get(object, key), text.ptr, text.len) && text.ptr[text.len] == 0;
}

static inline nipc_str_view_t text_of(const struct json *object)
{
    size_t len;
    char *bytes = (char *)json_bytes(object, &len);
    nipc_str_view_t text = {bytes, (uint32_t)len};
    return text;
}

static inline nipc_lookup_label_view_t *labels_of(const struct json *labels, uint16_t *count)
{
    *count = (uint16_t)json_count(labels);
    nipc_lookup_label_view_t *views = json_alloc((*count + 1u) * sizeof *views);
    uint32_t i = 0;
    for (const struct json *each = labels ? labels->first : NULL; each; each = each->next, i++) {
        bool pair = each->kind == JSON_ARRAY;
        views[i].key = text_of(pair ? each->first : json_get(each, "key"));
        views[i].value = text_of(pair ? each->first->next : json_get(each, "value"));
    }
    return views;
}

#endif
