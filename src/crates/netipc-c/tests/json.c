#include "json.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void die(const char *what, const char *at)
{
    fprintf(stderr, "json: %s at '%.40s'\n", what, at);
    exit(1);
}

void *json_alloc(size_t size)
{
    static void **kept;
    void **block = calloc(1, sizeof *block + size);
    if (!block)
        abort();
    *block = kept;
    kept = block;
    return block + 1;
}

static const char *skip(const char *at)
{
    while (isspace((unsigned char)*at))
        at++;
    return at;
}

static const char *read_string(const char *at, char **out)
{
    if (*at != '"')
        die("no string", at);
    const char *end = ++at;
    while (*end && *end != '"')
        end += *end == '\\' ? 2 : 1;
    char *text = *out = json_alloc((size_t)(end - at) + 1);
    while (at < end) {
        /* Other escapes are only in what is for people, and stay as they are. */
        if (*at == '\\' && (at[1] == '\\' || at[1] == '"'))
            at++;
        *text++ = *at++;
    }
    return end + 1;
}

static const char *read_value(const char *at, struct json *node);

static const char *read_members(const char *at, struct json *node, char end)
{
    struct json **last = &node->first;
    at = skip(at + 1);
    while (*at != end) {
        struct json *member = json_alloc(sizeof *member);
        if (node->kind == JSON_OBJECT) {
            at = skip(read_string(at, &member->key));
            if (*at != ':')
                die("no colon", at);
            at = skip(at + 1);
        }
        at = skip(read_value(at, member));
        *last = member;
        last = &member->next;
        if (*at == ',')
            at = skip(at + 1);
        else if (*at != end)
            die("no comma", at);
    }
    return at + 1;
}

static const char *read_value(const char *at, struct json *node)
{
    if (*at == '{' || *at == '[') {
        node->kind = *at == '{' ? JSON_OBJECT : JSON_ARRAY;
        return read_members(at, node, *at == '{' ? '}' : ']');
    }
    if (*at == '"') {
        node->kind = JSON_STRING;
        return read_string(at, &node->string);
    }
    if (strncmp(at, "true", 4) == 0 || strncmp(at, "false", 5) == 0) {
        node->kind = JSON_BOOL;
        node->number = *at == 't';
        return at + (*at == 't' ? 4 : 5);
    }
    if (strncmp(at, "null", 4) == 0)
        return at + 4;
    char *end;
    node->kind = JSON_NUMBER;
    node->number = strtoull(at, &end, 10);
    if (end == at)
        die("no value", at);
    return end;
}

struct json *json_read(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file) {
        perror(path);
        exit(1);
    }
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    rewind(file);
    char *text = calloc(1, (size_t)size + 1);
    if (fread(text, 1, (size_t)size, file) != (size_t)size)
        die("cannot read", path);
    fclose(file);
    struct json *root = json_alloc(sizeof *root);
    read_value(skip(text), root);
    free(text);
    return root;
}

const struct json *json_get(const struct json *object, const char *key)
{
    if (object)
        for (const struct json *member = object->first; member; member = member->next)
            if (member->key && strcmp(member->key, key) == 0)
                return member;
    return NULL;
}

uint64_t json_number(const struct json *object, const char *key)
{
    const struct json *member = json_get(object, key);
    return member ? member->number : 0;
}

const char *json_string(const struct json *object, const char *key)
{
    const struct json *member = json_get(object, key);
    return member && member->string ? member->string : "";
}

bool json_true(const struct json *object, const char *key)
{
    return json_number(object, key) != 0;
}

uint32_t json_count(const struct json *array)
{
    uint32_t count = 0;
    for (const struct json *each = array ? array->first : NULL; each; each = each->next)
        count++;
    return count;
}

uint8_t *json_bytes(const struct json *hex, size_t *len)
{
    if (hex && hex->kind == JSON_OBJECT)
        hex = json_get(hex, "hex");
    const char *digits = hex && hex->string ? hex->string : "";
    *len = strlen(digits) / 2;
    uint8_t *bytes = json_alloc(*len + 1);
    for (size_t i = 0; i < *len; i++) {
        char pair[3] = {digits[i * 2], digits[i * 2 + 1], 0};
        bytes[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return bytes;
}
