/* The operations of `fmi bench` that Gloo has, over TCP between processes of this machine. peer.h has
 * the arguments and the rule.
 *
 *     g++ -O2 -o gloo gloo.cc -lgloo -lpthread
 *     RANKS=4 ./gloo --op OP,OP --bytes B,B --time S
 *
 * Starts its ranks itself; they find each other through files in a directory of their own. The
 * operations have their defaults; reduce_scatter is an algorithm of the older kind, since there is no
 * other.
 */

#include "peer.h"
#include <functional>
#include <gloo/allgather.h>
#include <gloo/allreduce.h>
#include <gloo/alltoall.h>
#include <gloo/barrier.h>
#include <gloo/broadcast.h>
#include <gloo/gather.h>
#include <gloo/math.h>
#include <gloo/reduce.h>
#include <gloo/reduce_scatter.h>
#include <gloo/rendezvous/context.h>
#include <gloo/rendezvous/file_store.h>
#include <gloo/scatter.h>
#include <gloo/transport/tcp/device.h>
#include <sys/wait.h>
#include <unistd.h>

static std::shared_ptr<gloo::rendezvous::Context> group;
/* The call of the case that is measured. What can be made before is made before. */
static std::function<void()> call;

static void run() { call(); }
static void forget() { call = nullptr; }
static size_t blocks(int each) { return (size_t)each * (size_t)ranks; }

static void pingpong() {
  std::shared_ptr<gloo::transport::UnboundBuffer> to = group->createUnboundBuffer(out, bytes);
  std::shared_ptr<gloo::transport::UnboundBuffer> from = group->createUnboundBuffer(in, bytes);
  auto send = [=] { to->send(1 - rank, 1), to->waitSend(); };
  auto receive = [=] { from->recv(1 - rank, 1), from->waitRecv(); };
  if (rank == 0) call = [=] { send(), receive(); };
  else if (rank == 1) call = [=] { receive(), send(); };
  else call = [] {};
}

/* Keeps options, and calls the function of their kind with them. */
template <typename Options, typename Function>
static void keep(std::shared_ptr<Options> options, Function *it) {
  call = [=] { it(*options); };
}

static void wait_for_all() {
  gloo::BarrierOptions options(group);
  gloo::barrier(options);
}
static void barrier() { call = wait_for_all; }

static void bcast() {
  auto options = std::make_shared<gloo::BroadcastOptions>(group);
  options->setOutput(out, (size_t)bytes);
  options->setRoot(0);
  keep(options, gloo::broadcast);
}

static void gather() {
  auto options = std::make_shared<gloo::GatherOptions>(group);
  options->setInput(out, (size_t)bytes);
  if (rank == 0) options->setOutput(in, blocks(bytes));
  options->setRoot(0);
  keep(options, gloo::gather);
}

static void scatter() {
  auto options = std::make_shared<gloo::ScatterOptions>(group);
  std::vector<char *> parts;
  for (int i = 0; i < ranks && rank == 0; i++) parts.push_back(in + blocks(bytes) / ranks * i);
  if (rank == 0) options->setInputs(parts, (size_t)bytes);
  options->setOutput(out, (size_t)bytes);
  options->setRoot(0);
  keep(options, gloo::scatter);
}

static void allgather() {
  auto options = std::make_shared<gloo::AllgatherOptions>(group);
  options->setInput(out, (size_t)bytes);
  options->setOutput(in, blocks(bytes));
  keep(options, gloo::allgather);
}

static void alltoall() {
  auto options = std::make_shared<gloo::AlltoallOptions>(group);
  options->setInput(out, blocks(bytes / ranks));
  options->setOutput(in, blocks(bytes / ranks));
  keep(options, gloo::alltoall);
}

/* As in `fmi bench`, reductions are of floats, or of bytes when those make no floats. */
template <typename Options, typename Number, typename Function>
static void reduction(Function *it, void (*more)(Options &)) {
  auto options = std::make_shared<Options>(group);
  options->setInput((Number *)out, (size_t)bytes / sizeof(Number));
  options->setOutput((Number *)in, (size_t)bytes / sizeof(Number));
  void (*sum)(void *, const void *, const void *, size_t) = &gloo::sum<Number>;
  options->setReduceFunction(sum);
  more(*options);
  keep(options, it);
}

static void reduce() {
  auto root = [](gloo::ReduceOptions &options) { options.setRoot(0); };
  bytes % 4 ? reduction<gloo::ReduceOptions, unsigned char>(gloo::reduce, +root)
            : reduction<gloo::ReduceOptions, float>(gloo::reduce, +root);
}

static void allreduce() {
  auto none = [](gloo::AllreduceOptions &) {};
  bytes % 4 ? reduction<gloo::AllreduceOptions, unsigned char>(gloo::allreduce, +none)
            : reduction<gloo::AllreduceOptions, float>(gloo::allreduce, +none);
}

static void reduce_scatter() {
  int each = bytes / ranks / (int)sizeof(float);
  auto it = std::make_shared<gloo::ReduceScatterHalvingDoubling<float>>(
      group, std::vector<float *>{(float *)out}, each * ranks, std::vector<int>(ranks, each));
  call = [=] { it->run(); };
}

static const struct operation OPERATIONS[] = {
    {"pingpong", ONE, 2, 0, pingpong, run, forget},
    {"barrier", ONE, 1, 1, barrier, run, forget},
    {"bcast", ONE, 1, 1, bcast, run, forget},
    {"gather", AT_ROOT, 1, 1, gather, run, forget},
    {"scatter", AT_ROOT, 1, 1, scatter, run, forget},
    {"allgather", EVERYWHERE, 1, 1, allgather, run, forget},
    {"alltoall", ONE, 1, 1, alltoall, run, forget},
    {"reduce", ONE, 1, 1, reduce, run, forget},
    {"allreduce", ONE, 1, 1, allreduce, run, forget},
    {"reduce_scatter", ONE, 1, 1, reduce_scatter, run, forget},
};

static int agree(int number) {
  gloo::BroadcastOptions options(group);
  options.setOutput(&number, 1);
  options.setRoot(0);
  gloo::broadcast(options);
  return number;
}

static void largest(double *samples, int count) {
  std::vector<double> own(samples, samples + count);
  gloo::ReduceOptions options(group);
  options.setInput(own.data(), (size_t)count);
  options.setOutput(samples, (size_t)count);
  options.setRoot(0);
  void (*max)(void *, const void *, const void *, size_t) = &gloo::max<double>;
  options.setReduceFunction(max);
  gloo::reduce(options);
}

static int work(int argc, char **argv, const char *directory) {
  gloo::transport::tcp::attr attributes;
  attributes.iface = "lo";
  auto device = gloo::transport::tcp::CreateDevice(attributes);
  gloo::rendezvous::FileStore store(directory);
  group = std::make_shared<gloo::rendezvous::Context>(rank, ranks);
  group->connectFullMesh(store, device);
  const struct peer peer = {"gloo",       "tcp", OPERATIONS, sizeof OPERATIONS / sizeof *OPERATIONS,
                            wait_for_all, agree, largest};
  measure_all(argc, argv, &peer);
  wait_for_all();
  return 0;
}

int main(int argc, char **argv) {
  ranks = getenv("RANKS") ? atoi(getenv("RANKS")) : 2;
  char directory[] = "/tmp/gloo-XXXXXX";
  if (!mkdtemp(directory)) fail("no directory to meet in");
  for (rank = 0; rank < ranks; rank++)
    if (fork() == 0) _exit(work(argc, argv, directory));
  int status, code = 0;
  while (wait(&status) > 0) code |= status != 0;
  std::string remove = std::string("rm -r ") + directory;
  return system(remove.c_str()) || code;
}
