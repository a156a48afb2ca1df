/* carrier.h - what carries messages on this system, under names that are the same on all: L1(connect) is
   nipc_uds_connect or nipc_np_connect, REGION(send) is nipc_shm_send or nipc_win_shm_send. */
#ifndef NETIPC_TESTS_CARRIER_H
#define NETIPC_TESTS_CARRIER_H

#ifdef _WIN32

#include "netipc/netipc_named_pipe.h"
#include "netipc/netipc_win_shm.h"

#define L1(name) nipc_np_##name
#define L1_CODE(name) NIPC_NP_##name
#define L1_HANDLE(object) ((object)->pipe)
#define L1_IS_CLOSED(object) ((object)->pipe == INVALID_HANDLE_VALUE)
#define L1_NO_ABORT NULL
/* Of a peer that hung up, while waiting with an end. */
#define L1_HUNG_UP NIPC_NP_ERR_DISCONNECTED
#define ENDPOINT_NAME(service) "-" service

#define REGION(name) nipc_win_shm_##name
#define REGION_CODE(name) NIPC_WIN_SHM_##name

#define L1_CLOSE_BEHIND(object) (CloseHandle((object)->pipe), (object)->pipe = INVALID_HANDLE_VALUE)

/* Something that ends receives: see receive_timeout. */
typedef HANDLE stopper;

static inline stopper stopper_new(void) { return CreateEvent(NULL, TRUE, FALSE, NULL); }
static inline void stopper_set(stopper stop) { SetEvent(stop); }
static inline stopper stopper_watched(stopper stop) { return stop; }
static inline void stopper_free(stopper stop) { CloseHandle(stop); }

static inline void error_number_clear(void) { SetLastError(0); }
static inline long error_number(void) { return (long)GetLastError(); }
#define NUMBER_NOT_FOUND ERROR_FILE_NOT_FOUND
#define NUMBER_IN_USE ERROR_PIPE_BUSY

/* Whether a second server is refused: Wine 8 lets anybody make a first instance of a pipe. */
static inline bool second_is_refused(void)
{
    return GetProcAddress(GetModuleHandleA("ntdll.dll"), "wine_get_version") == NULL;
}

#else

#include "netipc/netipc_shm.h"
#include "netipc/netipc_uds.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define L1(name) nipc_uds_##name
#define L1_CODE(name) NIPC_UDS_##name
#define L1_HANDLE(object) ((object)->fd)
#define L1_IS_CLOSED(object) ((object)->fd == -1)
#define L1_NO_ABORT (-1)
#define L1_HUNG_UP NIPC_UDS_ERR_RECV
#define ENDPOINT_NAME(service) service ".sock"

#define REGION(name) nipc_shm_##name
#define REGION_CODE(name) NIPC_SHM_##name

/* As a program does that closes what is not its own. */
#define L1_CLOSE_BEHIND(object) (close((object)->fd), (object)->fd = -1)

typedef struct {
    int ends[2];
} stopper;

static inline stopper stopper_new(void)
{
    stopper stop;
    if (pipe(stop.ends) != 0)
        abort();
    return stop;
}

static inline void stopper_set(stopper stop)
{
    if (write(stop.ends[1], "a", 1) != 1)
        abort();
}

static inline int stopper_watched(stopper stop) { return stop.ends[0]; }

static inline void stopper_free(stopper stop)
{
    close(stop.ends[0]);
    close(stop.ends[1]);
}

static inline void error_number_clear(void) { errno = 0; }
static inline long error_number(void) { return errno; }
#define NUMBER_NOT_FOUND ENOENT
#define NUMBER_IN_USE EADDRINUSE

static inline bool second_is_refused(void) { return true; }

#endif

#endif
