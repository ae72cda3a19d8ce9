// The custom operators that are the end of a transformer's layer: the output projection of an attention with its residual sum and
// normalization, then the feed-forward layers, which read the result and are added to it. Some rows at a time go through all
// of it, so that the rows between are never written to memory. src/quant/targets/ort-cpu/projection-function.ts describes it.
#include "projection_feed_forward_op.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "cpu_operator.h"
#include "linear_block.h"
#include "linear_block_inputs.h"
#include "prepared_layer.h"
#include "quantized_output.h"
#include "row_broadcast.h"

namespace dino8 {
namespace {

// The three layers, each with what is behind it. The operator whose result is bytes has their scale and zero point too.
constexpr size_t kX = 0, kResidual = 6, kNorm = 7, kFinalNorm = 19, kRange = 21, kMaxInputs = 23;
constexpr LayerInputs kLayers[] = {layer_at(1), layer_at(9), layer_at(14)};
constexpr size_t kLayerCount = sizeof kLayers / sizeof *kLayers;

struct ProjectionFeedForwardKernel {
  OrtApi api;
  LinearBlockKernels kernels;
  PreparedLayer layers[kLayerCount];
  float norm_epsilon;
};

OrtStatus* create(const OrtCustomOp*, const void* table, const OrtKernelInfo* node, void** kernel) {
  const OrtApi api{static_cast<const void* const*>(table)};
  const CpuPath* path = choose_cpu_path();
  if (path == nullptr) return api.createStatus(kInvalidArgument, bad_path_message());
  ProjectionFeedForwardKernel made{api, path->kernels->linear_block, {}, 0};
  for (size_t at = 0; at < kLayerCount; at++)
    if (OrtStatus* status = read_layer(api, node, kLayers[at], made.layers[at])) return status;
  const auto& [projection, first, second] = made.layers;
  if (projection.columns != first.depth || first.columns != second.depth || second.columns != first.depth)
    return api.createStatus(kInvalidArgument, "a dino8 operator: three weights do not fit each other");
  if (OrtStatus* status = api.floatAttribute(node, "epsilon", &made.norm_epsilon)) return status;
  *kernel = new ProjectionFeedForwardKernel(std::move(made));
  return nullptr;
}

struct Work {
  LinearBlock projection, feed_forward;
  const LinearBlockKernels& kernels;
  int64_t rows, rows_per_task;
};

void run_task(void* data, size_t index) {
  const Work& work = *static_cast<const Work*>(data);
  const int64_t begin = static_cast<int64_t>(index) * work.rows_per_task;
  work.kernels.two_blocks(work.projection, work.feed_forward, begin, std::min(begin + work.rows_per_task, work.rows));
}

// Rows of x and of the residual where these have other shapes, which no transformer's have: each row of the result has its own.
struct RepeatedRows {
  std::unique_ptr<uint8_t[]> x;
  std::unique_ptr<float[]> residual;

  RepeatedRows(const RowBroadcast& rows, int64_t depth, int64_t columns, LinearBlock& projection)
      : x(new uint8_t[static_cast<size_t>(rows.rows() * depth)]),
        residual(new float[static_cast<size_t>(rows.rows() * columns)]) {
    for (int64_t row = 0; row < rows.rows(); row++) {
      std::copy_n(projection.bytes + rows.row_of(0, row) * depth, depth, x.get() + row * depth);
      std::copy_n(projection.residual + rows.row_of(1, row) * columns, columns, residual.get() + row * columns);
    }
    projection.bytes = x.get(), projection.residual = residual.get();
  }
};

template <bool is_quantized>
OrtStatus* compute(void* data, OrtKernelContext* context) {
  const auto& kernel = *static_cast<const ProjectionFeedForwardKernel*>(data);
  const auto invalid = [&](const char* problem) { return kernel.api.createStatus(kInvalidArgument, problem); };
  InputTensor in[kMaxInputs];
  for (size_t index = 0; index < (is_quantized ? kMaxInputs : kRange); index++)
    if (OrtStatus* status = read_input(kernel.api, context, index, in[index])) return status;
  LayerOfRun layers[kLayerCount];
  for (size_t at = 0; at < kLayerCount; at++)
    if (const char* problem = start_layer(kernel.layers[at], in, kLayers[at], layers[at])) return invalid(problem);
  const auto& [of_projection, of_first, of_second] = layers;
  const InputTensor &x = in[kX], &residual = in[kResidual];
  const int64_t depth = kernel.layers[0].depth, columns = kernel.layers[0].columns;
  if (x.rank < 1 || x.dims[x.rank - 1] != depth) return invalid("a dino8 operator: x does not fit the first weight");

  Work work{{}, {}, kernel.kernels, 0, 0};
  LinearBlock &projection = work.projection, &feed_forward = work.feed_forward;
  projection.bytes = static_cast<const uint8_t*>(x.data);
  projection.input = of_projection.input, projection.first = of_projection.packed;
  if (const char* problem = read_residual(residual, columns, projection)) return invalid(problem);
  if (const char* problem = read_norm(in + kNorm, columns, projection)) return invalid(problem);
  feed_forward.input = of_first.input, feed_forward.first = of_first.packed;
  feed_forward.has_second = true;
  feed_forward.hidden = of_second.input, feed_forward.second = of_second.packed;
  if (const char* problem = read_norm(in + kFinalNorm, columns, feed_forward)) return invalid(problem);
  projection.norm_epsilon = feed_forward.norm_epsilon = kernel.norm_epsilon;
  InputTensor result = x;
  result.dims[x.rank - 1] = columns;
  RowBroadcast rows;
  if (!rows.set({result, residual})) return invalid("a dino8 operator: the residual does not fit the result");
  Results results;
  const InputTensor* range = is_quantized ? in + kRange : nullptr;
  if (OrtStatus* status = make_results(kernel.api, context, range, rows.dims, rows.rank, results)) return status;
  work.rows = rows.rows();
  std::optional<RepeatedRows> repeated;
  if (residual.rank != x.rank || !std::equal(result.dims, result.dims + x.rank, residual.dims))
    repeated.emplace(rows, depth, columns, projection);
  feed_forward.y = results.floats, feed_forward.y_bytes = results.bytes, feed_forward.y_range = results.range;
  work.rows_per_task = rows_per_task(work.rows, kernel.kernels.rows_at_a_time);
  const int64_t tasks = (work.rows + work.rows_per_task - 1) / work.rows_per_task;
  return run_parts(kernel.api, context, work, tasks, run_task);
}

int input_type(const OrtCustomOp*, size_t index) {
  if (index == kX || index == kMaxInputs - 1) return kUint8Element;
  for (const LayerInputs& layer : kLayers) {
    if (index == layer.weight) return kInt8Element;
    if (index == layer.zero_point) return kUint8Element;
  }
  return kFloatElement;
}

template <bool is_quantized>
OrtCustomOp describe_op() {
  OrtCustomOp op = describe_cpu_operator<ProjectionFeedForwardKernel, create, compute<is_quantized>>();
  op.GetName = [](const OrtCustomOp*) {
    static const std::string name = std::string(kProjectionFeedForward) + (is_quantized ? kQuantized : "");
    return name.c_str();
  };
  op.GetInputTypeCount = [](const OrtCustomOp*) { return is_quantized ? kMaxInputs : kRange; };
  op.GetInputType = input_type;
  op.GetOutputTypeCount = [](const OrtCustomOp*) -> size_t { return 1; };
  if (is_quantized) describe_quantized(op);
  may_overwrite<kResidual, is_quantized ? kFloatsBesideBytes : 0>(op);
  return op;
}

}  // namespace

OrtStatus* add_projection_feed_forward(const OrtApi& api, OrtCustomOpDomain* domain) {
  static const OrtCustomOp ops[] = {describe_op<false>(), describe_op<true>()};
  for (const OrtCustomOp& op : ops)
    if (OrtStatus* status = api.addOperator(domain, &op)) return status;
  return nullptr;
}

}  // namespace dino8
