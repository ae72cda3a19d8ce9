// Deformable attention whose offsets and logits are results of linear layers. Those of some queries at a time are computed just
// before they are read, so that they stay in the processor's caches. Everything here is in an unnamed namespace; see
// paths/path_kernels.h.
#pragma once

#include <algorithm>
#include <memory>

#include "deformable_attention_queries.h"
#include "linear_block_rows.h"
#include "prefetch.h"

namespace dino8 {
namespace {

// See `ProjectedQueryRange`.
template <class V, class Tile>
void projected_query_range(const DeformableAttention& attention, const QueryProjections& of, int64_t begin, int64_t end) {
  const int64_t depth = of.offsets.depth, most = std::min(Tile::kRowsAtATime, end - begin);
  const auto lines_for = [most](const PackedLayer& layer) {
    return std::unique_ptr<CacheLine[]>(new CacheLine[static_cast<size_t>(lines_of_floats(most * layer.columns))]);
  };
  const std::unique_ptr<CacheLine[]> offset_lines = lines_for(of.offsets), logit_lines = lines_for(of.logits);
  float *const offsets = floats_of(offset_lines.get()), *const logits = floats_of(logit_lines.get());
  const ResidualSum no_sum{ResidualRounding{}};
  const auto run = [=, &of](auto& computation) {
    for (int64_t start = begin; start < end; start += most) {
      const int64_t queries = std::min(most, end - start);
      const uint8_t* const from = of.queries + start * depth;
      // The processor does not foresee by itself which rows follow those that are read again for each panel.
      prefetch_bytes(from + queries * depth, std::min(most, end - start - queries) * depth);
      layer_to_floats<Tile>(from, queries, depth, of.offsets, of.range, nullptr, no_sum, nullptr, offsets);
      layer_to_floats<Tile>(from, queries, depth, of.logits, of.range, nullptr, no_sum, nullptr, logits);
      computation.run(start, start + queries, offsets, logits);
    }
  };
  if (attention.value_type == ValueType::kUint8) with_byte_computation<V, uint8_t>(attention, run);
  else with_byte_computation<V, int8_t>(attention, run);
}

}  // namespace
}  // namespace dino8
