// The functions of ONNX Runtime that compute, called while the thread takes subnormal numbers as zero.
//
// A subnormal number, below 1.2e-38, takes a processor up to a hundred times as long as another one. Softmax makes many
// of them: where a mask is added, ONNX Runtime's gives exp(-88.4) = 4e-39. Its session option set_denormal_as_zero sets
// the threads that it starts; the thread that calls it computes too, and is set here. The library's caller uses both or
// neither, so that a result does not depend on the thread that computed it. ONNX Runtime has the option for x86 only.
#include <cstddef>

#include "export.h"

#if defined(__x86_64__) || defined(_M_X64)
#include <xmmintrin.h>
#endif

namespace {

#if defined(__x86_64__) || defined(_M_X64)
// Sets flush-to-zero (for results) and denormals-are-zero (for operands) of MXCSR, and restores it at the end of the
// scope: the thread belongs to others between the calls. (Intel 64 Software Developer's Manual, volume 1, 10.2.3)
class FlushingScope {
 public:
  FlushingScope() : before_(_mm_getcsr()) { _mm_setcsr(before_ | kFlushToZero | kDenormalsAreZero); }
  ~FlushingScope() { _mm_setcsr(before_); }
  FlushingScope(const FlushingScope&) = delete;
  FlushingScope& operator=(const FlushingScope&) = delete;

 private:
  static constexpr unsigned kFlushToZero = 1u << 15, kDenormalsAreZero = 1u << 6;
  unsigned before_;
};
#else
struct FlushingScope {
  FlushingScope() {}  // a constructor of its own, so that no compiler warns of an unused variable
};
#endif

}  // namespace

// Each takes ONNX Runtime's function, and that function's arguments (onnxruntime_c_api.h).

DINO8_EXPORT void* dino8_flushing_CreateSession(void* (*create)(void*, const void*, void*, void*), void* environment,
                                                const void* path, void* options, void* out) {
  const FlushingScope scope;
  return create(environment, path, options, out);
}

DINO8_EXPORT void* dino8_flushing_CreateSessionFromArray(void* (*create)(void*, const void*, size_t, void*, void*),
                                                         void* environment, const void* data, size_t size,
                                                         void* options, void* out) {
  const FlushingScope scope;
  return create(environment, data, size, options, out);
}

DINO8_EXPORT void* dino8_flushing_Run(void* (*run)(void*, void*, void*, void*, size_t, void*, size_t, void*),
                                      void* session, void* options, void* names, void* inputs, size_t input_count,
                                      void* output_names, size_t output_count, void* outputs) {
  const FlushingScope scope;
  return run(session, options, names, inputs, input_count, output_names, output_count, outputs);
}
