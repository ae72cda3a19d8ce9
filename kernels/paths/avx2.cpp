// The kernels for x86-64 processors with AVX2 and FMA.
#include "avx2_tile.h"
#include "avx2_vector.h"
#include "path_kernels.h"

namespace dino8 {

constexpr CpuKernels avx2_kernels = path_kernels<Avx2, SizedTile<Avx2Tile>>();

}  // namespace dino8
