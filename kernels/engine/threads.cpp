#include "threads.h"

#if defined(__wasm_atomics__)
#include <atomic>
#include <cstdint>
#endif

namespace dino8::engine {

#if defined(__wasm_atomics__)
namespace {

// The work that is shared now. Its ticket is a number for the work in the upper 32 bits and the next part in the lower ones; threads
// take parts by adding 1 to it. A ticket whose part is kClosed gives none, so that its other members can be written.
constexpr uint64_t kClosed = 0xffffffff, kNextWork = uint64_t{1} << 32;
std::atomic<uint64_t> ticket{kClosed};
std::atomic<size_t> all_parts{0}, done_parts{0};
std::atomic<void (*)(void*, size_t)> shared_task{nullptr};
std::atomic<void*> shared_data{nullptr};

// Threads sleep on `wake_ups`, which grows with each new work.
std::atomic<int32_t> wake_ups{0}, sleepers{0}, threads{0};
std::atomic<bool> is_stopping{false};
// True if a thread stopped at an error of WebAssembly, such as one for missing memory. Its part is never done.
std::atomic<bool> has_failed{false};

// A thread looks for new work so many times before it sleeps: that of the next operator comes soon, and to be woken takes as long as a
// small operator.
constexpr int kLooks = 4000;

// Does parts of the work until there are none left.
void do_parts() {
  for (uint64_t taken = ticket.load();;) {
    const uint64_t part = taken & kClosed;
    const auto task = shared_task.load();
    void* const data = shared_data.load();
    if (part == kClosed || part >= all_parts.load()) return;
    // Fails if another thread took this part, or if `task` and `data` belong to other work than the ticket.
    if (!ticket.compare_exchange_weak(taken, taken + 1)) continue;
    task(data, static_cast<size_t>(part));
    done_parts.fetch_add(1);
    taken = ticket.load();
  }
}

int32_t* address_of(std::atomic<int32_t>& number) { return reinterpret_cast<int32_t*>(&number); }

}  // namespace

void parallel_for(size_t parts, void (*task)(void*, size_t), void* data) {
  if (parts <= 1 || threads.load() == 0 || parts >= kClosed) {
    for (size_t part = 0; part < parts; part++) task(data, part);
    return;
  }
  const uint64_t work = ticket.load() / kNextWork;
  ticket.store((work + 1) * kNextWork + kClosed);
  shared_task.store(task), shared_data.store(data), all_parts.store(parts), done_parts.store(0);
  ticket.store((work + 2) * kNextWork);
  wake_ups.fetch_add(1);
  if (sleepers.load() > 0) __builtin_wasm_memory_atomic_notify(address_of(wake_ups), static_cast<uint32_t>(parts - 1));
  do_parts();
  // A browser's main thread may not sleep, and the parts that others still do take little time.
  while (done_parts.load() < parts)
    if (has_failed.load()) __builtin_trap();
}

// What a worker runs until `dino8_stop_threads`.
extern "C" __attribute__((export_name("dino8_run_thread"))) void dino8_run_thread() {
  threads.fetch_add(1);
  while (!is_stopping.load()) {
    const int32_t seen = wake_ups.load();
    do_parts();
    for (int look = 0; look < kLooks && wake_ups.load() == seen; look++) {
    }
    if (wake_ups.load() != seen) continue;
    sleepers.fetch_add(1);
    __builtin_wasm_memory_atomic_wait32(address_of(wake_ups), seen, -1);
    sleepers.fetch_sub(1);
  }
  threads.fetch_sub(1);
}

// Ends the threads. No work may be under way.
extern "C" __attribute__((export_name("dino8_stop_threads"))) void dino8_stop_threads() {
  is_stopping.store(true);
  wake_ups.fetch_add(1);
  __builtin_wasm_memory_atomic_notify(address_of(wake_ups), 0xffffffffu);
}

// To be called by a worker whose `dino8_run_thread` stopped at an error: the work that waits for it stops, too.
extern "C" __attribute__((export_name("dino8_fail_thread"))) void dino8_fail_thread() { has_failed.store(true); }

// The number of workers that take part.
extern "C" __attribute__((export_name("dino8_threads"))) int32_t dino8_threads() { return threads.load(); }

#else

void parallel_for(size_t parts, void (*task)(void*, size_t), void* data) {
  for (size_t part = 0; part < parts; part++) task(data, part);
}

#endif

}  // namespace dino8::engine
