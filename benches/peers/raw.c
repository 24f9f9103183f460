/* What the machine itself takes, with nothing of a library: the limits beside the figures. peer.h has
 * the arguments and the rule.
 *
 *     cc -O2 -o raw raw.c -lpthread
 *     ./raw --op tcp,copy,copies --bytes 1,64000 --time S
 *
 * tcp       so many bytes to another process over loopback, one way; both sides spin on sockets that
 *           do not block, so that nobody sleeps
 * line      a cache line to a thread on another core, one way
 * copy      memcpy of so many bytes
 * copies    the same, half each on two threads
 *
 * Each side has a core of its own.
 */

#define _GNU_SOURCE
#include "peer.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

/* Handovers there and back for each look at the clock, which takes longer than one. */
#define HANDOVERS 100

static void on_core(int core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(core, &set);
  /* Where this is not allowed the scheduler decides. */
  sched_setaffinity(0, sizeof set, &set);
}

/* --- tcp --- */

static int wire;
static pid_t other;

static void must(int fine, const char *what) {
  if (!fine) {
    perror(what);
    exit(1);
  }
}

/* Moves all bytes, or says that the other side has closed. */
static int all(char *data, int sends) {
  for (int done = 0; done < bytes;) {
    size_t rest = (size_t)(bytes - done);
    ssize_t some = sends ? write(wire, data + done, rest) : read(wire, data + done, rest);
    if (some == 0) return 0;
    if (some < 0 && errno != EAGAIN) return 0;
    if (some > 0) done += (int)some;
  }
  return 1;
}

static void ready(void) {
  int on = 1;
  setsockopt(wire, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  /* BBR, where that is the system's choice, paces what it sends. */
  setsockopt(wire, IPPROTO_TCP, TCP_CONGESTION, "reno", 4);
  must(fcntl(wire, F_SETFL, O_NONBLOCK) == 0, "fcntl");
}

static void connect_both(void) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof at;
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  must(bind(listener, (struct sockaddr *)&at, length) == 0 && listen(listener, 1) == 0, "listen");
  getsockname(listener, (struct sockaddr *)&at, &length);
  other = fork();
  if (other == 0) {
    on_core(1);
    wire = accept(listener, NULL, NULL);
    must(wire >= 0, "accept");
    ready();
    while (all(in, 0) && all(out, 1)) {}
    _exit(0);
  }
  wire = socket(AF_INET, SOCK_STREAM, 0);
  must(connect(wire, (struct sockaddr *)&at, length) == 0, "connect");
  close(listener);
  ready();
}

static void tcp(void) { must(all(out, 1) && all(in, 0), "the other process"); }

static void disconnect(void) {
  close(wire);
  waitpid(other, NULL, 0);
}

/* --- two threads --- */

static pthread_t helper;
/* Whose turn it is; negative at the end. One cache line. */
static _Alignas(64) atomic_int turn;

static void copy_of(char *to, const char *from, size_t size) {
  memcpy(to, from, size);
  /* Else the compiler may leave out what nobody reads. */
  __asm__ volatile("" : : "r"(to) : "memory");
}

static void *help(void *copies) {
  on_core(1);
  size_t half = (size_t)bytes / 2;
  for (int now; (now = atomic_load_explicit(&turn, memory_order_acquire)) >= 0;) {
    if (now == 0) continue;
    if (copies) copy_of(in + half, out + half, (size_t)bytes - half);
    atomic_store_explicit(&turn, 0, memory_order_release);
  }
  return NULL;
}

static void hand_over(void) { atomic_store_explicit(&turn, 1, memory_order_release); }
static void take_back(void) {
  while (atomic_load_explicit(&turn, memory_order_acquire)) {}
}

static void start_line(void) { must(!pthread_create(&helper, NULL, help, NULL), "a thread"); }
static void start_copies(void) { must(!pthread_create(&helper, NULL, help, &turn), "a thread"); }

static void line(void) {
  for (int i = 0; i < HANDOVERS; i++) {
    hand_over();
    take_back();
  }
}

static void copies(void) {
  hand_over();
  copy_of(in, out, (size_t)bytes / 2);
  take_back();
}

static void stop(void) {
  atomic_store(&turn, -1);
  pthread_join(helper, NULL);
  atomic_store(&turn, 0);
}

static void copy(void) { copy_of(in, out, (size_t)bytes); }

static const struct operation OPERATIONS[] = {
    {"tcp", ONE, 2, 0, connect_both, tcp, disconnect},
    {"line", ONE, 2 * HANDOVERS, 0, start_line, line, stop},
    {"copy", ONE, 1, 0, NULL, copy, NULL},
    {"copies", ONE, 1, 0, start_copies, copies, stop},
};

static void barrier(void) {}
static int agree(int number) { return number; }
static void largest(double *samples, int count) { (void)samples, (void)count; }

int main(int argc, char **argv) {
  const struct peer peer = {"raw",   "machine", OPERATIONS, sizeof OPERATIONS / sizeof *OPERATIONS,
                            barrier, agree,     largest};
  ranks = 1;
  on_core(0);
  measure_all(argc, argv, &peer);
  return 0;
}
