/* json.h - reads the vectors: enough of JSON, and no more. What it makes lasts until the program ends. */
#ifndef NETIPC_TESTS_JSON_H
#define NETIPC_TESTS_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum json_kind { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json {
    enum json_kind kind;
    uint64_t number;        /* also 0 or 1 of a bool */
    char *string;           /* with \u escapes left as they are: only printable texts have them */
    char *key;              /* of a member of an object */
    struct json *first;     /* of an array or object */
    struct json *next;      /* its neighbour */
};

/* Zeroed memory that lasts until the program ends, and so is not leaked. */
void *json_alloc(size_t size);

/* Reads a file as a whole; ends the program if it is no JSON. */
struct json *json_read(const char *path);

/* A member of an object, or NULL. */
const struct json *json_get(const struct json *object, const char *key);

/* A number, a string or a truth in an object; 0, "" or false if there is none. */
uint64_t json_number(const struct json *object, const char *key);
const char *json_string(const struct json *object, const char *key);
bool json_true(const struct json *object, const char *key);

/* How many elements an array has. */
uint32_t json_count(const struct json *array);

/* The bytes of a string of hexadecimal digits, or of an object with one called "hex". One more byte
   is allocated, so that none is no NULL; *len gets their number. */
uint8_t *json_bytes(const struct json *hex, size_t *len);

#endif
