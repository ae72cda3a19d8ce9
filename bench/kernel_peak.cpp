// Measures how many multiply-adds of bytes a second dino8's own integer product does when everything is in the caches of a
// processor, and how many its instruction does on registers alone: the limits of bench/roofline.mjs. It goes by the instruction
// set that DINO8_KERNEL_PATH names, or by the fastest one. All bytes are random: multipliers take less power for zeros, of which
// AMX multiplies up to 1.3 times as many a second (measured). Prints one line of JSON; the rate of registers is 0 for instruction sets
// without a dot product on this architecture. usage: kernel_peak THREADS
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <functional>
#include <random>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

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

template <class Byte>
std::vector<Byte> random_bytes(int64_t count) {
  std::mt19937 generator(1);
  std::vector<Byte> bytes(static_cast<size_t>(count));
  for (Byte& byte : bytes) byte = static_cast<Byte>(generator());
  return bytes;
}

// Returns the multiply-adds a second of one thread.
double measure(const dino8::LinearBlockKernels& kernels, const Layer& layer) {
  const int64_t rows = kernels.rows_at_a_time;
  const auto bytes = random_bytes<uint8_t>(rows * layer.depth);
  const auto weight = random_bytes<int8_t>(layer.depth * layer.columns);
  // The zero point is 0, so that the sums of the weight do not count.
  const std::vector<int32_t> sums(static_cast<size_t>(layer.columns), 0);
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

#if defined(__x86_64__)
// Enough sums that no instruction waits for the one before.
__attribute__((target("avx512f,avx512vnni"))) double vnni_registers() {
  constexpr int64_t kSteps = 2'000'000, kSums = 12, kProducts = 64;
  const auto bytes = random_bytes<uint8_t>(8 * 64);
  const uint8_t* const from = bytes.data();
  const __m512i a0 = _mm512_loadu_si512(from), a1 = _mm512_loadu_si512(from + 64), a2 = _mm512_loadu_si512(from + 2 * 64),
                a3 = _mm512_loadu_si512(from + 3 * 64), b0 = _mm512_loadu_si512(from + 4 * 64),
                b1 = _mm512_loadu_si512(from + 5 * 64), b2 = _mm512_loadu_si512(from + 6 * 64),
                b3 = _mm512_loadu_si512(from + 7 * 64);
  __m512i s0 = a0, s1 = a1, s2 = a2, s3 = a3, s4 = a0, s5 = a1, s6 = a2, s7 = a3, s8 = a0, s9 = a1, s10 = a2, s11 = a3;
  const double start = thread_seconds();
  for (int64_t step = 0; step < kSteps; step++) {
    s0 = _mm512_dpbusd_epi32(s0, a0, b0), s1 = _mm512_dpbusd_epi32(s1, a1, b1), s2 = _mm512_dpbusd_epi32(s2, a2, b2);
    s3 = _mm512_dpbusd_epi32(s3, a3, b3), s4 = _mm512_dpbusd_epi32(s4, a0, b1), s5 = _mm512_dpbusd_epi32(s5, a1, b2);
    s6 = _mm512_dpbusd_epi32(s6, a2, b3), s7 = _mm512_dpbusd_epi32(s7, a3, b0), s8 = _mm512_dpbusd_epi32(s8, a0, b2);
    s9 = _mm512_dpbusd_epi32(s9, a1, b3), s10 = _mm512_dpbusd_epi32(s10, a2, b0), s11 = _mm512_dpbusd_epi32(s11, a3, b1);
    // The sums may have any value for the compiler, which would make one of equal ones.
    asm volatile("" : "+v"(s0), "+v"(s1), "+v"(s2), "+v"(s3), "+v"(s4), "+v"(s5), "+v"(s6), "+v"(s7), "+v"(s8), "+v"(s9),
                 "+v"(s10), "+v"(s11));
  }
  return static_cast<double>(kSteps * kSums * kProducts) / (thread_seconds() - start);
}

#ifdef DINO8_HAS_AMX_INT8
struct alignas(64) TileShapes {
  uint8_t palette = 1, row = 0, reserved[14] = {};
  uint16_t bytes[16] = {};
  uint8_t rows[16] = {};
};

__attribute__((target("amx-tile,amx-int8"))) double amx_registers() {
  constexpr int64_t kSteps = 500'000, kSums = 4, kProducts = 16 * 16 * 64;
  TileShapes shapes;
  for (int tile = 0; tile < 8; tile++) shapes.bytes[tile] = 64, shapes.rows[tile] = 16;
  constexpr int64_t kTileBytes = 16 * 64;
  const auto bytes = random_bytes<uint8_t>(4 * kTileBytes);
  // The intrinsics of GCC 12 do not tell the compiler that they read memory.
  asm volatile("" ::"r"(bytes.data()), "r"(&shapes) : "memory");
  _tile_loadconfig(&shapes);
  // These are statements and not expressions in some compilers.
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_loadd(4, bytes.data(), 64);
  _tile_loadd(5, bytes.data() + kTileBytes, 64);
  _tile_loadd(6, bytes.data() + 2 * kTileBytes, 64);
  _tile_loadd(7, bytes.data() + 3 * kTileBytes, 64);
  const double start = thread_seconds();
  for (int64_t step = 0; step < kSteps; step++) {
    _tile_dpbusd(0, 4, 6);
    _tile_dpbusd(1, 4, 7);
    _tile_dpbusd(2, 5, 6);
    _tile_dpbusd(3, 5, 7);
  }
  const double seconds = thread_seconds() - start;
  _tile_release();
  return static_cast<double>(kSteps * kSums * kProducts) / seconds;
}
#endif
#endif

// Returns the multiply-adds a second of one thread on registers; 0 if it is not known for the path.
double measure_registers(const char* path) {
#ifdef DINO8_HAS_AMX_INT8
  if (std::strcmp(path, "amx-int8") == 0) return amx_registers();
#endif
#if defined(__x86_64__)
  if (std::strcmp(path, "avx512-vnni") == 0) return vnni_registers();
#endif
  (void)path;
  return 0;
}

// Returns the sum of what `threads` threads measure at the same time.
double on_threads(int threads, const std::function<double()>& one) {
  std::vector<double> rates(static_cast<size_t>(threads));
  std::vector<std::thread> workers;
  for (double& rate : rates) workers.emplace_back([&rate, &one] { rate = one(); });
  for (std::thread& worker : workers) worker.join();
  double sum = 0;
  for (const double rate : rates) sum += rate;
  return sum;
}

}  // namespace

int main(int count, char** arguments) {
  const int threads = count > 1 ? std::max(1, std::atoi(arguments[1])) : 1;
  const dino8::CpuPath* path = dino8::choose_cpu_path();
  if (path == nullptr) {
    std::fprintf(stderr, "%s\n", dino8::bad_path_message());
    return 1;
  }
  double best = 0, registers = 0;
  for (int round = 0; round < kRounds; round++) {
    registers = std::max(registers, on_threads(threads, [path] { return measure_registers(path->name); }));
    for (const Layer& layer : kLayers)
      best = std::max(best,
                      on_threads(threads, [path, &layer] { return measure(path->kernels->linear_block, layer); }));
  }
  std::printf("{\"path\": \"%s\", \"threads\": %d, \"multiplyAddsPerSecond\": %.4g, \"onRegisters\": %.4g}\n", path->name,
              threads, best, registers);
}
