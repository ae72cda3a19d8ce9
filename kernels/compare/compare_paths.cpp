// Compares the kernels of every instruction set of this machine with the scalar ones, on random and on hostile numbers.
// kernels/compare-paths.mjs builds this program with sanitizers, and for 64-bit ARM processors, and runs it.
#include <cstdio>
#include <cstdlib>
#include <string>

#include "comparisons.h"

using namespace dino8;

int main(int, char** arguments) {
  const int rounds = std::atoi(arguments[1]);
  int failures = 0;
  for (const auto comparisons :
       {linear_block_comparisons, window_attention_comparisons, deformable_attention_comparisons, fusion_attention_comparisons,
        multi_head_attention_comparisons, embedding_comparisons, training_comparisons})
    for (const Comparison& comparison : comparisons())
      for (const CpuPath& path : cpu_paths()) {
        const int cases = comparison.is_run_once ? 1 : rounds;
        int different = 0;
        for (int at = 0; at < cases; at++) different += comparison.run(*path.kernels) ? 0 : 1;
        if (different > 0) std::printf("%s: %s: %d of %d cases differ from scalar\n", path.name, comparison.name, different, cases);
        failures += different;
      }
  std::string names;
  for (const CpuPath& path : cpu_paths()) names += std::string(names.empty() ? "" : ", ") + path.name;
  if (failures == 0) std::printf("agree in %d cases of each kernel: %s\n", rounds, names.c_str());
  return failures == 0 ? 0 : 1;
}
