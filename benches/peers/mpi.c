/* The operations of `fmi bench` on MPI: Open MPI or MPICH. peer.h has the arguments and the rule.
 *
 *     mpicc -O2 -o mpi mpi.c
 *     mpirun -n RANKS mpi --op OP,OP --bytes B,B --time S
 */

#include "peer.h"
#include <mpi.h>

static const MPI_Comm ALL = MPI_COMM_WORLD;

static void ping(void) {
  if (rank == 0) {
    MPI_Send(out, bytes, MPI_BYTE, 1, 0, ALL);
    MPI_Recv(in, bytes, MPI_BYTE, 1, 0, ALL, MPI_STATUS_IGNORE);
  } else if (rank == 1) {
    MPI_Recv(in, bytes, MPI_BYTE, 0, 0, ALL, MPI_STATUS_IGNORE);
    MPI_Send(out, bytes, MPI_BYTE, 0, 0, ALL);
  }
}

static void barrier(void) { MPI_Barrier(ALL); }
static void bcast(void) { MPI_Bcast(out, bytes, MPI_BYTE, 0, ALL); }
static void gather(void) { MPI_Gather(out, bytes, MPI_BYTE, in, bytes, MPI_BYTE, 0, ALL); }
static void scatter(void) { MPI_Scatter(in, bytes, MPI_BYTE, out, bytes, MPI_BYTE, 0, ALL); }
static void allgather(void) { MPI_Allgather(out, bytes, MPI_BYTE, in, bytes, MPI_BYTE, ALL); }

static void alltoall(void) {
  MPI_Alltoall(out, bytes / ranks, MPI_BYTE, in, bytes / ranks, MPI_BYTE, ALL);
}

/* As in `fmi bench`, reductions are of floats, or of bytes when those make no floats. */
static MPI_Datatype number(int bytes) { return bytes % 4 ? MPI_UNSIGNED_CHAR : MPI_FLOAT; }
static int numbers(int bytes) { return bytes % 4 ? bytes : bytes / 4; }

static void reduce(void) { MPI_Reduce(out, in, numbers(bytes), number(bytes), MPI_SUM, 0, ALL); }
static void allreduce(void) { MPI_Allreduce(out, in, numbers(bytes), number(bytes), MPI_SUM, ALL); }
static void scan(void) { MPI_Scan(out, in, numbers(bytes), number(bytes), MPI_SUM, ALL); }
static void exscan(void) { MPI_Exscan(out, in, numbers(bytes), number(bytes), MPI_SUM, ALL); }

static void reduce_scatter(void) {
  int block = bytes / ranks;
  MPI_Reduce_scatter_block(out, in, numbers(block), number(block), MPI_SUM, ALL);
}

static const struct operation OPERATIONS[] = {
    {"pingpong", ONE, 2, 0, NULL, ping, NULL},
    {"barrier", ONE, 1, 1, NULL, barrier, NULL},
    {"bcast", ONE, 1, 1, NULL, bcast, NULL},
    {"gather", AT_ROOT, 1, 1, NULL, gather, NULL},
    {"scatter", AT_ROOT, 1, 1, NULL, scatter, NULL},
    {"allgather", EVERYWHERE, 1, 1, NULL, allgather, NULL},
    {"alltoall", ONE, 1, 1, NULL, alltoall, NULL},
    {"reduce", ONE, 1, 1, NULL, reduce, NULL},
    {"allreduce", ONE, 1, 1, NULL, allreduce, NULL},
    {"reduce_scatter", ONE, 1, 1, NULL, reduce_scatter, NULL},
    {"scan", ONE, 1, 1, NULL, scan, NULL},
    {"exscan", ONE, 1, 1, NULL, exscan, NULL},
};

static int agree(int number) {
  MPI_Bcast(&number, 1, MPI_INT, 0, ALL);
  return number;
}

static void largest(double *samples, int count) {
  const void *own = rank == 0 ? MPI_IN_PLACE : samples;
  MPI_Reduce(own, samples, count, MPI_DOUBLE, MPI_MAX, 0, ALL);
}

int main(int argc, char **argv) {
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(ALL, &rank);
  MPI_Comm_size(ALL, &ranks);
#ifdef OPEN_MPI
  const char *program = "openmpi";
#else
  const char *program = "mpich";
#endif
  const char *over = getenv("PEER_OVER");
  const struct peer peer = {program, over ? over : "default",
                            OPERATIONS, sizeof OPERATIONS / sizeof *OPERATIONS,
                            barrier, agree, largest};
  measure_all(argc, argv, &peer);
  MPI_Finalize();
  return 0;
}
