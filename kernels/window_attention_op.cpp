// The custom operator of attention within windows: it checks the tensors, prepares the constants once for a session, and
// splits the windows among ONNX Runtime's threads. src/quant/targets/ort-cpu/window-attention-function.ts describes it.
#include "window_attention_op.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <memory>
#include <new>
#include <string>
#include <utility>

#include "cache_line.h"
#include "cpu_operator.h"
#include "exponential.h"
#include "prepared_layer.h"
#include "quantized_output.h"
#include "window_attention.h"

namespace dino8 {
namespace {

constexpr size_t kX = 0, kNormScale = 1, kNormBias = 2, kPositionBias = 8, kQueryScale = 14, kWindow = 15,
                 kShift = 16, kPlainInputs = 17;
constexpr LayerInputs kProjections = layer_at(3), kOutput = layer_at(9);

// The inputs of a variant: those above, then scale and zero point of queries, keys and values where products are of bytes, and
// then those of x, the branch and the sum where the residual sum is rounded.
struct Variant {
  bool has_byte_products, is_rounded;

  constexpr size_t products() const { return kPlainInputs; }
  constexpr size_t rounding() const { return products() + (has_byte_products ? 6 : 0); }
  constexpr size_t inputs() const { return rounding() + (is_rounded ? 6 : 0); }
  // Keys and values are signed.
  constexpr bool is_signed(size_t index) const {
    return has_byte_products && (index == products() + 3 || index == products() + 5);
  }
  constexpr bool is_zero_point(size_t index) const { return index > products() && (index - products()) % 2 == 1; }
};
constexpr size_t kMaxInputs = Variant{true, true}.inputs();

// Windows of so many tokens on a side have more pairs of tokens than a tensor has numbers.
constexpr int64_t kMaxWindow = 1 << 15;

// The state of a node, which all runs of a session share.
struct WindowAttentionKernel {
  OrtApi api;
  WindowRange run;
  WindowAttention attention;  // what the constants tell
  PreparedLayer projections, output;
  std::unique_ptr<CacheLine[]> position_bias;  // null if the rows of the input need no filling up
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

// A score as an exponent of two.
float as_power(float score) {
  constexpr float kMost = std::numeric_limits<float>::max();
  return std::isfinite(score) ? std::clamp(score * kInverseLn2, -kMost, kMost) : score;
}

// Copies the bias of a head into rows of padded_tokens: a row for each query, or with products of bytes for each key.
void copy_position_bias(const WindowAttention& a, const float* from, float* to) {
  const int64_t tokens = a.tokens(), padded = a.padded_tokens();
  for (int64_t row = 0; row < tokens; row++, to += padded)
    if (a.has_byte_products) {
      for (int64_t query = 0; query < tokens; query++) to[query] = as_power(from[query * tokens + row]);
      std::fill(to + tokens, to + padded, 0.0f);
    } else {
      std::copy_n(from + row * tokens, tokens, to);
      std::fill(to + tokens, to + padded, -std::numeric_limits<float>::infinity());
    }
}

// Prepares the bias, whose rows begin at cache lines, unless the kernel can read it as it is. Returns null, or the sentence that says
// what is wrong.
const char* read_position_bias(const InputTensor& bias, WindowAttentionKernel& kernel) {
  WindowAttention& a = kernel.attention;
  if (bias.data == nullptr) return "WindowAttention: the bias of the positions must be a constant of the model";
  if (bias.rank != 3 || bias.dims[0] < 1 || bias.dims[1] != a.tokens() || bias.dims[2] != a.tokens())
    return "WindowAttention: the bias of the positions does not fit the window";
  a.heads = bias.dims[0];
  if (a.padded_tokens() == a.tokens() && !a.has_byte_products) return nullptr;
  const int64_t numbers = a.tokens() * a.padded_tokens();
  const int64_t bytes = a.heads * numbers * static_cast<int64_t>(sizeof(float));
  kernel.position_bias.reset(new (std::nothrow) CacheLine[static_cast<size_t>(cache_lines(bytes))]);
  if (!kernel.position_bias) return "WindowAttention: there is not enough memory for the bias of the positions";
  const auto* from = static_cast<const float*>(bias.data);
  for (int64_t head = 0; head < a.heads; head++)
    copy_position_bias(a, from + head * a.tokens() * a.tokens(), floats_of(kernel.position_bias.get()) + head * numbers);
  return nullptr;
}

template <bool has_byte_products>
OrtStatus* create(const OrtCustomOp*, const void* table, const OrtKernelInfo* node, void** created) {
  const OrtApi api{static_cast<const void* const*>(table)};
  const auto invalid = [&](const char* problem) { return api.createStatus(kInvalidArgument, problem); };
  const CpuPath* path = choose_cpu_path();
  if (path == nullptr) return invalid(bad_path_message());
  auto kernel = std::make_unique<WindowAttentionKernel>();
  kernel->api = api, kernel->run = path->kernels->window_attention;
  WindowAttention& a = kernel->attention;
  a.has_byte_products = has_byte_products;
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

// Reads the ranges of a variant, one after the other. Returns null, or the sentence that says what is wrong.
template <bool has_byte_products, bool is_rounded>
const char* read_ranges(const InputTensor* in, WindowAttention& a) {
  constexpr Variant variant{has_byte_products, is_rounded};
  a.residual.is_rounded = is_rounded;
  ByteRange* const of_products[] = {&a.query, &a.key, &a.value};
  ByteRange* const of_sum[] = {&a.residual.x, &a.residual.branch, &a.residual.sum};
  for (size_t index = variant.products(); index < variant.inputs(); index += 2) {
    ByteRange& range = *(index < variant.rounding() ? of_products[(index - variant.products()) / 2]
                                                    : of_sum[(index - variant.rounding()) / 2]);
    if (const char* problem = read_range(in[index], in[index + 1], range)) return problem;
    if (variant.is_signed(index + 1)) range.zero_point = *static_cast<const int8_t*>(in[index + 1].data);
  }
  return nullptr;
}

template <bool has_byte_products, bool is_rounded>
OrtStatus* compute(void* data, OrtKernelContext* context) {
  constexpr Variant variant{has_byte_products, is_rounded};
  const WindowAttentionKernel& kernel = *static_cast<const WindowAttentionKernel*>(data);
  const auto invalid = [&](const char* problem) { return kernel.api.createStatus(kInvalidArgument, problem); };
  InputTensor in[kMaxInputs];
  for (size_t index = 0; index < variant.inputs(); index++)
    if (OrtStatus* status = read_input(kernel.api, context, index, in[index])) return status;
  LayerOfRun projections, output;
  if (const char* problem = start_layer(kernel.projections, in, kProjections, projections)) return invalid(problem);
  if (const char* problem = start_layer(kernel.output, in, kOutput, output)) return invalid(problem);
  Work work{kernel.attention, kernel.run, 0};
  WindowAttention& a = work.attention;
  if (const char* problem = read_ranges<has_byte_products, is_rounded>(in, a)) return invalid(problem);
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
      kernel.position_bias ? floats_of(kernel.position_bias.get()) : static_cast<const float*>(in[kPositionBias].data);
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

template <bool has_byte_products, bool is_rounded>
int input_type(const OrtCustomOp*, size_t index) {
  constexpr Variant variant{has_byte_products, is_rounded};
  if (variant.is_zero_point(index)) return variant.is_signed(index) ? kInt8Element : kUint8Element;
  if (index == kProjections.weight || index == kOutput.weight) return kInt8Element;
  if (index == kProjections.zero_point || index == kOutput.zero_point) return kUint8Element;
  if (index == kWindow || index == kShift) return kInt64Element;
  return kFloatElement;
}

template <bool has_byte_products, bool is_rounded>
OrtCustomOp describe_op() {
  OrtCustomOp op = describe_cpu_operator<WindowAttentionKernel, create<has_byte_products>, compute<has_byte_products, is_rounded>>();
  op.GetName = [](const OrtCustomOp*) {
    static const std::string name =
        std::string(has_byte_products ? kIntegerWindowAttention : kWindowAttention) + (is_rounded ? kRounded : "");
    return name.c_str();
  };
  op.GetInputTypeCount = [](const OrtCustomOp*) { return Variant{has_byte_products, is_rounded}.inputs(); };
  op.GetInputType = input_type<has_byte_products, is_rounded>;
  op.GetOutputTypeCount = [](const OrtCustomOp*) -> size_t { return 1; };
  may_overwrite<kX, 0>(op);
  return op;
}

}  // namespace

OrtStatus* add_window_attention(const OrtApi& api, OrtCustomOpDomain* domain) {
  static const OrtCustomOp ops[] = {describe_op<false, false>(), describe_op<false, true>(), describe_op<true, false>(),
                                    describe_op<true, true>()};
  for (const OrtCustomOp& op : ops)
    if (OrtStatus* status = api.addOperator(domain, &op)) return status;
  return nullptr;
}

}  // namespace dino8
