/* The load of `srt bench`, made with libsrt's public API: sender and receiver in one process over loopback.
 *
 * load CONNECTIONS RATE_BPS(0: as fast as it goes) MILLISECONDS MESSAGE_BYTES [option=value ...]
 *
 * One thread sends, in ticks of a millisecond where there is a rate; one receives, with one epoll for all sockets; as in
 * `srt bench`. Writes one line of JSON with the same names. */
#include <srt/srt.h>

#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { STAMP = 16, READY = 1024, LATENCIES = 2000000 };

struct usage { double cpu; long rss, threads; };

static int connections, size;
static int64_t rate, span_ms;
static SRTSOCKET *callers, *accepted;
static SRTSOCKET listener;
static uint64_t *next_sent;
static uint64_t sent, skipped;
static atomic_ullong received;
static uint64_t bytes;
static uint32_t *latencies; /* by microseconds */
static atomic_int all_accepted, all_sent, receiving;
static double first_at, last_at;
static struct usage begin, end;

static void fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, srt_getlasterror_str());
    fflush(stderr);
    _exit(1); /* libsrt's own end may take for ever */
}

static double seconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static uint64_t micros_since_1970(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static struct usage usage_now(void)
{
    struct usage now = { seconds(CLOCK_PROCESS_CPUTIME_ID), 0, 0 };
    char line[256];
    FILE *status = fopen("/proc/self/status", "r");
    while (status && fgets(line, sizeof line, status)) {
        sscanf(line, "VmRSS: %ld", &now.rss);
        sscanf(line, "Threads: %ld", &now.threads);
    }
    if (status)
        fclose(status);
    return now;
}

static const struct { const char *name; SRT_SOCKOPT option; int wide; } OPTIONS[] = {
    { "latency", SRTO_LATENCY, 0 },       { "fc", SRTO_FC, 0 },
    { "sndbuf", SRTO_SNDBUF, 0 },         { "rcvbuf", SRTO_RCVBUF, 0 },
    { "udp_sndbuf", SRTO_UDP_SNDBUF, 0 }, { "udp_rcvbuf", SRTO_UDP_RCVBUF, 0 },
    { "maxbw", SRTO_MAXBW, 1 },           { "payloadsize", SRTO_PAYLOADSIZE, 0 },
    { "tlpktdrop", SRTO_TLPKTDROP, 0 },   { "oheadbw", SRTO_OHEADBW, 0 },
    { "conntimeo", SRTO_CONNTIMEO, 0 },   { "pbkeylen", SRTO_PBKEYLEN, 0 },
    /* By its number: the header has it only where libsrt was built with AES-GCM. */
    { "cryptomode", (SRT_SOCKOPT)62, 0 },  { "kmrefreshrate", SRTO_KMREFRESHRATE, 0 },
    { "passphrase", SRTO_PASSPHRASE, -1 },
};

static void set_options(SRTSOCKET socket, char **options, int count)
{
    int payload = size;
    if (srt_setsockflag(socket, SRTO_PAYLOADSIZE, &payload, sizeof payload) < 0)
        fail("payloadsize");
    for (int i = 0; i < count; i++) {
        char *equals = strchr(options[i], '=');
        size_t k = 0, all = sizeof OPTIONS / sizeof *OPTIONS;
        while (equals && k < all
               && (strlen(OPTIONS[k].name) != (size_t)(equals - options[i])
                   || strncmp(options[i], OPTIONS[k].name, (size_t)(equals - options[i]))))
            k++;
        if (!equals || k == all) {
            fprintf(stderr, "%s: not an option of this program\n", options[i]);
            exit(2);
        }
        int64_t wide = atoll(equals + 1);
        int narrow = (int)wide;
        const void *value = &narrow;
        size_t length = sizeof narrow;
        if (OPTIONS[k].wide > 0) {
            value = &wide;
            length = sizeof wide;
        } else if (OPTIONS[k].wide < 0) { /* text */
            value = equals + 1;
            length = strlen(equals + 1);
        }
        if (srt_setsockflag(socket, OPTIONS[k].option, value, (int)length) < 0)
            fail(options[i]);
    }
}

static void be64(unsigned char *to, uint64_t value)
{
    for (int i = 7; i >= 0; i--, value >>= 8)
        to[i] = (unsigned char)value;
}

static uint64_t from_be64(const unsigned char *from)
{
    uint64_t value = 0;
    for (int i = 0; i < 8; i++)
        value = value << 8 | from[i];
    return value;
}

static void *receive(void *unused)
{
    (void)unused;
    int epoll = srt_epoll_create(), no = 0;
    for (int i = 0; i < connections; i++) {
        accepted[i] = srt_accept(listener, NULL, NULL);
        if (accepted[i] == SRT_INVALID_SOCK)
            fail("accept");
        srt_setsockflag(accepted[i], SRTO_RCVSYN, &no, sizeof no);
        int events = SRT_EPOLL_IN | SRT_EPOLL_ERR;
        if (srt_epoll_add_usock(epoll, accepted[i], &events) < 0)
            fail("epoll");
    }
    atomic_store(&all_accepted, 1);
    SRT_EPOLL_EVENT *ready = calloc(READY, sizeof *ready);
    unsigned char message[2048];
    double quiet = seconds(CLOCK_MONOTONIC);
    while (!atomic_load(&all_sent) || (atomic_load(&received) < sent && seconds(CLOCK_MONOTONIC) - quiet < 2)) {
        int count = srt_epoll_uwait(epoll, ready, READY, 200);
        for (int i = 0; i < count && i < READY; i++) {
            int length, got = 0;
            while ((length = srt_recvmsg(ready[i].fd, (char *)message, sizeof message)) > 0) {
                uint64_t late = micros_since_1970() - from_be64(message);
                latencies[late < LATENCIES ? late : LATENCIES - 1]++;
                bytes += (uint64_t)length;
                atomic_fetch_add(&received, 1);
                got = 1;
            }
            if (got) {
                quiet = seconds(CLOCK_MONOTONIC);
                last_at = quiet;
                if (first_at == 0) {
                    first_at = quiet;
                }
            }
        }
    }
    end = usage_now();
    atomic_store(&receiving, 0);
    return NULL;
}

/* 1: taken, 0: no room. */
static int send_one(int index, unsigned char *message)
{
    be64(message, micros_since_1970());
    be64(message + 8, next_sent[index]);
    if (srt_sendmsg(callers[index], (char *)message, size, -1, 1) == SRT_ERROR) {
        if (srt_getlasterror(NULL) == SRT_EASYNCSND)
            return 0;
        fail("send");
    }
    next_sent[index]++;
    sent++;
    return 1;
}

static void send_paced(void)
{
    unsigned char message[2048];
    memset(message, 0x47, sizeof message);
    double began = seconds(CLOCK_MONOTONIC), elapsed;
    double interval = (double)size * 8 / (double)rate;
    uint64_t done = 0;
    while ((elapsed = seconds(CLOCK_MONOTONIC) - began) * 1000 < (double)span_ms) {
        uint64_t due = (uint64_t)(elapsed * connections / interval);
        for (; done < due; done++)
            if (!send_one((int)(done % (uint64_t)connections), message))
                skipped++;
        usleep(1000);
    }
}

static void send_fast(void)
{
    unsigned char message[2048];
    memset(message, 0x47, sizeof message);
    int epoll = srt_epoll_create();
    for (int i = 0; i < connections; i++) {
        int events = SRT_EPOLL_OUT | SRT_EPOLL_ERR;
        srt_epoll_add_usock(epoll, callers[i], &events);
    }
    SRT_EPOLL_EVENT *ready = calloc(READY, sizeof *ready);
    double began = seconds(CLOCK_MONOTONIC);
    while ((seconds(CLOCK_MONOTONIC) - began) * 1000 < (double)span_ms) {
        if (connections == 1) {
            for (int k = 0; k < 128; k++)
                send_one(0, message); /* waits for room */
            continue;
        }
        int count = srt_epoll_uwait(epoll, ready, READY, 100);
        for (int i = 0; i < count && i < READY; i++)
            for (int k = 0, index = 0; k < 128; k++) {
                while (callers[index] != ready[i].fd)
                    index++;
                if (!send_one(index, message))
                    break;
            }
    }
}

static uint64_t quantile(double part)
{
    uint64_t all = atomic_load(&received), seen = 0;
    for (uint64_t late = 0; late < LATENCIES; late++)
        if ((seen += latencies[late]) >= (uint64_t)(part * (double)all) && seen > 0)
            return late;
    return LATENCIES;
}

int main(int argc, char **argv)
{
    if (argc < 5) {
        fprintf(stderr, "usage: %s CONNECTIONS RATE_BPS MILLISECONDS MESSAGE_BYTES [option=value ...]\n", argv[0]);
        return 2;
    }
    connections = atoi(argv[1]), rate = atoll(argv[2]), span_ms = atoll(argv[3]), size = atoi(argv[4]);
    if (connections < 1 || size < STAMP || size > 1456) {
        fprintf(stderr, "at least one connection, and messages of 16 to 1456 bytes\n");
        return 2;
    }
    callers = calloc((size_t)connections, sizeof *callers), accepted = calloc((size_t)connections, sizeof *accepted);
    next_sent = calloc((size_t)connections, sizeof *next_sent), latencies = calloc(LATENCIES, sizeof *latencies);
    alarm((unsigned)(span_ms / 1000) + 60); /* whatever happens, it ends */
    srt_startup();
    srt_setloglevel(LOG_CRIT);
    struct usage before = usage_now();
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int length = sizeof address, no = 0;
    listener = srt_create_socket();
    set_options(listener, argv + 5, argc - 5);
    if (srt_bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || srt_listen(listener, connections + 16) < 0)
        fail("listen");
    srt_getsockname(listener, (struct sockaddr *)&address, &length);
    pthread_t receiver;
    atomic_store(&receiving, 1);
    pthread_create(&receiver, NULL, receive, NULL);
    double connecting = seconds(CLOCK_MONOTONIC);
    for (int i = 0; i < connections; i++) {
        callers[i] = srt_create_socket();
        set_options(callers[i], argv + 5, argc - 5);
        srt_setsockflag(callers[i], SRTO_RCVSYN, &no, sizeof no);
        if (rate > 0 || connections > 1)
            srt_setsockflag(callers[i], SRTO_SNDSYN, &no, sizeof no);
        if (srt_connect(callers[i], (struct sockaddr *)&address, sizeof address) < 0)
            fail("connect");
    }
    for (int i = 0; i < connections; i++)
        while (srt_getsockstate(callers[i]) != SRTS_CONNECTED) {
            if (srt_getsockstate(callers[i]) > SRTS_CONNECTED)
                fail("not connected");
            usleep(200);
        }
    connecting = seconds(CLOCK_MONOTONIC) - connecting;
    while (!atomic_load(&all_accepted))
        usleep(200);
    begin = usage_now();
    if (rate > 0)
        send_paced();
    else
        send_fast();
    struct usage busy = usage_now();
    atomic_store(&all_sent, 1);
    pthread_join(receiver, NULL);
    uint64_t got = atomic_load(&received), lost = 0, again = 0, given_up = 0, dropped = 0;
    for (int i = 0; i < connections; i++) {
        SRT_TRACEBSTATS stats;
        if (srt_bstats(callers[i], &stats, 0) == 0)
            again += (uint64_t)stats.pktRetransTotal, given_up += (uint64_t)stats.pktSndDropTotal;
        if (srt_bstats(accepted[i], &stats, 0) == 0)
            lost += (uint64_t)stats.pktRcvLossTotal, dropped += (uint64_t)stats.pktRcvDropTotal;
    }
    double took = last_at - first_at, bits = (double)bytes * 8;
    printf("{\"connections\":%d,\"message_bytes\":%d,\"messages_sent\":%llu,\"messages_skipped\":%llu,"
           "\"messages_received\":%llu,\"messages_missing\":%llu,\"packets_lost\":%llu,\"packets_resent\":%llu,"
           "\"packets_dropped_by_sender\":%llu,\"packets_dropped_by_receiver\":%llu,\"seconds\":%f,"
           "\"throughput_bps\":%f,\"cpu_seconds\":%f,\"cpu_seconds_per_gigabit\":%f,"
           "\"memory_bytes_per_connection\":%ld,\"threads\":%ld,\"connect_seconds\":%f,"
           "\"latency_us\":{\"p50\":%llu,\"p95\":%llu,\"p99\":%llu,\"max\":%llu}}\n",
           connections, size, (unsigned long long)sent, (unsigned long long)skipped, (unsigned long long)got,
           (unsigned long long)(sent - got), (unsigned long long)lost, (unsigned long long)again,
           (unsigned long long)given_up, (unsigned long long)dropped, took, took > 0 ? bits / took : 0,
           end.cpu - begin.cpu, bits > 0 ? (end.cpu - begin.cpu) / (bits / 1e9) : 0,
           (busy.rss - before.rss) * 1024 / connections, busy.threads, connecting,
           (unsigned long long)quantile(0.5), (unsigned long long)quantile(0.95), (unsigned long long)quantile(0.99),
           (unsigned long long)quantile(1));
    fflush(stdout);
    _exit(0); /* closing so many takes long, and is not what is measured */
}
