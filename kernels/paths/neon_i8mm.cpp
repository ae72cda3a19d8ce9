// The kernels for 64-bit ARM processors with dot products of unsigned and signed bytes (FEAT_I8MM).
#include "neon_tile.h"
#include "neon_vector.h"
#include "path_kernels.h"

namespace dino8 {
namespace {

struct MixedDot {
  static constexpr int32_t kOffset = 0;
  static int32x4_t add(int32x4_t sums, uint8x16_t bytes, int8x16_t weight) { return vusdotq_s32(sums, bytes, weight); }
};

}  // namespace

constexpr CpuKernels neon_i8mm_kernels = path_kernels<Neon, SizedTile<NeonTile<MixedDot>>>();

}  // namespace dino8
