// The comparisons of each kind of kernel.
#pragma once

#include <vector>

#include "../cpu_path.h"

namespace dino8 {

struct Comparison {
  const char* name;
  // Compares the kernels with the scalar ones in one case. Returns false if they differ.
  bool (*run)(const CpuKernels&);
  // Whether one case is enough, as it takes a second.
  bool is_run_once = false;
};
using Comparisons = std::vector<Comparison>;

Comparisons linear_block_comparisons();
Comparisons window_attention_comparisons();
Comparisons deformable_attention_comparisons();
Comparisons fusion_attention_comparisons();
Comparisons multi_head_attention_comparisons();
Comparisons embedding_comparisons();
Comparisons training_comparisons();

}  // namespace dino8
