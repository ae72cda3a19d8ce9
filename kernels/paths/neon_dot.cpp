// The kernels for 64-bit ARM processors with dot products of signed bytes (FEAT_DotProd): rows are shifted by 128.
#include "neon_tile.h"
#include "neon_vector.h"
#include "path_kernels.h"

namespace dino8 {
namespace {

struct SignedDot {
  static constexpr int32_t kOffset = 128;
  static int32x4_t add(int32x4_t sums, uint8x16_t bytes, int8x16_t weight) {
    // Flipping the highest bit subtracts 128, as a signed number.
    return vdotq_s32(sums, vreinterpretq_s8_u8(veorq_u8(bytes, vdupq_n_u8(128))), weight);
  }
};

}  // namespace

constexpr CpuKernels neon_dot_kernels = path_kernels<Neon, SizedTile<NeonTile<SignedDot>>>();

}  // namespace dino8
