// What calibration sees of a value: extremes, per channel as well, and a histogram. The computation of the ONNX function
// ai.dino8::Observe: see src/quant/observe/observe-function.ts for what each input and output is.
#pragma once

#include <cstdint>

namespace dino8 {

// Bins of a histogram on each side of 0, and one more for what is not counted.
constexpr int64_t kBins = 2048;
constexpr int64_t kCounters = 2 * kBins + 1;

// Some rows of a value: `rows` of `channels` floats. What is beyond `limit`, or not a number, is left out.
struct ObservedRows {
  const float* x;
  int64_t rows, channels;
  float limit;
};

struct ObserveKernels {
  // Folds the rows into the lowest, highest and sum of each channel, which the caller has initialised.
  void (*extremes)(const ObservedRows&, float* lowest, float* highest, double* sum);
  // Adds the rows to kCounters counters; a bin is 1 / inverse_width wide.
  void (*histogram)(const ObservedRows&, float inverse_width, int32_t* counters);
};

extern const ObserveKernels observe_scalar, observe_avx2, observe_avx512, observe_neon;

}  // namespace dino8
