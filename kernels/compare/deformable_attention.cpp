// Compares deformable attention.
#include "cases.h"
#include "comparisons.h"

namespace dino8 {
namespace {

template <class Element>
bool compare_attention(const CpuKernels& kernels, ValueType type, const std::vector<Element>& stored,
                       DeformableAttention a, bool is_hostile) {
  const auto points = reals(a.batch * a.queries * a.levels * 2, 1.3f, is_hostile);
  const auto scale = reals(a.batch * a.queries * a.levels * 2, 0.3f, is_hostile);
  const auto offsets = reals(a.batch * a.queries * a.heads * a.levels * a.points * 2, 2, is_hostile);
  const auto logits = reals(a.batch * a.queries * a.heads * a.levels * a.points, 4, is_hostile);
  a.value = stored.data(), a.value_type = type;
  a.value_scale = type == ValueType::kFloat ? 1 : 1.0f / 128, a.value_zero_point = type == ValueType::kUint8 ? 117 : 0;
  a.reference_points = points.data(), a.offset_scale = scale.data();
  a.sampling_offsets = offsets.data(), a.attention_logits = logits.data();
  std::vector<float> found(static_cast<size_t>(a.batch * a.queries * a.heads * a.size)), expected(found.size());
  a.output = found.data();
  kernels.deformable_attention(a, 0, a.batch * a.queries);
  a.output = expected.data();
  scalar_kernels.deformable_attention(a, 0, a.batch * a.queries);
  return agree(found, expected, 1e-4f);
}

DeformableAttention some_attention(int64_t most_queries) {
  DeformableAttention a{};
  a.batch = whole(1, 2), a.heads = whole(1, 3), a.size = whole(1, 40), a.queries = whole(1, most_queries);
  a.levels = whole(1, 4), a.points = whole(1, 5);
  for (int64_t level = 0; level < a.levels; level++) {
    a.height[level] = whole(1, 9), a.width[level] = whole(1, 9), a.start[level] = a.positions;
    a.positions += a.height[level] * a.width[level];
  }
  a.scale_query_stride = a.levels * 2, a.scale_batch_stride = a.queries * a.levels * 2;
  return a;
}

bool compare_deformable_attention(const CpuKernels& kernels) {
  const DeformableAttention a = some_attention(20);
  const int64_t count = a.batch * a.positions * a.heads * a.size;
  const bool is_hostile = whole(0, 2) == 0;
  return compare_attention(kernels, ValueType::kFloat, reals(count, 1), a, is_hostile) &&
         compare_attention(kernels, ValueType::kUint8, bytes<uint8_t>(count), a, is_hostile) &&
         compare_attention(kernels, ValueType::kInt8, bytes<int8_t>(count), a, is_hostile);
}

// The results are those of the same kernels for offsets and logits that are computed by a linear block.
template <class Byte>
bool compare_projected_attention(const CpuKernels& kernels, ValueType type, DeformableAttention a) {
  const int64_t samples = a.heads * a.levels * a.points, depth = 4 * whole(1, 20), rows = a.batch * a.queries;
  const auto stored = bytes<Byte>(a.batch * a.positions * a.heads * a.size);
  // Offsets are large numbers.
  const auto points = reals(rows * a.levels * 2, 1.3f), scale = reals(rows * a.levels * 2, 0.001f);
  const auto queries = bytes<uint8_t>(rows * depth);
  const Layer offset_layer(depth, 2 * samples), logit_layer(depth, samples);
  a.value = stored.data(), a.value_type = type, a.value_scale = 1.0f / 128, a.value_zero_point = 3;
  a.reference_points = points.data(), a.offset_scale = scale.data();
  const QueryProjections of{queries.data(), {1, static_cast<int32_t>(whole(0, 255))}, offset_layer.packed, logit_layer.packed};
  std::vector<float> offsets(static_cast<size_t>(2 * samples * rows)), logits(static_cast<size_t>(samples * rows));
  LinearBlock block;
  block.bytes = of.queries, block.input = of.range;
  block.first = of.offsets, block.y = offsets.data();
  kernels.linear_block.rows(block, 0, rows);
  block.first = of.logits, block.y = logits.data();
  kernels.linear_block.rows(block, 0, rows);
  a.sampling_offsets = offsets.data(), a.attention_logits = logits.data();
  a.output_range = {1.0f / 64, 128};
  std::vector<float> results[2];
  std::vector<uint8_t> result_bytes[2];
  for (int at = 0; at < 2; at++) {
    results[at].resize(static_cast<size_t>(rows * a.heads * a.size)), result_bytes[at].resize(results[at].size());
    a.output = results[at].data(), a.output_bytes = result_bytes[at].data();
    const int64_t middle = whole(0, rows);
    if (at == 1) kernels.deformable_attention(a, 0, rows);
    else
      for (const auto& [begin, end] : {std::pair(int64_t{0}, middle), std::pair(middle, rows)})
        kernels.projected_deformable_attention(a, of, begin, end);
  }
  return results[0] == results[1] && result_bytes[0] == result_bytes[1];
}

bool compare_projected_attentions(const CpuKernels& kernels) {
  const DeformableAttention a = some_attention(90);
  return compare_projected_attention<uint8_t>(kernels, ValueType::kUint8, a) &&
         compare_projected_attention<int8_t>(kernels, ValueType::kInt8, a);
}

}  // namespace

Comparisons deformable_attention_comparisons() {
  return {{"deformable attention", compare_deformable_attention},
          {"deformable attention of queries", compare_projected_attentions}};
}

}  // namespace dino8
