// What the C and C++ libraries for WebAssembly would ask the system for. A page has none: the module imports nothing.
#if defined(__wasm__)
#include <__verbose_abort>
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

// The library's allocator is for one thread. The linker lets all calls of it (-Wl,--wrap) end in these functions, by which one thread at a
// time is in it.
namespace {

class AllocatorLock {
 public:
  AllocatorLock() {
    while (is_taken.test_and_set(std::memory_order_acquire)) {
    }
  }
  ~AllocatorLock() { is_taken.clear(std::memory_order_release); }

 private:
  static std::atomic_flag is_taken;
};

std::atomic_flag AllocatorLock::is_taken = ATOMIC_FLAG_INIT;

}  // namespace

extern "C" {
void* __real_malloc(std::size_t bytes);
void* __real_aligned_alloc(std::size_t alignment, std::size_t bytes);
void __real_free(void* memory);

void* __wrap_malloc(std::size_t bytes) {
  const AllocatorLock lock;
  return __real_malloc(bytes);
}
void* __wrap_aligned_alloc(std::size_t alignment, std::size_t bytes) {
  const AllocatorLock lock;
  return __real_aligned_alloc(alignment, bytes);
}
void __wrap_free(void* memory) {
  const AllocatorLock lock;
  __real_free(memory);
}
}

namespace {

// Set before the program ends because there is no memory; JavaScript then sees a WebAssembly.RuntimeError.
bool is_out_of_memory = false;

void* allocate_or_end(std::size_t bytes, std::size_t alignment) {
  constexpr std::size_t kUsual = alignof(std::max_align_t);
  void* const memory = alignment <= kUsual ? std::malloc(bytes)
                                           : std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  if (memory != nullptr) return memory;
  is_out_of_memory = true;
  __builtin_trap();
}

}  // namespace

extern "C" void __wasm_call_ctors();

// To be called once, before all other functions: the constructors of what lives as long as the module.
extern "C" __attribute__((export_name("_initialize"))) void _initialize() { __wasm_call_ctors(); }

// 1 if the program ended because there was no memory.
extern "C" __attribute__((export_name("dino8_is_out_of_memory"))) int dino8_is_out_of_memory() { return is_out_of_memory; }

void* operator new(std::size_t bytes) { return allocate_or_end(bytes, 1); }
void* operator new[](std::size_t bytes) { return allocate_or_end(bytes, 1); }
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return allocate_or_end(bytes, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t bytes, std::align_val_t alignment) {
  return allocate_or_end(bytes, static_cast<std::size_t>(alignment));
}
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept { return std::malloc(bytes); }
void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept { return std::malloc(bytes); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

#if !defined(_LIBCPP_VERBOSE_ABORT_NOEXCEPT)
#define _LIBCPP_VERBOSE_ABORT_NOEXCEPT
#endif
void std::__libcpp_verbose_abort(const char*, ...) _LIBCPP_VERBOSE_ABORT_NOEXCEPT { __builtin_trap(); }

extern "C" {
// The library's own would write a message first.
void abort() { __builtin_trap(); }
void __cxa_pure_virtual() { __builtin_trap(); }
// There are no environment variables.
char* getenv(const char*) { return nullptr; }
// Nothing is destroyed at the end, which a module does not have.
int __cxa_atexit(void (*)(void*), void*, void*) { return 0; }
}


#endif
