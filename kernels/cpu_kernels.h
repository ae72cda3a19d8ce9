// All computations that are compiled once for each instruction set. `paths/` has one source file per instruction set,
// and each of them defines one `CpuKernels`.
#pragma once

#include "deformable_attention.h"
#include "fusion_attention.h"
#include "gradients.h"
#include "group_norm.h"
#include "linear_block.h"
#include "multi_head_attention.h"
#include "observe.h"
#include "patch_embedding.h"
#include "patch_merging.h"
#include "proposal_scores.h"
#include "sine_embedding.h"
#include "window_attention.h"

namespace dino8 {

struct CpuKernels {
  QueryRange deformable_attention;
  ProjectedQueryRange projected_deformable_attention;
  LinearBlockKernels linear_block;
  WindowRange window_attention;
  FusionKernels fusion;
  MultiHeadAttentionRange multi_head_attention;
  IntegerMultiHeadAttentionRange integer_multi_head_attention;
  PatchEmbeddingRange patch_embedding;
  PatchMergingRange patch_merging;
  SineEmbeddingRows sine_embedding;
  ProposalScoresKernels proposal_scores;
  GroupNormKernels group_norm;
  ObserveKernels observe;
  GradientKernels gradients;
};

// Only those of the processor's architecture are defined, and of these only what the compiler knows the instructions of.
extern const CpuKernels scalar_kernels, avx2_kernels, avx512_kernels, avx512_vnni_kernels, avx_vnni_kernels, amx_int8_kernels,
    neon_kernels, neon_dot_kernels, neon_i8mm_kernels, wasm_simd_kernels, wasm_unsigned_dot_kernels, wasm_signed_dot_kernels;

}  // namespace dino8
