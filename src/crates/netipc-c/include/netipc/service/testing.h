/*
 * service/testing.h - doors for tests and benchmarks, in netipc_service.h if NIPC_INTERNAL_TESTING is
 * defined. Programs do not need them.
 */
#ifndef NETIPC_SERVICE_TESTING_H
#define NETIPC_SERVICE_TESTING_H

#include "netipc/service/cache.h"
#include "netipc/service/server.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Makes a server of any method whose handler gets and writes payloads as they are. What the handler
 * returns decides the status: NIPC_OK; NIPC_ERR_OVERFLOW: LIMIT_EXCEEDED; NIPC_ERR_HANDLER_FAILED:
 * INTERNAL_ERROR; any other error: BAD_ENVELOPE. Batches are split: the handler sees one item at a
 * time, with the header of a request of its own. All else as nipc_server_init_typed().
 */
nipc_error_t nipc_server_init_raw_for_tests(nipc_managed_server_t *server, const char *run_dir,
                                            const char *service_name,
                                            const nipc_transport_server_config_t *config,
                                            int worker_count, uint16_t method_code,
                                            nipc_server_handler_fn handler, void *user);
#define nipc_server_init nipc_server_init_raw_for_tests

/* Publishes a snapshot made of `count` items as if a refresh had fetched it. */
bool nipc_cgroups_cache_seed_for_tests(nipc_cgroups_cache_t *cache,
                                       const nipc_cgroups_cache_item_t *items, uint32_t count,
                                       uint32_t systemd_enabled, uint64_t generation);

#ifdef __cplusplus
}
#endif

#endif
