// The constants of a linear layer as an operator's kernel keeps them for the time of a session.
#pragma once

#include <algorithm>
#include <vector>

#include "cpu_operator.h"
#include "packed_weight.h"

namespace dino8 {

// The scale and bias of a layer, filled up to whole panels, and the sums of the weight's columns. The weight stays where
// ONNX Runtime has it.
struct PreparedLayer {
  int64_t depth = 0, columns = 0;
  std::vector<int32_t> sums;
  std::vector<float> scale, bias;
};

// A layer has five inputs: scale and zero point of the bytes that it reads, its weight, the weight's scale and the bias.
struct LayerInputs {
  size_t scale, zero_point, weight, weight_scale, bias;
};

constexpr LayerInputs layer_at(size_t first) { return {first, first + 1, first + 2, first + 3, first + 4}; }

// Sets `layer` from the constants of a node.
OrtStatus* read_layer(const OrtApi& api, const OrtKernelInfo* node, const LayerInputs& inputs, PreparedLayer& layer);

// A layer in one run, in which the scale of its input is known. `scale` is the scale of its products.
struct LayerOfRun {
  PackedLayer packed;
  ByteRange input;
  std::vector<float> scale;
};

// Sets `run` from the inputs `in` of a node. Returns null, or the sentence that says what is wrong with the range of the layer's
// input.
const char* start_layer(const PreparedLayer& layer, const InputTensor* in, const LayerInputs& inputs, LayerOfRun& run);

// The number of rows of a task, a multiple of the rows that a kernel takes at a time: enough to be worth a task, and few
// enough that all threads get about the same.
inline int64_t rows_per_task(int64_t rows, int64_t rows_at_a_time) {
  constexpr int64_t kWantedTasks = 32, kMostTimes = 8;
  const int64_t times = (rows / kWantedTasks + rows_at_a_time - 1) / rows_at_a_time;
  return std::min(std::max<int64_t>(times, 1), kMostTimes) * rows_at_a_time;
}

}  // namespace dino8
