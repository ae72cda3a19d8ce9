// The custom operators of fused feed-forward blocks: they check the tensors, prepare the constants once for a session,
// and split the rows among ONNX Runtime's threads.
#include "feed_forward_op.h"

#include <algorithm>
#include <vector>

#include "cpu_operator.h"
#include "feed_forward.h"

namespace dino8 {
namespace {

// The inputs; see src/quant/targets/ort-cpu/feed-forward.ts.
enum FeedForwardInput {
  kX,
  kXScale,
  kXZeroPoint,
  kFirstWeight,
  kFirstScale,
  kFirstBias,
  kHiddenScale,
  kHiddenZeroPoint,
  kSecondWeight,
  kSecondScale,
  kSecondBias,
  kFeedForwardInputs
};

// A task has between these numbers of rows, so that small inputs are split among the threads as well.
constexpr int64_t kMinTaskRows = 48, kMaxTaskRows = 384, kWantedTasks = 32;

// The constants of a layer, filled up to whole panels. The weight stays where ONNX Runtime has it.
struct PreparedLayer {
  int64_t depth = 0, columns = 0;
  std::vector<int32_t> sums;
  std::vector<float> scale, bias;

  PackedLayer with(const void* weight) const {
    return {static_cast<const int8_t*>(weight), depth, columns, sums.data(), scale.data(), bias.data()};
  }
};

// Returns null, or the sentence that says why the constants do not make a layer.
const char* prepare(const InputTensor& weight, const InputTensor& scale, const InputTensor& bias, PreparedLayer& layer) {
  if (weight.data == nullptr || scale.data == nullptr || bias.data == nullptr)
    return "FeedForward: weights, their scales and biases must be constants of the model";
  if (weight.rank != 4 || weight.dims[2] != kPanelColumns || weight.dims[3] != kStepDepth || bias.rank != 1 ||
      weight.dims[1] < 1 || weight.dims[1] > kMaxDepth / kStepDepth - 1 || bias.dims[0] < 1 ||
      (bias.dims[0] + kPanelColumns - 1) / kPanelColumns != weight.dims[0])
    return "FeedForward: a weight is not in panels of 16 columns, or its bias has another size";
  if (scale.rank > 1 || (scale.rank == 1 && scale.dims[0] != 1 && scale.dims[0] != bias.dims[0]))
    return "FeedForward: a weight has another number of scales than columns";
  layer.depth = weight.dims[1] * kStepDepth, layer.columns = bias.dims[0];
  const int64_t padded = weight.dims[0] * kPanelColumns;
  layer.sums.assign(static_cast<size_t>(padded), 0);
  layer.scale.assign(static_cast<size_t>(padded), 0.0f);
  layer.bias.assign(static_cast<size_t>(padded), 0.0f);
  const auto* numbers = static_cast<const int8_t*>(weight.data);
  for (int64_t panel = 0; panel < weight.dims[0]; panel++)
    for (int64_t step = 0; step < weight.dims[1]; step++)
      for (int64_t at = 0; at < kStepBytes; at++)
        layer.sums[static_cast<size_t>(panel * kPanelColumns + at / kStepDepth)] += *numbers++;
  const bool is_shared = scale.count() == 1;
  for (int64_t column = 0; column < layer.columns; column++) {
    layer.scale[static_cast<size_t>(column)] = static_cast<const float*>(scale.data)[is_shared ? 0 : column];
    layer.bias[static_cast<size_t>(column)] = static_cast<const float*>(bias.data)[column];
  }
  return nullptr;
}

struct FeedForwardKernel {
  OrtApi api;
  FeedForwardRows rows;
  PreparedLayer first, second;
};

OrtStatus* create(const OrtCustomOp*, const void* table, const OrtKernelInfo* node, void** kernel) {
  const OrtApi api{static_cast<const void* const*>(table)};
  const CpuPath* path = choose_cpu_path();
  if (path == nullptr) return api.createStatus(kInvalidArgument, bad_path_message());
  InputTensor constants[kFeedForwardInputs];
  for (const size_t index : {kFirstWeight, kFirstScale, kFirstBias, kSecondWeight, kSecondScale, kSecondBias})
    if (OrtStatus* status = read_constant(api, node, index, constants[index])) return status;
  PreparedLayer first, second;
  const char* problem = prepare(constants[kFirstWeight], constants[kFirstScale], constants[kFirstBias], first);
  if (!problem) problem = prepare(constants[kSecondWeight], constants[kSecondScale], constants[kSecondBias], second);
  if (!problem && first.columns != second.depth) problem = "FeedForward: the weights do not fit each other";
  if (problem) return api.createStatus(kInvalidArgument, problem);
  *kernel = new FeedForwardKernel{api, path->kernels->feed_forward, std::move(first), std::move(second)};
  return nullptr;
}

// Returns null, or the sentence that says what does not fit.
const char* read_range(const InputTensor& scale, const InputTensor& zero_point, const PreparedLayer& layer,
                       PackedLayer& packed, std::vector<float>& scales, ByteRange& range) {
  if (scale.count() != 1 || zero_point.count() != 1) return "FeedForward: a range is not one number";
  range.scale = *static_cast<const float*>(scale.data);
  range.zero_point = *static_cast<const uint8_t*>(zero_point.data);
  if (!(range.scale > 0)) return "FeedForward: a scale is not above 0";
  scales = layer.scale;
  for (float& each : scales) each *= range.scale;
  packed.scale = scales.data();
  return nullptr;
}

struct Work {
  FeedForward block;
  FeedForwardRows run;
  int64_t rows, rows_per_task;
};

void run_task(void* data, size_t index) {
  const Work& work = *static_cast<const Work*>(data);
  const int64_t begin = static_cast<int64_t>(index) * work.rows_per_task;
  work.run(work.block, begin, std::min(begin + work.rows_per_task, work.rows));
}

template <Activation activation>
OrtStatus* compute(void* data, OrtKernelContext* context) {
  const FeedForwardKernel& kernel = *static_cast<const FeedForwardKernel*>(data);
  InputTensor in[kFeedForwardInputs];
  for (size_t index = 0; index < kFeedForwardInputs; index++)
    if (OrtStatus* status = read_input(kernel.api, context, index, in[index])) return status;
  const InputTensor& x = in[kX];
  Work work{{}, kernel.rows, 0, 0};
  FeedForward& block = work.block;
  block.activation = activation;
  block.first = kernel.first.with(in[kFirstWeight].data);
  block.second = kernel.second.with(in[kSecondWeight].data);
  std::vector<float> first_scale, second_scale;
  const char* problem = nullptr;
  if (x.rank < 1 || x.dims[x.rank - 1] != block.first.depth) problem = "FeedForward: x does not fit the first weight";
  if (!problem)
    problem = read_range(in[kXScale], in[kXZeroPoint], kernel.first, block.first, first_scale, block.input);
  if (!problem)
    problem =
        read_range(in[kHiddenScale], in[kHiddenZeroPoint], kernel.second, block.second, second_scale, block.hidden);
  if (problem) return kernel.api.createStatus(kInvalidArgument, problem);

  int64_t dims[kMaxDimensions];
  std::copy(x.dims, x.dims + x.rank, dims);
  dims[x.rank - 1] = block.second.columns;
  block.x = static_cast<const float*>(x.data);
  if (OrtStatus* status = make_output(kernel.api, context, 0, dims, x.rank, &block.y)) return status;
  work.rows = x.count() / block.first.depth;
  const int64_t even = (work.rows / kWantedTasks + kMinTaskRows - 1) / kMinTaskRows * kMinTaskRows;
  work.rows_per_task = std::min(std::max(even, kMinTaskRows), kMaxTaskRows);
  return run_parts(kernel.api, context, work, (work.rows + work.rows_per_task - 1) / work.rows_per_task, run_task);
}

int input_type(const OrtCustomOp*, size_t index) {
  if (index == kFirstWeight || index == kSecondWeight) return kInt8Element;
  return index == kXZeroPoint || index == kHiddenZeroPoint ? kUint8Element : kFloatElement;
}

template <Activation activation>
OrtCustomOp describe_op() {
  OrtCustomOp op = describe_cpu_operator();
  op.GetName = [](const OrtCustomOp*) { return activation == Activation::kGelu ? kFeedForwardGelu : kFeedForward; };
  op.GetInputTypeCount = [](const OrtCustomOp*) -> size_t { return kFeedForwardInputs; };
  op.GetInputType = input_type;
  op.GetOutputTypeCount = [](const OrtCustomOp*) -> size_t { return 1; };
  op.CreateKernelV2 = create;
  op.KernelComputeV2 = compute<activation>;
  op.KernelDestroy = [](void* kernel) { delete static_cast<FeedForwardKernel*>(kernel); };
  return op;
}

}  // namespace

OrtStatus* add_feed_forward(const OrtApi& api, OrtCustomOpDomain* domain) {
  static const OrtCustomOp ops[] = {describe_op<Activation::kNone>(), describe_op<Activation::kGelu>()};
  for (const OrtCustomOp& op : ops)
    if (OrtStatus* status = api.addOperator(domain, &op)) return status;
  return nullptr;
}

}  // namespace dino8
