// The kernels for every processor, without a vector type of their own.
#include "path_kernels.h"

namespace dino8 {

constexpr CpuKernels scalar_kernels = path_kernels<OneLane, SizedTile<PlainTile>>();

}  // namespace dino8
