#include "prepared_layer.h"

#include "quantized_output.h"

namespace dino8 {
namespace {

// Returns null, or the sentence that says why the constants do not make a layer.
const char* prepare_layer(const InputTensor& weight, const InputTensor& scale, const InputTensor& bias,
                          PreparedLayer& layer) {
  if (weight.data == nullptr || scale.data == nullptr || bias.data == nullptr)
    return "a dino8 operator: weights, their scales and biases must be constants of the model";
  if (weight.rank != 4 || weight.dims[2] != kPanelColumns || weight.dims[3] != kStepDepth || bias.rank != 1 ||
      weight.dims[1] < 1 || weight.dims[1] >= kMaxDepth / kStepDepth || bias.dims[0] < 1 ||
      (bias.dims[0] + kPanelColumns - 1) / kPanelColumns != weight.dims[0])
    return "a dino8 operator: a weight is not in panels of 16 columns, or its bias has another size";
  if (scale.rank > 1 || (scale.rank == 1 && scale.dims[0] != 1 && scale.dims[0] != bias.dims[0]))
    return "a dino8 operator: a weight has another number of scales than columns";
  layer.depth = weight.dims[1] * kStepDepth, layer.columns = bias.dims[0];
  const auto padded = static_cast<size_t>(weight.dims[0] * kPanelColumns);
  layer.sums.assign(padded, 0);
  layer.scale.assign(padded, 0.0f);
  layer.bias.assign(padded, 0.0f);
  const auto* numbers = static_cast<const int8_t*>(weight.data);
  for (int64_t panel = 0; panel < weight.dims[0]; panel++)
    for (int64_t step = 0; step < weight.dims[1]; step++)
      for (int64_t at = 0; at < kStepBytes; at++)
        layer.sums[static_cast<size_t>(panel * kPanelColumns + at / kStepDepth)] += *numbers++;
  const auto* scales = static_cast<const float*>(scale.data);
  const auto* biases = static_cast<const float*>(bias.data);
  const bool is_shared = scale.count() == 1;
  for (int64_t column = 0; column < layer.columns; column++) {
    layer.scale[static_cast<size_t>(column)] = scales[is_shared ? 0 : column];
    layer.bias[static_cast<size_t>(column)] = biases[column];
  }
  return nullptr;
}

}  // namespace

OrtStatus* read_layer(const OrtApi& api, const OrtKernelInfo* node, const LayerInputs& inputs, PreparedLayer& layer) {
  InputTensor weight, scale, bias;
  if (OrtStatus* status = read_constant(api, node, inputs.weight, weight)) return status;
  if (OrtStatus* status = read_constant(api, node, inputs.weight_scale, scale)) return status;
  if (OrtStatus* status = read_constant(api, node, inputs.bias, bias)) return status;
  const char* problem = prepare_layer(weight, scale, bias, layer);
  return problem ? api.createStatus(kInvalidArgument, problem) : nullptr;
}

const char* start_layer(const PreparedLayer& layer, const InputTensor* in, const LayerInputs& inputs, LayerOfRun& run) {
  if (const char* problem = read_range(in[inputs.scale], in[inputs.zero_point], run.input)) return problem;
  run.scale = layer.scale;
  for (float& each : run.scale) each *= run.input.scale;
  run.packed = {static_cast<const int8_t*>(in[inputs.weight].data), layer.depth, layer.columns, layer.sums.data(),
                run.scale.data(), layer.bias.data()};
  return nullptr;
}

}  // namespace dino8
