/* The floor of a hub: the least work that delivers one message to every member of a room.
 *
 * A connection asks for a path, and so is a member of the room of that path; what it sends goes to all other members.
 * Edge-triggered epoll, one registration a connection, one send() a member for all messages of one read, no write queue,
 * no pings, no limits. One thread, or several with a descriptor table each: one posts what it read to the others. It
 * trusts its clients: heads come in one piece, frames are short, final, masked and of one size class; who does not read
 * is disconnected. Faults can be planted, so that the client's checks are checked.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER (64 * 1024)
#define EVENTS 512
#define ROOMS 65536
#define THREADS 64
#define TAG_LISTENER 1
#define TAG_MAIL 2

enum { DROP = 1, DUPLICATE, REORDER, CORRUPT };

struct conn {
    int fd, room; /* room -1: before its handshake, or closed */
    uint32_t at;  /* its place among the room's members */
    uint32_t partial_len;
    char *partial; /* the beginning of a frame */
    char *held;    /* REORDER: what goes after the next */
    size_t held_len;
    struct conn *next; /* graveyard */
};

struct members {
    struct conn **list;
    uint32_t count, room;
};

struct mail {
    struct mail *next;
    int room;
    size_t len;
    char bytes[];
};

struct worker {
    pthread_t thread;
    int listener, epoll, wake;
    uint32_t turn;
    struct members rooms[ROOMS];
    struct conn *graveyard;
    pthread_mutex_t lock; /* of the mail */
    struct mail *first, **last;
    char in[2 * BUFFER], out[2 * BUFFER];
};

static struct worker *workers[THREADS];
static int count, fault;
static uint32_t every;
static pthread_mutex_t names_lock = PTHREAD_MUTEX_INITIALIZER;
static char *names[ROOMS];

/* The number of a path's room; -1: there are too many. */
static int room_of(const char *path, size_t len) {
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < len; i++) hash = (hash ^ (uint8_t)path[i]) * 16777619u;
    pthread_mutex_lock(&names_lock);
    int found = -1;
    for (uint32_t i = 0; i < ROOMS && found < 0; i++) {
        uint32_t at = (hash + i) % ROOMS;
        if (!names[at]) names[at] = strndup(path, len);
        if (names[at] && strlen(names[at]) == len && memcmp(names[at], path, len) == 0) found = (int)at;
    }
    pthread_mutex_unlock(&names_lock);
    return found;
}

static uint32_t rotate(uint32_t x, int n) { return x << n | x >> (32 - n); }

/* Sec-WebSocket-Accept of a key of 24 characters (RFC 6455 section 4.2.2): SHA-1 of 60 bytes is two blocks. */
static void accept_of(const char *key, char *out) {
    uint8_t text[128] = {0}, digest[21] = {0};
    memcpy(text, key, 24);
    memcpy(text + 24, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11", 36);
    text[60] = 0x80;
    text[126] = 480 >> 8;
    text[127] = 480 & 255;
    uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    for (int block = 0; block < 2; block++) {
        uint32_t w[80], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
        for (int i = 0; i < 16; i++) {
            const uint8_t *p = text + 64 * block + 4 * i;
            w[i] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
        }
        for (int i = 16; i < 80; i++) w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
        for (int i = 0; i < 80; i++) {
            uint32_t f = i < 20   ? ((b & c) | (~b & d)) + 0x5a827999
                         : i < 40 ? (b ^ c ^ d) + 0x6ed9eba1
                         : i < 60 ? ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc
                                  : (b ^ c ^ d) + 0xca62c1d6;
            uint32_t t = rotate(a, 5) + f + e + w[i];
            e = d, d = c, c = rotate(b, 30), b = a, a = t;
        }
        h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e;
    }
    for (int i = 0; i < 20; i++) digest[i] = (uint8_t)(h[i / 4] >> (24 - 8 * (i % 4)));
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (int i = 0; i < 7; i++) {
        uint32_t three = (uint32_t)digest[3 * i] << 16 | (uint32_t)digest[3 * i + 1] << 8 | digest[3 * i + 2];
        for (int j = 0; j < 4; j++) out[4 * i + j] = alphabet[three >> (18 - 6 * j) & 63];
    }
    out[27] = '='; /* 20 bytes: the last group has two of three */
}

static void drop(struct worker *w, struct conn *c) {
    if (c->fd < 0) return;
    if (c->room >= 0) {
        struct members *m = &w->rooms[c->room];
        m->list[c->at] = m->list[--m->count];
        m->list[c->at]->at = c->at;
    }
    close(c->fd);
    c->fd = c->room = -1;
    free(c->partial);
    free(c->held);
    c->next = w->graveyard; /* freed after the batch: a later event of it may still be on the list */
    w->graveyard = c;
}

static void join(struct worker *w, struct conn *c, int room) {
    struct members *m = &w->rooms[room];
    if (m->count == m->room) {
        m->room = m->room ? 2 * m->room : 8;
        m->list = realloc(m->list, m->room * sizeof *m->list);
        if (!m->list) abort();
    }
    c->room = room;
    c->at = m->count;
    m->list[m->count++] = c;
}

static int put(struct conn *c, const char *bytes, size_t len) {
    return send(c->fd, bytes, len, MSG_NOSIGNAL) == (ssize_t)len;
}

/* One delivery with the planted fault. */
static int put_wrong(struct conn *c, char *bytes, size_t len) {
    if (fault == DUPLICATE) return put(c, bytes, len) && put(c, bytes, len);
    if (fault == CORRUPT) {
        bytes[len - 3] ^= 1;
        int sent = put(c, bytes, len);
        bytes[len - 3] ^= 1;
        return sent;
    }
    if (fault == REORDER && !c->held) {
        c->held = malloc(len);
        if (!c->held) abort();
        memcpy(c->held, bytes, len);
        c->held_len = len;
    }
    return 1;
}

static void deliver(struct worker *w, int room, char *bytes, size_t len, struct conn *from) {
    struct members *m = &w->rooms[room];
    for (uint32_t i = m->count; i-- > 0;) {
        struct conn *c = m->list[i];
        if (c == from) continue;
        if (every && ++w->turn % every == 0) {
            if (!put_wrong(c, bytes, len)) drop(w, c);
            continue;
        }
        if (!put(c, bytes, len)) {
            drop(w, c);
        } else if (c->held) {
            int sent = put(c, c->held, c->held_len);
            free(c->held);
            c->held = NULL;
            if (!sent) drop(w, c);
        }
    }
}

static void post(struct worker *w, int room, const char *bytes, size_t len) {
    struct mail *mail = malloc(sizeof *mail + len);
    if (!mail) abort();
    mail->next = NULL;
    mail->room = room;
    mail->len = len;
    memcpy(mail->bytes, bytes, len);
    pthread_mutex_lock(&w->lock);
    *w->last = mail;
    w->last = &mail->next;
    pthread_mutex_unlock(&w->lock);
    uint64_t one = 1;
    if (write(w->wake, &one, sizeof one) < 0 && errno != EAGAIN) abort();
}

static void open_mail(struct worker *w) {
    uint64_t n;
    if (read(w->wake, &n, sizeof n) < 0 && errno != EAGAIN) abort();
    pthread_mutex_lock(&w->lock);
    struct mail *mail = w->first;
    w->first = NULL;
    w->last = &w->first;
    pthread_mutex_unlock(&w->lock);
    while (mail) {
        struct mail *next = mail->next;
        deliver(w, mail->room, mail->bytes, mail->len, NULL);
        free(mail);
        mail = next;
    }
}

static void handshake(struct worker *w, struct conn *c, char *head, size_t len) {
    char answer[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    "Sec-WebSocket-Accept: 0123456789012345678901234567\r\n\r\n";
    head[len] = 0;
    char *path = strchr(head, ' '), *end = path ? strchr(path + 1, ' ') : NULL;
    char *key = strcasestr(head, "\r\nsec-websocket-key: ");
    int room = end && key && strlen(key) > 21 + 24 ? room_of(path + 1, (size_t)(end - path - 1)) : -1;
    if (room < 0) return drop(w, c);
    accept_of(key + 21, strstr(answer, "0123"));
    if (!put(c, answer, sizeof answer - 1)) return drop(w, c);
    join(w, c, room);
}

/* Turns all frames of one read into frames of a server and delivers them together. */
static void frames(struct worker *w, struct conn *c, char *in, size_t len) {
    size_t at = 0, out = 0;
    while (len - at >= 6) {
        uint8_t *f = (uint8_t *)in + at;
        size_t size = f[1] & 127, head = 2;
        if (size == 126) size = (size_t)f[2] << 8 | f[3], head = 4;
        if (!(f[1] & 128) || size == 127) return drop(w, c);
        if (len - at < head + 4 + size) break;
        if ((f[0] & 15) == 8) return drop(w, c);
        if ((f[0] & 15) < 3) {
            memcpy(w->out + out, f, head);
            w->out[out + 1] = (char)(f[1] & 127);
            uint8_t *mask = f + head, *from = mask + 4, *to = (uint8_t *)w->out + out + head;
            for (size_t i = 0; i < size; i++) to[i] = from[i] ^ mask[i & 3];
            out += head + size;
        }
        at += head + 4 + size;
    }
    if (at < len) {
        if (len - at > BUFFER) return drop(w, c);
        char *rest = malloc(len - at);
        if (!rest) abort();
        memcpy(rest, in + at, len - at);
        c->partial = rest;
        c->partial_len = (uint32_t)(len - at);
    }
    if (!out) return;
    for (int i = 0; i < count; i++) {
        if (workers[i] != w) post(workers[i], c->room, w->out, out);
    }
    deliver(w, c->room, w->out, out, c);
}

static void pump(struct worker *w, struct conn *c, int hangup) {
    for (;;) {
        size_t before = c->partial_len;
        memcpy(w->in, c->partial ? c->partial : "", before);
        ssize_t n = recv(c->fd, w->in + before, BUFFER - 1, 0);
        if (n <= 0) {
            if (n == 0 || errno != EAGAIN) drop(w, c);
            return;
        }
        free(c->partial);
        c->partial = NULL;
        c->partial_len = 0;
        if (c->room < 0) {
            handshake(w, c, w->in, (size_t)n);
        } else {
            frames(w, c, w->in, before + (size_t)n);
        }
        if (c->fd < 0 || (n < BUFFER - 1 && !hangup)) return; /* a short read has emptied the socket */
    }
}

static void add(struct worker *w, int fd) {
    struct conn *c = calloc(1, sizeof *c);
    if (!c) abort();
    c->fd = fd;
    c->room = -1;
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = c};
    if (epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &event)) abort();
}

static void watch(struct worker *w, int fd, uint64_t tag) {
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = tag};
    if (epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &event)) abort();
}

static void *serve(void *argument) {
    struct worker *w = argument;
    struct epoll_event events[EVENTS];
    if (count > 1 && unshare(CLONE_FILES)) abort();
    w->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (w->epoll < 0) abort();
    watch(w, w->listener, TAG_LISTENER);
    watch(w, w->wake, TAG_MAIL);
    for (;;) {
        int n = epoll_wait(w->epoll, events, EVENTS, -1);
        if (n < 0 && errno != EINTR) abort();
        for (int i = 0; i < n; i++) {
            struct conn *c = events[i].data.ptr;
            if (events[i].data.u64 == TAG_LISTENER) {
                int fd;
                while ((fd = accept4(w->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) add(w, fd);
            } else if (events[i].data.u64 == TAG_MAIL) {
                open_mail(w);
            } else if (c->fd >= 0) {
                pump(w, c, (events[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0);
            }
        }
        while (w->graveyard) {
            struct conn *dead = w->graveyard;
            w->graveyard = dead->next;
            free(dead);
        }
    }
}

/* Serves `number` listeners, a thread each; one of `one_in` deliveries has the fault (0: none). */
int hub_floor_run(const int *listeners, int number, int wrong, uint32_t one_in) {
    if (number < 1 || number > THREADS) return 1;
    count = number;
    fault = wrong;
    every = one_in;
    for (int i = 0; i < count; i++) {
        struct worker *w = workers[i] = calloc(1, sizeof *w);
        if (!w) return 1;
        w->listener = listeners[i];
        w->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        pthread_mutex_init(&w->lock, NULL);
        w->last = &w->first;
        if (w->wake < 0) return 1;
    }
    for (int i = 1; i < count; i++) {
        if (pthread_create(&workers[i]->thread, NULL, serve, workers[i])) return 1;
    }
    serve(workers[0]);
    return 1;
}
