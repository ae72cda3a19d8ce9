#include "deformable_attention_queries.h"

namespace dino8 {

void queries_scalar(const DeformableAttention& a, int64_t begin, int64_t end) { query_range<OneLane>(a, begin, end); }

}  // namespace dino8
