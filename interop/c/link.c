/*
 * Links, with the functions of this system.
 */
#include "link.h"

#include <stdlib.h>
#include <string.h>

#ifdef _WIN32

#define L1(name) nipc_np_##name
#define L1_CODE(name) NIPC_NP_##name
#define L1_NO_ABORT NULL
#define L1_HUNG_UP NIPC_NP_ERR_DISCONNECTED
#define REGION(name) nipc_win_shm_##name
#define REGION_CODE(name) NIPC_WIN_SHM_##name
#define REGION_IS_LEFT(error) ((error) == NIPC_WIN_SHM_ERR_DISCONNECTED)

/* Nothing but its end comes over this pipe. */
static bool peer_gone(nipc_np_session_t *session)
{
    bool readable;
    return nipc_np_wait_readable(session, 0, &readable) != NIPC_NP_OK;
}

static bool region_create(const struct meeting *meeting, uint64_t id, uint32_t size,
                          nipc_win_shm_ctx_t *out)
{
    return nipc_win_shm_server_create(meeting->dir, meeting->service, 0, id,
                                      NIPC_WIN_SHM_PROFILE_HYBRID, size, size, out) == NIPC_WIN_SHM_OK;
}

static bool region_attach(const struct meeting *meeting, const nipc_np_session_t *session,
                          nipc_win_shm_ctx_t *out)
{
    return nipc_win_shm_client_attach(meeting->dir, meeting->service, 0, session->session_id,
                                      session->selected_profile, out) == NIPC_WIN_SHM_OK;
}

#else

#include <poll.h>

#define L1(name) nipc_uds_##name
#define L1_CODE(name) NIPC_UDS_##name
#define L1_NO_ABORT (-1)
#define L1_HUNG_UP NIPC_UDS_ERR_RECV
#define REGION(name) nipc_shm_##name
#define REGION_CODE(name) NIPC_SHM_##name
#define REGION_IS_LEFT(error) false /* the socket says so */

/* Nothing but its end comes over this socket. */
static bool peer_gone(const nipc_uds_session_t *session)
{
    struct pollfd fd = {.fd = nipc_uds_session_fd(session), .events = POLLIN};
    return poll(&fd, 1, 0) == 1;
}

static bool region_create(const struct meeting *meeting, uint64_t id, uint32_t size,
                          nipc_shm_ctx_t *out)
{
    return nipc_shm_server_create(meeting->dir, meeting->service, id, size, size, out) == NIPC_SHM_OK;
}

static bool region_attach(const struct meeting *meeting, const nipc_uds_session_t *session,
                          nipc_shm_ctx_t *out)
{
    return nipc_shm_client_attach(meeting->dir, meeting->service, session->session_id, out) ==
           NIPC_SHM_OK;
}

#endif

enum {
    LIMIT_MS = 20000,
    SLICE_MS = 50, /* how often the session is looked at while shared memory is waited on */
    PACKET = 4096,
};

/* Opens both ends of a session that was agreed on. */
static bool link_open(struct link *link)
{
    link->message = malloc(NIPC_HEADER_LEN + LINK_MOST);
    return link->message != NULL || fail("no memory");
}

bool link_listen(nipc_transport_listener_t *listener, const struct meeting *meeting)
{
    L1(server_config_t) config = {
        .supported_profiles = profiles(meeting), .preferred_profiles = profiles(meeting),
        .max_request_payload_bytes = LINK_MOST, .max_response_payload_bytes = LINK_MOST,
        .max_request_batch_items = 16, .max_response_batch_items = 16, .packet_size = PACKET,
    };
    if (L1(listen)(meeting->dir, meeting->service, &config, listener) != L1_CODE(OK))
        return fail("%s", nipc_last_error());
    return true;
}

bool link_accept(struct link *link, const struct meeting *meeting, nipc_transport_listener_t *listener)
{
    const uint64_t id = 1;
    memset(link, 0, sizeof *link);
    link->in_region = meeting->transport == OVER_REGION;
    /* A client that is accepted may look for the shared memory at once. */
    if (link->in_region && !region_create(meeting, id, NIPC_HEADER_LEN + LINK_MOST, &link->shm))
        return fail("shared memory: %s", nipc_last_error());
    say("READY");
    if (L1(accept)(listener, id, &link->session) != L1_CODE(OK))
        return fail("accept: %s", nipc_last_error());
    return link_open(link);
}

void link_close_listener(nipc_transport_listener_t *listener)
{
    L1(close_listener)(listener);
}

bool link_connect(struct link *link, const struct meeting *meeting)
{
    L1(client_config_t) config = {
        .supported_profiles = profiles(meeting), .preferred_profiles = profiles(meeting),
        .max_request_payload_bytes = LINK_MOST, .max_response_payload_bytes = LINK_MOST,
        .max_request_batch_items = 16, .max_response_batch_items = 16, .packet_size = PACKET,
    };
    memset(link, 0, sizeof *link);
    if (L1(connect)(meeting->dir, meeting->service, &config, &link->session) != L1_CODE(OK))
        return fail("%s", nipc_last_error());
    if (transport_of(link->session.selected_profile) != meeting->transport ||
        link->session.packet_size != PACKET)
        return fail("another transport or packet size was agreed on");
    if (meeting->transport == OVER_REGION) {
        if (!region_attach(meeting, &link->session, &link->shm))
            return fail("%s", nipc_last_error());
        link->in_region = true;
    }
    return link_open(link);
}

bool link_send(struct link *link, nipc_header_t *header, const uint8_t *payload, size_t len)
{
    if (!link->in_region) {
        L1(error_t) error = L1(send)(&link->session, header, payload, len);
        return error == L1_CODE(OK) || fail("send: %s", nipc_last_error());
    }
    header->magic = NIPC_MAGIC_MSG;
    header->version = NIPC_VERSION;
    header->header_len = NIPC_HEADER_LEN;
    header->payload_len = (uint32_t)len;
    nipc_header_encode(header, link->message, NIPC_HEADER_LEN);
    if (len > 0)
        memcpy(link->message + NIPC_HEADER_LEN, payload, len);
    REGION(error_t) error = REGION(send)(&link->shm, link->message, NIPC_HEADER_LEN + len);
    return error == REGION_CODE(OK) || fail("send: %s", nipc_last_error());
}

static enum received receive_shared(struct link *link, nipc_header_t *header, size_t *len)
{
    for (int waited = 0; waited < LIMIT_MS; waited += SLICE_MS) {
        /* Before looking: it may have sent something just before. */
        bool gone = peer_gone(&link->session);
        size_t size;
        REGION(error_t) error = REGION(receive)(&link->shm, link->message,
                                                 NIPC_HEADER_LEN + LINK_MOST, &size, SLICE_MS);
        if (error == REGION_CODE(OK)) {
            if (nipc_header_decode(link->message, size, header) != NIPC_OK ||
                header->payload_len != size - NIPC_HEADER_LEN) {
                fail("receive: not a message");
                return FAILED;
            }
            *len = size - NIPC_HEADER_LEN;
            return MESSAGE;
        }
        if (REGION_IS_LEFT(error))
            return GONE;
        if (error != REGION_CODE(ERR_TIMEOUT)) {
            fail("receive: %s", nipc_last_error());
            return FAILED;
        }
        if (gone)
            return GONE;
    }
    fail("receive: nothing came");
    return FAILED;
}

enum received link_receive(struct link *link, nipc_header_t *header, const uint8_t **payload,
                           size_t *len)
{
    if (link->in_region) {
        *payload = link->message + NIPC_HEADER_LEN;
        return receive_shared(link, header, len);
    }
    const void *at;
    L1(error_t) error =
        L1(receive_timeout)(&link->session, NULL, 0, header, &at, len, LIMIT_MS, L1_NO_ABORT);
    if (error == L1_HUNG_UP)
        return GONE;
    if (error != L1_CODE(OK)) {
        fail("receive: %s", nipc_last_error());
        return FAILED;
    }
    *payload = at;
    return MESSAGE;
}

void link_close(struct link *link)
{
    if (link->in_region && link->shm.role == REGION_CODE(ROLE_SERVER))
        REGION(destroy)(&link->shm);
    else if (link->in_region)
        REGION(close)(&link->shm);
    L1(close_session)(&link->session);
    free(link->message);
}

