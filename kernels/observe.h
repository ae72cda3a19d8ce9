// The statistics that calibration takes of a value: minimum, maximum and mean of each channel, and a histogram. This is
// the computation of the ONNX function ai.dino8::Observe; src/quant/observe/observe-function.ts describes its inputs
// and outputs.
#pragma once

#include <cstdint>

#include "operator_names.h"

namespace dino8 {

// The bins of a histogram on both sides of 0, and one counter more for the elements that are left out.
constexpr int64_t kCounters = 2 * kBinsPerSide + 1;

// Some rows of a value. Elements that are not a number or whose magnitude is above `limit`, which is finite, are left out.
struct ObservedRows {
  const float* x;  // [rows, channels]
  int64_t rows, channels;
  float limit;
};

struct ObserveKernels {
  // Updates the minimum, maximum and sum of each channel, [channels] each, with the rows.
  void (*extremes)(const ObservedRows&, float* lowest, float* highest, double* sum);
  // Counts the elements of the rows in `counters`, [kCounters]. A bin is 1 / inverse_width wide.
  void (*histogram)(const ObservedRows&, float inverse_width, int32_t* counters);
};

}  // namespace dino8
