// The kernels for x86-64 processors with AVX-512 F, VL, DQ and BW, but without VNNI.
#include "avx2_tile.h"
#include "avx512_vector.h"
#include "path_kernels.h"

namespace dino8 {

constexpr CpuKernels avx512_kernels = path_kernels<Avx512, SizedTile<Avx2Tile>>();

}  // namespace dino8
