/* The operations of `fmi bench` on MPI (Open MPI or MPICH), with the same timing rule.
 *
 *     mpicc -O2 -o openmpi openmpi.c
 *     mpirun -n RANKS openmpi OP BYTES ITERS
 *
 * OP: pingpong barrier bcast gather scatter reduce allreduce scan.
 * BYTES a rank: sent (pingpong, bcast), contributed (gather and the reductions), received
 * (scatter). Reductions add up floats, so there BYTES is a multiple of 4.
 *
 * Timing rule (Intel MPI Benchmarks): a barrier comes before each iteration, a sample is the
 * largest of the ranks' own durations, the median of the samples counts. Of a ping-pong a sample
 * is half a round trip as rank 0 measures it. A fifth of the iterations, ten at least, warm up
 * and are not counted. Prints one JSON line on rank 0.
 */

#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int rank, ranks, bytes;
static char *out, *in;

static void ping(void) {
  if (rank == 0) {
    MPI_Send(out, bytes, MPI_BYTE, 1, 0, MPI_COMM_WORLD);
    MPI_Recv(in, bytes, MPI_BYTE, 1, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  } else if (rank == 1) {
    MPI_Recv(in, bytes, MPI_BYTE, 0, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    MPI_Send(out, bytes, MPI_BYTE, 0, 0, MPI_COMM_WORLD);
  }
}
static void barrier(void) { MPI_Barrier(MPI_COMM_WORLD); }
static void bcast(void) { MPI_Bcast(out, bytes, MPI_BYTE, 0, MPI_COMM_WORLD); }
static void gather(void) {
  MPI_Gather(out, bytes, MPI_BYTE, in, bytes, MPI_BYTE, 0, MPI_COMM_WORLD);
}
static void scatter(void) {
  MPI_Scatter(in, bytes, MPI_BYTE, out, bytes, MPI_BYTE, 0, MPI_COMM_WORLD);
}
static void reduce(void) {
  MPI_Reduce(out, in, bytes / 4, MPI_FLOAT, MPI_SUM, 0, MPI_COMM_WORLD);
}
static void allreduce(void) {
  MPI_Allreduce(out, in, bytes / 4, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
}
static void scan(void) { MPI_Scan(out, in, bytes / 4, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD); }

static const struct {
  const char *name;
  void (*run)(void);
  int adds;
} OPS[] = {
    {"pingpong", ping, 0}, {"barrier", barrier, 0}, {"bcast", bcast, 0},
    {"gather", gather, 0}, {"scatter", scatter, 0}, {"reduce", reduce, 1},
    {"allreduce", allreduce, 1}, {"scan", scan, 1},
};

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* All ranks see the same mistake: rank 0 says it. */
static void usage(const char *why) {
  if (rank == 0) {
    fprintf(stderr, "%s\nusage: openmpi OP BYTES ITERS, OP one of", why);
    for (size_t i = 0; i < sizeof OPS / sizeof *OPS; i++) fprintf(stderr, " %s", OPS[i].name);
    fprintf(stderr, "\n");
  }
  MPI_Finalize();
  exit(2);
}

/* A whole number in [least, most], or -1. */
static long number(const char *text, long least, long most) {
  char *end;
  long value = strtol(text, &end, 10);
  return *text && !*end && least <= value && value <= most ? value : -1;
}

int main(int argc, char **argv) {
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);

  if (argc != 4) usage("three arguments are needed");
  size_t op = 0, ops = sizeof OPS / sizeof *OPS;
  while (op < ops && strcmp(OPS[op].name, argv[1])) op++;
  if (op == ops) usage("OP is unknown");
  bytes = (int)number(argv[2], 0, 1L << 30);
  int iters = (int)number(argv[3], 1, 100000000);
  if (bytes < 0 || iters < 0) usage("BYTES is 0 to 2^30, ITERS 1 to 10^8");
  if (OPS[op].adds && bytes % 4) usage("reductions add floats: BYTES is a multiple of 4");
  int pingpong = OPS[op].run == ping;
  if (pingpong && ranks < 2) usage("a pingpong needs two ranks");

  /* At the root of gather and scatter there is a block for each rank. */
  size_t many = OPS[op].run == gather || OPS[op].run == scatter ? (size_t)ranks : 1;
  out = calloc(1, (size_t)bytes + 1);
  in = calloc(many, (size_t)bytes + 1);
  double *samples = malloc((size_t)iters * sizeof *samples);
  double *largest = malloc((size_t)iters * sizeof *largest);
  if (!out || !in || !samples || !largest) {
    fprintf(stderr, "rank %d: out of memory\n", rank);
    MPI_Abort(MPI_COMM_WORLD, 1);
  }
  memset(out, 1, (size_t)bytes);

  int warm_up = iters / 5 < 10 ? 10 : iters / 5;
  for (int i = -warm_up; i < iters; i++) {
    /* A ping-pong is in step by itself, and a barrier would leave its ranks apart. */
    if (!pingpong) MPI_Barrier(MPI_COMM_WORLD);
    double start = MPI_Wtime();
    OPS[op].run();
    double took = MPI_Wtime() - start;
    if (i >= 0) samples[i] = took;
  }
  if (pingpong) {
    for (int i = 0; i < iters; i++) largest[i] = samples[i] / 2;
  } else {
    MPI_Reduce(samples, largest, iters, MPI_DOUBLE, MPI_MAX, 0, MPI_COMM_WORLD);
  }

  if (rank == 0) {
    qsort(largest, (size_t)iters, sizeof *largest, ascending);
    double median = 0.5e6 * (largest[(iters - 1) / 2] + largest[iters / 2]);
    double p99 = 1e6 * largest[(int)((iters - 1) * 0.99)];
    const char *btl = getenv("OMPI_MCA_btl");
#ifdef OPEN_MPI
    const char *peer = "openmpi";
#else
    const char *peer = "mpich";
#endif
    printf("{\"peer\":\"%s\",\"op\":\"%s\",\"channel\":\"%s\",\"layout\":\"processes\","
           "\"ranks\":%d,\"threads\":1,\"bytes\":%d,\"iters\":%d,"
           "\"median_us\":%.3f,\"p99_us\":%.3f,\"mb_per_s\":%.3f}\n",
           peer, OPS[op].name, btl ? btl : "default", ranks, bytes, iters, median, p99,
           bytes / median);
  }
  MPI_Finalize();
  return 0;
}
