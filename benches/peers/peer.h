/* What the programs beside this file have in common: the arguments, the timing rule and the JSON
 * lines of `fmi bench`, so that figures differ only by what is measured. For C and C++.
 *
 *     PROGRAM --op OP,OP --bytes B,B --time S [--least N]
 *
 * measures every OP with every B (a barrier, which has none, once) for about S seconds each, and at
 * least N times (10).
 *
 * The rule is that of the Intel MPI Benchmarks: a barrier comes before each iteration, a sample is
 * the largest of the ranks' own durations, the median of the samples counts. A seventh of S warms up
 * and says how long an iteration takes; see fmi-cli/src/bench/timing.rs, which this mirrors.
 */

#ifndef PEER_H
#define PEER_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* How many blocks of so many bytes a rank gets for what it receives. */
enum blocks { ONE, AT_ROOT, EVERYWHERE };

struct operation {
  const char *name;
  enum blocks blocks;
  /* What a sample is divided by: a ping-pong is half a round trip. */
  double divisor;
  /* 0 where ranks are in step by themselves, and a barrier would leave them apart. */
  int barrier;
  /* Once before and after all iterations; NULL if there is nothing to do. */
  void (*begin)(void);
  void (*run)(void);
  void (*end)(void);
};

/* A library, or the bare machine. */
struct peer {
  const char *program, *over;
  const struct operation *operations;
  size_t count;
  void (*barrier)(void);
  /* Gives all ranks the number of rank 0. */
  int (*agree)(int number);
  /* Makes each sample the largest of the ranks', on rank 0. */
  void (*largest)(double *samples, int count);
};

static int rank, ranks;
/* The case that is measured: bytes as in `fmi bench`, and two buffers that hold zeros. */
static int bytes;
static char *out, *in;

static const int MOST = 100000;

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void fail(const char *why) {
  if (rank == 0) fprintf(stderr, "%s\n", why);
  exit(2);
}

static void *zeros(size_t size) {
  /* Pages are there before the clock starts, which calloc would not see to. */
  void *memory = aligned_alloc(4096, (size / 4096 + 1) * 4096);
  if (!memory) fail("out of memory");
  return memset(memory, 0, (size / 4096 + 1) * 4096);
}

/* Seconds of each of so many iterations on this rank. */
static void batch(const struct peer *peer, const struct operation *it, double *samples, int count) {
  for (int i = 0; i < count; i++) {
    if (it->barrier) peer->barrier();
    double start = seconds();
    it->run();
    samples[i] = seconds() - start;
  }
}

static int within(double value, int low, int high) {
  return value < low ? low : value > high ? high : (int)value;
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void measure(const struct peer *peer, const struct operation *it, double aim, int least) {
  size_t many = it->blocks == EVERYWHERE || (it->blocks == AT_ROOT && rank == 0) ? ranks : 1;
  out = (char *)zeros((size_t)bytes);
  in = (char *)zeros((size_t)bytes * many);
  double *samples = (double *)zeros((size_t)MOST * sizeof *samples);
  if (it->begin) it->begin();

  int count = least;
  double spent;
  for (;;) {
    double start = seconds();
    batch(peer, it, samples, count);
    spent = seconds() - start;
    int warm = spent >= aim / 7 || count >= MOST / 4;
    double factor = aim / 7 * 1.2 / (spent > 1e-6 ? spent : 1e-6);
    double next = count * (factor < 2 ? 2 : factor > 8 ? 8 : factor);
    int again = peer->agree(warm ? 0 : within(next, least, MOST));
    if (!again) break;
    count = again;
  }
  int iters = peer->agree(within(aim / (spent / count), least, MOST));
  batch(peer, it, samples, iters);
  peer->largest(samples, iters);
  if (it->end) it->end();

  if (rank == 0) {
    qsort(samples, (size_t)iters, sizeof *samples, ascending);
    double unit = 1e6 / it->divisor;
    double median = unit / 2 * (samples[(iters - 1) / 2] + samples[iters / 2]);
    double p99 = unit * samples[((long)iters * 99 + 99) / 100 - 1];
    printf("{\"program\":\"%s\",\"over\":\"%s\",\"op\":\"%s\",\"ranks\":%d,\"bytes\":%d,"
           "\"iters\":%d,\"median_us\":%.3f,\"p99_us\":%.3f}\n",
           peer->program, peer->over, it->name, ranks, bytes, iters, median, p99);
    fflush(stdout);
  }
  free(out);
  free(in);
  free(samples);
}

/* What follows NAME on the command line. */
static const char *option(int argc, char **argv, const char *name, const char *otherwise) {
  for (int i = 1; i + 1 < argc; i++)
    if (!strcmp(argv[i], name)) return argv[i + 1];
  if (!otherwise) fail("usage: PROGRAM --op OP,OP --bytes B,B --time S [--least N]");
  return otherwise;
}

/* The part of a list that ends at a comma, and where the rest begins; NULL after the last. */
static char *part(char **rest) {
  char *word = *rest;
  if (word) {
    char *comma = strchr(word, ',');
    *rest = comma ? comma + 1 : NULL;
    if (comma) *comma = 0;
  }
  return word;
}

static void measure_all(int argc, char **argv, const struct peer *peer) {
  double aim = atof(option(argc, argv, "--time", NULL));
  int least = within(atof(option(argc, argv, "--least", "10")), 1, MOST);
  char *ops = strdup(option(argc, argv, "--op", NULL));
  for (char *name; (name = part(&ops));) {
    size_t at = 0;
    while (at < peer->count && strcmp(peer->operations[at].name, name)) at++;
    if (at == peer->count) fail("an operation is unknown");
    char *lengths = strdup(option(argc, argv, "--bytes", NULL));
    int bare = !strcmp(name, "barrier");
    for (char *length; (length = part(&lengths));) {
      bytes = bare ? 0 : atoi(length);
      measure(peer, &peer->operations[at], aim, least);
      if (bare) break;
    }
  }
}

#endif
