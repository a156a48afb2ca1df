/*
 * protocol/lookup.h - what cgroups-lookup and apps-lookup share (PROTOCOL.md, section 17).
 *
 * Include netipc/netipc_protocol.h. A lookup asks for a list of keys and gets one item per key, in
 * order. A key that is not known has an item that says so.
 */
#ifndef NETIPC_PROTOCOL_LOOKUP_H
#define NETIPC_PROTOCOL_LOOKUP_H

#include "netipc/protocol/envelope.h"
#include "netipc/protocol/snapshot.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NIPC_LOOKUP_DIR_ENTRY_SIZE 8u
#define NIPC_LOOKUP_LABEL_ENTRY_SIZE 16u

/* What runs a cgroup. Any other number is passed on as it came. */
typedef enum {
    NIPC_ORCHESTRATOR_UNKNOWN = 0,
    NIPC_ORCHESTRATOR_SYSTEMD = 1,
    NIPC_ORCHESTRATOR_DOCKER = 2,
    NIPC_ORCHESTRATOR_K8S = 3,
    NIPC_ORCHESTRATOR_KVM = 4,
    NIPC_ORCHESTRATOR_LXC = 5,
    NIPC_ORCHESTRATOR_PODMAN = 6,
    NIPC_ORCHESTRATOR_NSPAWN = 7
} nipc_orchestrator_t;

/* One label of an item, read or to be written. Keys are never empty, values may be; keys may
   repeat and keep their order. Neither may hold a NUL. */
typedef struct {
    nipc_str_view_t key;
    nipc_str_view_t value;
} nipc_lookup_label_view_t;

/* Directory and label table entries as they lie on the wire. */
typedef struct {
    uint32_t offset;
    uint32_t length;
} nipc_lookup_dir_entry_t;

typedef struct {
    uint32_t key_offset;
    uint32_t key_length;
    uint32_t value_offset;
    uint32_t value_length;
} nipc_lookup_label_entry_t;

#ifdef __cplusplus
}
#endif

#endif
