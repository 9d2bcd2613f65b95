/* Whether a call still moves. curl counts a body by its buffer of 128 KiB, which over TLS it hands
 * over in one go, and what it has counted may lie with the kernel for long: on a slow line its
 * counters stand for minutes while bytes flow. So where they stand the kernel is asked what the
 * other side has acknowledged: tcp(7), RFC 4898 (tcpEStatsAppHCThruOctetsAcked).
 */
#include "uploader/http_int.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

/* What the kernel knows of a connection; all zero where it is none of TCP's. */
struct wire {
    uint64_t acked; /* bytes of ours, and 1 more */
    bool owing;     /* of what it took from us something has not arrived yet */
};

static struct wire look_at(int fd)
{
    struct tcp_info info = {0}; /* an older kernel fills in less of it */
    socklen_t n = sizeof info;

    if (fd < 0 || getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n) != 0)
        return (struct wire){0};
    return (struct wire){.acked = info.tcpi_bytes_acked + 1,
                         .owing = info.tcpi_unacked > 0 || info.tcpi_notsent_bytes > 0};
}

void http_progress_begin(struct http_progress *p, uint64_t now_ms)
{
    *p = (struct http_progress){.moved_ms = now_ms};
}

enum http_failure http_progress_look(struct http_progress *p, const struct http_counters *n,
                                     const struct http_cfg *cfg, uint64_t now_ms)
{
    uint64_t bytes = n->up + n->down + 1;
    struct wire wire;
    bool waits;

    if (!n->connected || bytes != p->bytes) {
        *p = (struct http_progress){.bytes = bytes, .moved_ms = now_ms};
        return HTTP_NO_FAILURE;
    }
    wire = look_at(n->fd);
    if (wire.acked != p->acked) {
        /* The first look only tells where it stands. */
        p->moved_ms = p->acked != 0 ? now_ms : p->moved_ms;
        p->acked = wire.acked;
    }
    waits = n->up >= n->body_size && n->down == 0 && !wire.owing; /* for the answer */
    if (now_ms - p->moved_ms < (waits ? cfg->first_byte_ms : cfg->stall_ms))
        return HTTP_NO_FAILURE;
    return waits ? HTTP_NO_ANSWER : HTTP_STALLED;
}
