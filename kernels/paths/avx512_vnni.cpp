// The kernels for x86-64 processors with AVX-512 F, VL, DQ, BW and VNNI.
#include "avx512_vector.h"
#include "avx512_vnni_tile.h"
#include "path_kernels.h"

namespace dino8 {

constexpr CpuKernels avx512_vnni_kernels = path_kernels<Avx512, SizedTile<Avx512VnniTile>>();

}  // namespace dino8
