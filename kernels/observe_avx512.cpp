#include "observe_rows.h"

namespace dino8 {
namespace {
struct Tag {};
}  // namespace

const ObserveKernels observe_avx512 = observe_kernels<Tag>();

}  // namespace dino8
