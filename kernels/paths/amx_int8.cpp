// The kernels for x86-64 processors with AMX-INT8, and AVX-512 with VNNI for everything that is no matrix product.
#include "amx_tile.h"
#include "avx512_vector.h"
#include "path_kernels.h"

namespace dino8 {

constexpr CpuKernels amx_int8_kernels = path_kernels<Avx512, AmxTile>();

}  // namespace dino8
