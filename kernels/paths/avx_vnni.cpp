// The kernels for x86-64 processors with AVX2, FMA and AVX-VNNI, but without AVX-512.
#include "avx2_vector.h"
#include "avx_vnni_tile.h"
#include "path_kernels.h"

namespace dino8 {

constexpr CpuKernels avx_vnni_kernels = path_kernels<Avx2, SizedTile<AvxVnniTile>>();

}  // namespace dino8
