#include <arm_neon.h>

#include "deformable_attention_queries.h"

namespace dino8 {
namespace {

struct Neon {
  using Type = float32x4_t;
  static constexpr int Lanes = 4;
  static Type zero() { return vdupq_n_f32(0.0f); }
  static Type load(const float* from) { return vld1q_f32(from); }
  static void store(float* to, Type value) { vst1q_f32(to, value); }
  static Type multiply_add(Type value, float weight, Type sum) { return vfmaq_n_f32(sum, value, weight); }
};

}  // namespace

void queries_neon(const DeformableAttention& a, int64_t begin, int64_t end) { query_range<Neon>(a, begin, end); }

}  // namespace dino8
