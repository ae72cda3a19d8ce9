// The custom operator of attention within windows: it checks the tensors, prepares the constants once for a session, and
// splits the windows among ONNX Runtime's threads. src/quant/targets/ort-cpu/window-attention-function.ts describes it.
#include "window_attention_op.h"

#include <algorithm>
#include <atomic>
#include <limits>
#include <memory>
#include <new>
#include <utility>

#include "cpu_operator.h"
#include "prepared_layer.h"
#include "window_attention.h"

namespace dino8 {
namespace {

constexpr size_t kX = 0, kNormScale = 1, kNormBias = 2, kPositionBias = 8, kQueryScale = 14, kWindow = 15,
                 kShift = 16, kInputs = 17;
constexpr LayerInputs kProjections = layer_at(3), kOutput = layer_at(9);

// Windows of so many tokens on a side have more pairs of tokens than a tensor has numbers.
constexpr int64_t kMaxWindow = 1 << 15;

// The state of a node, which all runs of a session share.
struct WindowAttentionKernel {
  OrtApi api;
  WindowRange run;
  WindowAttention attention;  // what the constants tell
  PreparedLayer projections, output;
  std::unique_ptr<float[]> position_bias;  // null if the rows of the input need no filling up
};

// Reads a constant of one integer.
OrtStatus* read_integer(const OrtApi& api, const OrtKernelInfo* node, size_t index, int64_t& out) {
  InputTensor tensor;
  if (OrtStatus* status = read_constant(api, node, index, tensor)) return status;
  if (tensor.data == nullptr || tensor.count() != 1)
    return api.createStatus(kInvalidArgument, "WindowAttention: window and shift must be constants of one number");
  out = *static_cast<const int64_t*>(tensor.data);
  return nullptr;
}

OrtStatus* read_window(const OrtApi& api, const OrtKernelInfo* node, WindowAttention& a) {
  if (OrtStatus* status = read_integer(api, node, kWindow, a.window)) return status;
  if (OrtStatus* status = read_integer(api, node, kShift, a.shift)) return status;
  if (a.window < 1 || a.window > kMaxWindow || a.shift < 0 || a.shift >= a.window)
    return api.createStatus(kInvalidArgument, "WindowAttention: the window or the shift is out of range");
  return nullptr;
}

// Copies the bias into rows of padded_tokens, if that is not their size. Returns null, or the sentence that says what is wrong.
const char* read_position_bias(const InputTensor& bias, WindowAttentionKernel& kernel) {
  WindowAttention& a = kernel.attention;
  if (bias.data == nullptr) return "WindowAttention: the bias of the positions must be a constant of the model";
  if (bias.rank != 3 || bias.dims[0] < 1 || bias.dims[1] != a.tokens() || bias.dims[2] != a.tokens())
    return "WindowAttention: the bias of the positions does not fit the window";
  a.heads = bias.dims[0];
  if (a.padded_tokens() == a.tokens()) return nullptr;
  const int64_t rows = a.heads * a.tokens();
  kernel.position_bias.reset(new (std::nothrow) float[static_cast<size_t>(rows * a.padded_tokens())]);
  if (!kernel.position_bias) return "WindowAttention: there is not enough memory for the bias of the positions";
  float* to = kernel.position_bias.get();
  const auto* from = static_cast<const float*>(bias.data);
  for (int64_t row = 0; row < rows; row++, from += a.tokens(), to += a.padded_tokens()) {
    std::copy(from, from + a.tokens(), to);
    std::fill(to + a.tokens(), to + a.padded_tokens(), -std::numeric_limits<float>::infinity());
  }
  return nullptr;
}

OrtStatus* create(const OrtCustomOp*, const void* table, const OrtKernelInfo* node, void** created) {
  const OrtApi api{static_cast<const void* const*>(table)};
  const auto invalid = [&](const char* problem) { return api.createStatus(kInvalidArgument, problem); };
  const CpuPath* path = choose_cpu_path();
  if (path == nullptr) return invalid(bad_path_message());
  auto kernel = std::make_unique<WindowAttentionKernel>();
  kernel->api = api, kernel->run = path->kernels->window_attention;
  WindowAttention& a = kernel->attention;
  if (OrtStatus* status = api.floatAttribute(node, "epsilon", &a.norm_epsilon)) return status;
  if (OrtStatus* status = read_window(api, node, a)) return status;
  if (OrtStatus* status = read_layer(api, node, kProjections, kernel->projections)) return status;
  if (OrtStatus* status = read_layer(api, node, kOutput, kernel->output)) return status;
  InputTensor bias;
  if (OrtStatus* status = read_constant(api, node, kPositionBias, bias)) return status;
  if (const char* problem = read_position_bias(bias, *kernel)) return invalid(problem);
  a.channels = kernel->projections.depth;
  if (kernel->projections.columns != 3 * a.channels || kernel->output.depth != a.channels ||
      kernel->output.columns != a.channels || a.channels % a.heads != 0)
    return invalid("WindowAttention: the weights, the heads and the channels do not fit each other");
  *created = kernel.release();
  return nullptr;
}

struct Work {
  WindowAttention attention;
  WindowRange run;
  int64_t windows_per_task;
  std::atomic<bool> has_failed{false};
};

void run_task(void* data, size_t index) {
  Work& work = *static_cast<Work*>(data);
  const int64_t begin = static_cast<int64_t>(index) * work.windows_per_task;
  if (!work.run(work.attention, begin, std::min(begin + work.windows_per_task, work.attention.windows())))
    work.has_failed = true;
}

OrtStatus* compute(void* data, OrtKernelContext* context) {
  const WindowAttentionKernel& kernel = *static_cast<const WindowAttentionKernel*>(data);
  const auto invalid = [&](const char* problem) { return kernel.api.createStatus(kInvalidArgument, problem); };
  InputTensor in[kInputs];
  for (size_t index = 0; index < kInputs; index++)
    if (OrtStatus* status = read_input(kernel.api, context, index, in[index])) return status;
  const auto start = [&](const PreparedLayer& layer, const LayerInputs& inputs, LayerOfRun& run) {
    return start_layer(layer, in[inputs.weight], in[inputs.scale], in[inputs.zero_point], run);
  };
  LayerOfRun projections, output;
  if (const char* problem = start(kernel.projections, kProjections, projections)) return invalid(problem);
  if (const char* problem = start(kernel.output, kOutput, output)) return invalid(problem);
  Work work{kernel.attention, kernel.run, 0};
  WindowAttention& a = work.attention;
  const InputTensor& x = in[kX];
  if (x.rank != 4 || x.dims[3] != a.channels) return invalid("WindowAttention: x is no map of as many channels");
  if (in[kNormScale].count() != a.channels || in[kNormBias].count() != a.channels)
    return invalid("WindowAttention: scale or bias of the normalization have another size than the channels");
  if (in[kQueryScale].count() != 1) return invalid("WindowAttention: the scale of the queries is not one number");
  a.query_scale = *static_cast<const float*>(in[kQueryScale].data);
  a.x = static_cast<const float*>(x.data);
  a.batch = x.dims[0], a.height = x.dims[1], a.width = x.dims[2];
  a.norm_scale = static_cast<const float*>(in[kNormScale].data);
  a.norm_bias = static_cast<const float*>(in[kNormBias].data);
  a.position_bias =
      kernel.position_bias ? kernel.position_bias.get() : static_cast<const float*>(in[kPositionBias].data);
  a.input = projections.input, a.projections = projections.packed;
  a.context = output.input, a.output = output.packed;
  if (OrtStatus* status = make_output(kernel.api, context, 0, x.dims, x.rank, &a.y)) return status;
  if (a.batch == 0 || a.height == 0 || a.width == 0) return nullptr;

  constexpr int64_t kWantedTasks = 32;
  const int64_t together = a.windows_at_a_time();
  work.windows_per_task = std::max<int64_t>(a.windows() / kWantedTasks / together, 1) * together;
  const int64_t tasks = (a.windows() + work.windows_per_task - 1) / work.windows_per_task;
  if (OrtStatus* status = run_parts(kernel.api, context, work, tasks, run_task)) return status;
  // No exception may pass through ONNX Runtime, so that memory that is not there becomes a status.
  if (work.has_failed) return kernel.api.createStatus(kFail, "WindowAttention: there is not enough memory");
  return nullptr;
}

int input_type(const OrtCustomOp*, size_t index) {
  if (index == kProjections.weight || index == kOutput.weight) return kInt8Element;
  if (index == kProjections.zero_point || index == kOutput.zero_point) return kUint8Element;
  if (index == kWindow || index == kShift) return kInt64Element;
  return kFloatElement;
}

OrtCustomOp describe_op() {
  OrtCustomOp op = describe_cpu_operator();
  op.GetName = [](const OrtCustomOp*) { return kWindowAttention; };
  op.GetInputTypeCount = [](const OrtCustomOp*) { return kInputs; };
  op.GetInputType = input_type;
  op.GetOutputTypeCount = [](const OrtCustomOp*) -> size_t { return 1; };
  op.CreateKernelV2 = create;
  op.KernelComputeV2 = compute;
  op.KernelDestroy = [](void* kernel) { delete static_cast<WindowAttentionKernel*>(kernel); };
  return op;
}

}  // namespace

OrtStatus* add_window_attention(const OrtApi& api, OrtCustomOpDomain* domain) {
  static const OrtCustomOp op = describe_op();
  return api.addOperator(domain, &op);
}

}  // namespace dino8
