#include "observe_rows.h"

namespace dino8 {
namespace {
struct Tag {};
}  // namespace

const ObserveKernels observe_scalar = observe_kernels<Tag>();

}  // namespace dino8
