// Measures how many multiply-adds of bytes a second dino8's own integer product does when everything is in the caches of a
// processor: the limit that the roofline of bench/roofline.mjs is drawn with. It goes by the instruction set that
// DINO8_KERNEL_PATH names, or by the fastest one. Prints one line of JSON. usage: kernel_peak THREADS
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <thread>
#include <vector>

#include "../kernels/cpu_path.h"

namespace {

// The time that the processor spent on this thread, so that other programs do not count.
double thread_seconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

// One layer on so many rows as the kernels take at a time.
struct Layer {
  int64_t depth, columns;
};

// Enough products for each result that adding the bias and writing floats do not count, and few enough for the caches.
constexpr Layer kLayers[] = {{512, 64}, {1024, 64}, {2048, 64}, {512, 256}, {1024, 256}, {2048, 256}, {4096, 64}};
constexpr double kSeconds = 0.1;
constexpr int kRounds = 5;

// Returns the multiply-adds a second of one thread.
double measure(const dino8::LinearBlockKernels& kernels, const Layer& layer) {
  const int64_t rows = kernels.rows_at_a_time;
  const std::vector<uint8_t> bytes(static_cast<size_t>(rows * layer.depth), 3);
  const std::vector<int8_t> weight(static_cast<size_t>(layer.depth * layer.columns), 1);
  const std::vector<int32_t> sums(static_cast<size_t>(layer.columns), static_cast<int32_t>(layer.depth));
  const std::vector<float> scale(static_cast<size_t>(layer.columns), 1), bias(scale);
  std::vector<float> y(static_cast<size_t>(rows * layer.columns));
  dino8::LinearBlock block;
  block.bytes = bytes.data();
  block.first = {weight.data(), layer.depth, layer.columns, sums.data(), scale.data(), bias.data()};
  block.y = y.data();
  kernels.rows(block, 0, rows);
  int64_t runs = 0;
  const double start = thread_seconds();
  double seconds = 0;
  for (; seconds < kSeconds; seconds = thread_seconds() - start)
    for (int each = 0; each < 16; each++, runs++) kernels.rows(block, 0, rows);
  return static_cast<double>(runs * rows * layer.depth * layer.columns) / seconds;
}

}  // namespace

int main(int count, char** arguments) {
  const int threads = count > 1 ? std::max(1, std::atoi(arguments[1])) : 1;
  const dino8::CpuPath* path = dino8::choose_cpu_path();
  if (path == nullptr) {
    std::fprintf(stderr, "%s\n", dino8::bad_path_message());
    return 1;
  }
  double best = 0;
  for (int round = 0; round < kRounds; round++)
    for (const Layer& layer : kLayers) {
      std::vector<double> rates(static_cast<size_t>(threads));
      std::vector<std::thread> workers;
      for (double& rate : rates)
        workers.emplace_back([&rate, &layer, path] { rate = measure(path->kernels->linear_block, layer); });
      for (std::thread& worker : workers) worker.join();
      double sum = 0;
      for (const double rate : rates) sum += rate;
      best = std::max(best, sum);
    }
  std::printf("{\"path\": \"%s\", \"threads\": %d, \"multiplyAddsPerSecond\": %.4g}\n", path->name, threads, best);
}
