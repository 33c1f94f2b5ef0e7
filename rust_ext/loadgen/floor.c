/* The floor: the least work a proxy of HTTP/1.1 can do. Every gateway is measured as a multiple of it.
 *
 * One thread, edge-triggered epoll with one registration a connection, one 128 KiB buffer, a LIFO pool of upstream
 * connections, one added header, and four data calls a request: recv, send, recv, send. It does not parse: of a
 * request it looks for the end of its first line (the header is added there), of an answer for the end of its head
 * and for Content-Length on the way. It trusts both sides, so it is no gateway. What it relies on:
 *  - the first line of a request comes in one piece, and a client waits for an answer before it asks again;
 *  - the head of an answer comes in one piece; HEAD, 204 and 304 do not occur;
 *  - the last piece of a chunked answer ends with "0\r\n\r\n" and no earlier piece does; there are no trailers.
 * Whoever breaks these gets a closed connection or a wrong answer, never a write outside the buffer.
 */
#define _GNU_SOURCE /* accept4 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define ADDED "X-Forwarded-For: 127.0.0.1\r\n"
#define ADDED_LEN (sizeof(ADDED) - 1)
#define BUFFER (128 * 1024)
#define EVENTS 512

enum { LENGTH, CHUNKED, UNTIL_CLOSE };

struct conn {
    struct conn *peer; /* the other side while an exchange or tunnel runs */
    int fd;
    uint8_t upstream;
    uint8_t tunnel;
    uint8_t framing;  /* upstream: of the answer under way */
    uint8_t in_head;  /* upstream: no byte of the answer seen yet */
    uint8_t readable; /* an edge came while the peer was still behind */
    uint8_t closed;   /* freed after the batch: a later event of it may still be on the list */
    uint64_t left;    /* upstream: bytes of the answer still to come */
    char *tail;       /* what a short write left over */
    size_t tail_at, tail_len;
    struct conn *next; /* pool or graveyard */
};

static int epoll_fd;
static struct sockaddr_in origin;
static struct conn *pool;
static struct conn *graveyard;
static char room[ADDED_LEN + BUFFER]; /* the front is for the request line, moved when the header is put behind it */
static char *const buffer = room + ADDED_LEN;

static void drop(struct conn *c) {
    if (c->closed) return;
    c->closed = 1;
    if (c->upstream && !c->peer) {
        for (struct conn **p = &pool; *p; p = &(*p)->next) {
            if (*p == c) {
                *p = c->next;
                break;
            }
        }
    }
    struct conn *peer = c->peer;
    c->peer = NULL;
    close(c->fd);
    free(c->tail);
    c->next = graveyard;
    graveyard = c;
    if (peer) {
        peer->peer = NULL;
        if (peer->upstream || !peer->tail) {
            drop(peer);
        } else {
            peer->tunnel = 1; /* a client that has yet to take the end of an answer that ends with the connection */
        }
    }
}

static struct conn *add(int fd, int upstream) {
    struct conn *c = calloc(1, sizeof *c);
    if (!c) abort();
    c->fd = fd;
    c->upstream = (uint8_t)upstream;
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event)) abort();
    return c;
}

static struct conn *connect_upstream(void) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return NULL;
    if (connect(fd, (struct sockaddr *)&origin, sizeof origin) || fcntl(fd, F_SETFL, O_NONBLOCK)) {
        close(fd);
        return NULL;
    }
    return add(fd, 1);
}

/* Sends to `to`; what does not fit is kept until it is writable. False: `to` is gone. */
static int put(struct conn *to, const char *bytes, size_t len) {
    ssize_t n = send(to->fd, bytes, len, MSG_NOSIGNAL);
    if (n == (ssize_t)len) return 1;
    if (n < 0) {
        if (errno != EAGAIN) return 0;
        n = 0;
    }
    to->tail = malloc(len - (size_t)n);
    if (!to->tail) abort();
    memcpy(to->tail, bytes + n, len - (size_t)n);
    to->tail_at = 0;
    to->tail_len = len - (size_t)n;
    return 1;
}

/* Reads the head of an answer as far as it must: where it ends and how long the body is. False: not understood. */
static int open_answer(struct conn *up, const char *bytes, size_t len) {
    const char *end = bytes + len, *line = bytes;
    up->in_head = 0;
    up->framing = UNTIL_CLOSE;
    if (len < 12) return 0;
    if (memcmp(bytes + 9, "101", 3) == 0) {
        up->tunnel = up->peer->tunnel = 1;
        return 1;
    }
    while ((line = memchr(line, '\n', (size_t)(end - line)))) {
        line++;
        if (end - line < 2) return 0;
        if (*line == '\r') {
            up->left += (uint64_t)(line + 2 - bytes);
            return 1;
        }
        if ((*line | 32) == 'c' && end - line > 16 && (line[8] | 32) == 'l' && line[14] == ':') {
            const char *digit = line + 15 + (line[15] == ' ');
            up->framing = LENGTH;
            up->left = 0;
            while (digit < end && *digit >= '0' && *digit <= '9') up->left = up->left * 10 + (uint64_t)(*digit++ - '0');
        } else if ((*line | 32) == 't' && end - line > 19 && (line[9] | 32) == 'e' && line[17] == ':') {
            up->framing = CHUNKED;
        }
    }
    return 0;
}

static void from_client(struct conn *c, char *bytes, size_t len) {
    struct conn *up = c->peer;
    if (!up) {
        if (c->tunnel) return; /* its upstream is gone, only its tail is still to be written */
        char *line_end = memchr(bytes, '\n', len);
        if (!line_end) return drop(c);
        if (pool) {
            up = pool;
            pool = up->next;
        } else if (!(up = connect_upstream())) {
            return drop(c);
        }
        c->peer = up;
        up->peer = c;
        up->in_head = 1;
        up->left = 0;
        size_t line = (size_t)(line_end + 1 - bytes);
        memmove(bytes - ADDED_LEN, bytes, line);
        memcpy(line_end + 1 - ADDED_LEN, ADDED, ADDED_LEN);
        bytes -= ADDED_LEN;
        len += ADDED_LEN;
    }
    if (!put(up, bytes, len)) drop(c);
}

static void from_upstream(struct conn *up, const char *bytes, size_t len) {
    struct conn *c = up->peer;
    if (!c) return drop(up);
    if (up->in_head && !open_answer(up, bytes, len)) return drop(up);
    if (!put(c, bytes, len)) return drop(c);
    if (up->tunnel) return;
    if (up->framing == LENGTH) {
        if (len < up->left) {
            up->left -= len;
            return;
        }
        if (len > up->left) return drop(up);
    } else if (up->framing == UNTIL_CLOSE || len < 5 || memcmp(bytes + len - 5, "0\r\n\r\n", 5) != 0) {
        return;
    }
    up->peer = c->peer = NULL;
    up->next = pool;
    pool = up;
}

static void pump(struct conn *c, int hangup) {
    for (;;) {
        if (c->peer && c->peer->tail) {
            c->readable = 1;
            return;
        }
        ssize_t n = recv(c->fd, buffer, BUFFER, 0);
        if (n <= 0) {
            if (n < 0 && errno == EAGAIN) return;
            return drop(c);
        }
        if (c->upstream) {
            from_upstream(c, buffer, (size_t)n);
        } else {
            from_client(c, buffer, (size_t)n);
        }
        if (c->closed || (n < BUFFER && !hangup)) return; /* a short read has emptied the socket: do not ask again */
    }
}

static void flush(struct conn *c) {
    ssize_t n = send(c->fd, c->tail + c->tail_at, c->tail_len, MSG_NOSIGNAL);
    if (n < 0) {
        if (errno != EAGAIN) drop(c);
        return;
    }
    c->tail_at += (size_t)n;
    c->tail_len -= (size_t)n;
    if (c->tail_len) return;
    free(c->tail);
    c->tail = NULL;
    struct conn *peer = c->peer;
    if (!peer) {
        if (c->tunnel) drop(c);
    } else if (peer->readable) {
        peer->readable = 0;
        pump(peer, 1);
    }
}

static void accept_all(int listener) {
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) add(fd, 0);
}

/* Relays between `listener` and the origin at `ip`:`port` (host byte order) until the process is ended. */
int floor_run(int listener, uint32_t ip, uint16_t port) {
    static struct epoll_event events[EVENTS];
    origin.sin_family = AF_INET;
    origin.sin_addr.s_addr = htonl(ip);
    origin.sin_port = htons(port);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0) return 1;
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = NULL};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event)) return 1;
    for (;;) {
        int n = epoll_wait(epoll_fd, events, EVENTS, -1);
        if (n < 0 && errno != EINTR) return 1;
        for (int i = 0; i < n; i++) {
            struct conn *c = events[i].data.ptr;
            uint32_t flags = events[i].events;
            if (!c) {
                accept_all(listener);
                continue;
            }
            if (c->closed) continue;
            if (c->tail && (flags & EPOLLOUT)) flush(c);
            if (!c->closed && (flags & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)))
                pump(c, (flags & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0);
        }
        while (graveyard) {
            struct conn *dead = graveyard;
            graveyard = dead->next;
            free(dead);
        }
    }
}
