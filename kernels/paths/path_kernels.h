// All computations, compiled for the instruction set of the source file that includes this header.
//
// Everything here and in the headers below is in an unnamed namespace, so that the linker cannot take the machine code
// of one instruction set for another one's: two source files of `paths/` never share a function.
#pragma once

#include "../cpu_kernels.h"
#include "../deformable_attention_gradient.h"
#include "../deformable_attention_projections.h"
#include "../deformable_attention_queries.h"
#include "../fake_quantize.h"
#include "../fusion_attention_blocks.h"
#include "../group_norm_rows.h"
#include "../observe_rows.h"
#include "../integer_multi_head_attention_range.h"
#include "../linear_block_rows.h"
#include "../multi_head_attention_range.h"
#include "../patch_embedding_range.h"
#include "../patch_merging_range.h"
#include "../proposal_scores_rows.h"
#include "../row_gradients.h"
#include "../sine_embedding_rows.h"
#include "../window_attention_windows.h"

namespace dino8 {
namespace {

// `Vector` is the type that deformable_attention_queries.h describes, `Tile` the one of integer_tile.h.
template <class Vector, class Tile>
constexpr CpuKernels path_kernels() {
  return {
      query_range<Vector>,
      projected_query_range<Vector, Tile>,
      {Tile::kIsPreferred, Tile::kRowsAtATime, linear_block_rows<Tile>, two_linear_blocks_rows<Tile>,
       add_residual, quantize_row, add_quantize_row},
      window_range<Vector, Tile>,
      {fusion_prepare, fusion_part<Vector, Tile>, fusion_merge},
      multi_head_attention_range<Vector>,
      integer_multi_head_attention_range<typename Tile::Small>,
      patch_embedding_range<Tile>,
      patch_merging_range<Tile>,
      sine_embedding_rows,
      {Tile::kRowsAtATime, proposal_score_of_zeros<Vector, Tile>, proposal_scores_rows<Vector, Tile>},
      {group_norm_sum, group_norm_apply},
      {observe_extremes, observe_histogram},
      {deformable_attention_gradient_head, layer_normalization_gradient, softmax_gradient, fake_quantize,
       fake_quantize_gradient},
  };
}

}  // namespace
}  // namespace dino8
