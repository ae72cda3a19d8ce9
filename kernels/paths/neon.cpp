// The kernels for 64-bit ARM processors, all of which have NEON, but without dot products.
#include "neon_vector.h"
#include "path_kernels.h"

namespace dino8 {

constexpr CpuKernels neon_kernels = path_kernels<Neon, SizedTile<PlainTile>>();

}  // namespace dino8
