// The custom operators that are linear layers on bytes: they check the tensors, prepare the constants once for a session,
// and split the rows among ONNX Runtime's threads. src/quant/targets/ort-cpu/linear-function.ts describes them.
#include "linear_block_op.h"

#include <algorithm>
#include <memory>
#include <new>
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

// Input 0 is x. The layers follow, then, for the variants with a norm, residual, scale and bias, without the residual if the
// norm is before the layers, or the factors of the rows; then scale and zero point of the residual, the result of the layers
// and the sum where this is rounded; and then, for the variants whose results are bytes, their scale and zero point.
constexpr size_t kX = 0, kMaxInputs = 1 + 2 * 5 + 3 + 6 + 2;
constexpr LayerInputs kFirst = layer_at(1), kSecond = layer_at(6);

// The parts of a block that an operator computes.
struct Variant {
  const char* name;
  bool has_second;
  Activation activation;
  bool has_norm;
  bool has_row_scale = false;
  bool has_norm_before = false;
  bool is_rounded = false;

  // Whether x is floats, which the first layer quantizes.
  constexpr bool has_float_x() const { return has_second || has_norm_before; }
  // Whether x is added to the result of the layers, which read it normalized.
  constexpr bool adds_x() const { return has_second && has_norm_before; }

  // The first input behind the layers, the first one behind the norm or the factors of the rows, and the first one behind
  // the ranges of the residual sum.
  constexpr size_t norm() const { return has_second ? 11 : 6; }
  constexpr size_t rounding() const { return norm() + (has_norm ? 3 : has_norm_before ? 2 : has_row_scale ? 1 : 0); }
  constexpr size_t end() const { return rounding() + (is_rounded ? 6 : 0); }
};

// Each variant with a residual sum is there twice, the second time rounded.
constexpr Variant kVariants[] = {
    {kIntegerLinear, false, Activation::kNone, false},
    {kIntegerLinearScaled, false, Activation::kNone, false, true},
    {kNormIntegerLinear, false, Activation::kNone, false, false, true},
    {kIntegerLinearAddNorm, false, Activation::kNone, true},
    {kIntegerLinearAddNorm, false, Activation::kNone, true, false, false, true},
    {kFeedForward, true, Activation::kNone, false},
    {kFeedForwardAddNorm, true, Activation::kNone, true},
    {kFeedForwardAddNorm, true, Activation::kNone, true, false, false, true},
    {kFeedForwardGelu, true, Activation::kGelu, false},
    {kFeedForwardGeluAddNorm, true, Activation::kGelu, true},
    {kFeedForwardGeluAddNorm, true, Activation::kGelu, true, false, false, true},
    {kNormFeedForwardGeluAdd, true, Activation::kGelu, false, false, true},
    {kNormFeedForwardGeluAdd, true, Activation::kGelu, false, false, true, true},
};
constexpr size_t kVariantCount = sizeof kVariants / sizeof *kVariants;

struct LinearBlockKernel {
  OrtApi api;
  LinearBlockKernels kernels;
  PreparedLayer first, second;
  float norm_epsilon;
};

template <size_t variant>
OrtStatus* create(const OrtCustomOp*, const void* table, const OrtKernelInfo* node, void** kernel) {
  const OrtApi api{static_cast<const void* const*>(table)};
  const CpuPath* path = choose_cpu_path();
  if (path == nullptr) return api.createStatus(kInvalidArgument, bad_path_message());
  PreparedLayer first, second;
  if (OrtStatus* status = read_layer(api, node, kFirst, first)) return status;
  if constexpr (kVariants[variant].has_second) {
    if (OrtStatus* status = read_layer(api, node, kSecond, second)) return status;
    if (first.columns != second.depth)
      return api.createStatus(kInvalidArgument, "a dino8 operator: two weights do not fit each other");
  }
  float epsilon = 0;
  if constexpr (kVariants[variant].has_norm || kVariants[variant].has_norm_before) {
    if (OrtStatus* status = api.floatAttribute(node, "epsilon", &epsilon)) return status;
  }
  *kernel = new LinearBlockKernel{api, path->kernels->linear_block, std::move(first), std::move(second), epsilon};
  return nullptr;
}

// Reads the ranges of the residual sum. Returns null, or the sentence that says what is wrong.
const char* read_rounding(const InputTensor* ranges, ResidualRounding& rounding) {
  rounding.is_rounded = true;
  for (ByteRange* range : {&rounding.x, &rounding.branch, &rounding.sum}) {
    if (const char* problem = read_range(ranges[0], ranges[1], *range)) return problem;
    ranges += 2;
  }
  return nullptr;
}

struct Work {
  LinearBlock block;
  void (*run)(const LinearBlock&, int64_t begin, int64_t end);
  int64_t rows, rows_per_task;

  void write(const Results& results) {
    block.y = results.floats, block.y_bytes = results.bytes, block.y_range = results.range;
  }
};

void run_task(void* data, size_t index) {
  const Work& work = *static_cast<const Work*>(data);
  const int64_t begin = static_cast<int64_t>(index) * work.rows_per_task;
  work.run(work.block, begin, std::min(begin + work.rows_per_task, work.rows));
}

// The same where the residual or the factors of the rows have another shape than the result of the layers, which no
// transformer's have: the layers are computed first, and rows are put together one by one. `parts` are the shape of the
// result of the layers and the other tensor, whose last dimension is taken for the same.
OrtStatus* compute_broadcast(const LinearBlockKernel& kernel, OrtKernelContext* context, const InputTensor* range,
                             Work& work, int64_t tasks, const InputTensor (&parts)[2]) {
  LinearBlock& block = work.block;
  RowBroadcast rows;
  if (!rows.set(parts))
    return kernel.api.createStatus(kInvalidArgument,
                                   "a dino8 operator: the residual or the factors of rows do not fit the result");
  Results results;
  if (OrtStatus* status = make_results(kernel.api, context, range, rows.dims, rows.rank, results)) return status;
  const int64_t columns = block.last().columns;
  // No exception may pass through ONNX Runtime, so that memory that is not there becomes a status.
  const std::unique_ptr<float[]> layers(new (std::nothrow) float[static_cast<size_t>(work.rows * columns)]);
  const std::unique_ptr<float[]> one_row(new (std::nothrow) float[static_cast<size_t>(columns)]);
  if (!layers || !one_row)
    return kernel.api.createStatus(kFail, "a dino8 operator: there is not enough memory for a broadcast");
  const float *residual = block.residual, *row_scale = block.row_scale;
  block.residual = block.row_scale = nullptr, block.y = layers.get();
  if (OrtStatus* status = run_parts(kernel.api, context, work, tasks, run_task)) return status;
  for (int64_t row = 0; row < rows.rows(); row++) {
    const float* from = layers.get() + rows.row_of(0, row) * columns;
    float* y = results.floats ? results.floats + row * columns : one_row.get();
    const float factor = row_scale ? row_scale[rows.row_of(1, row)] : 1;
    for (int64_t column = 0; column < columns; column++) y[column] = from[column] * factor;
    if (residual) kernel.kernels.add_residual(block, residual + rows.row_of(1, row) * columns, y);
    if (results.bytes) kernel.kernels.quantize(y, columns, results.range, results.bytes + row * columns);
  }
  return nullptr;
}

template <size_t number, bool is_quantized>
OrtStatus* compute(void* data, OrtKernelContext* context) {
  constexpr Variant variant = kVariants[number];
  const LinearBlockKernel& kernel = *static_cast<const LinearBlockKernel*>(data);
  const auto invalid = [&](const char* problem) { return kernel.api.createStatus(kInvalidArgument, problem); };
  InputTensor in[kMaxInputs];
  for (size_t index = 0; index < variant.end() + (is_quantized ? 2 : 0); index++)
    if (OrtStatus* status = read_input(kernel.api, context, index, in[index])) return status;
  LayerOfRun first, second;
  if (const char* problem = start_layer(kernel.first, in, kFirst, first)) return invalid(problem);
  if constexpr (variant.has_second) {
    if (const char* problem = start_layer(kernel.second, in, kSecond, second)) return invalid(problem);
  }
  const InputTensor& x = in[kX];
  if (x.rank < 1 || x.dims[x.rank - 1] != kernel.first.depth)
    return invalid("a dino8 operator: x does not fit the first weight");

  Work work{{}, kernel.kernels.rows, x.count() / kernel.first.depth, 0};
  LinearBlock& block = work.block;
  if (variant.has_float_x()) block.x = static_cast<const float*>(x.data);
  else block.bytes = static_cast<const uint8_t*>(x.data);
  block.input = first.input, block.first = first.packed;
  block.has_second = variant.has_second, block.activation = variant.activation;
  block.hidden = second.input, block.second = second.packed;
  block.norm_epsilon = kernel.norm_epsilon;
  InputTensor result = x;
  result.dims[x.rank - 1] = block.last().columns;
  work.rows_per_task = rows_per_task(work.rows, kernel.kernels.rows_at_a_time);
  const int64_t tasks = (work.rows + work.rows_per_task - 1) / work.rows_per_task;
  const InputTensor* range = is_quantized ? in + variant.end() : nullptr;
  if constexpr (variant.is_rounded) {
    if (const char* problem = read_rounding(in + variant.rounding(), block.rounding)) return invalid(problem);
  }
  if constexpr (variant.has_norm_before) {
    block.has_norm_before = true;
    if constexpr (variant.adds_x()) {
      if (const char* problem = read_residual(x, block.last().columns, block)) return invalid(problem);
    }
    if (const char* problem = read_norm(in + variant.norm(), block.first.depth, block)) return invalid(problem);
  }
  if constexpr (variant.has_norm) {
    const InputTensor& residual = in[variant.norm()];
    if (const char* problem = read_residual(residual, block.last().columns, block)) return invalid(problem);
    if (const char* problem = read_norm(in + variant.norm() + 1, block.last().columns, block)) return invalid(problem);
    if (residual.rank != x.rank || !std::equal(result.dims, result.dims + x.rank, residual.dims))
      return compute_broadcast(kernel, context, range, work, tasks, {result, residual});
  }
  if constexpr (variant.has_row_scale) {
    InputTensor& factors = in[variant.norm()];
    if (factors.rank < 1 || factors.dims[factors.rank - 1] != 1)
      return invalid("a dino8 operator: the factors of rows have another last dimension than 1");
    block.row_scale = static_cast<const float*>(factors.data);
    factors.dims[factors.rank - 1] = block.last().columns;
    if (factors.rank != x.rank || !std::equal(result.dims, result.dims + x.rank, factors.dims))
      return compute_broadcast(kernel, context, range, work, tasks, {result, factors});
  }
  Results results;
  if (OrtStatus* status = make_results(kernel.api, context, range, result.dims, x.rank, results)) return status;
  work.write(results);
  return run_parts(kernel.api, context, work, tasks, run_task);
}

template <size_t number, bool is_quantized>
int input_type(const OrtCustomOp*, size_t index) {
  constexpr Variant variant = kVariants[number];
  if (index == kX) return variant.has_float_x() ? kFloatElement : kUint8Element;
  if (is_quantized && index == variant.end() + 1) return kUint8Element;
  if (variant.is_rounded && index > variant.rounding() && index < variant.end())
    return (index - variant.rounding()) % 2 == 1 ? kUint8Element : kFloatElement;
  if (index == kFirst.weight || (variant.has_second && index == kSecond.weight)) return kInt8Element;
  if (index == kFirst.zero_point || (variant.has_second && index == kSecond.zero_point)) return kUint8Element;
  return kFloatElement;
}

template <size_t number, bool is_quantized>
OrtCustomOp describe_op() {
  OrtCustomOp op = describe_cpu_operator<LinearBlockKernel, create<number>, compute<number, is_quantized>>();
  op.GetName = [](const OrtCustomOp*) {
    static const std::string name = std::string(kVariants[number].name) +
                                    (kVariants[number].is_rounded ? kRounded : "") + (is_quantized ? kQuantized : "");
    return name.c_str();
  };
  op.GetInputTypeCount = [](const OrtCustomOp*) -> size_t {
    return kVariants[number].end() + (is_quantized ? 2 : 0);
  };
  op.GetInputType = input_type<number, is_quantized>;
  op.GetOutputTypeCount = [](const OrtCustomOp*) -> size_t { return 1; };
  if (is_quantized) describe_quantized(op);
  if (kVariants[number].adds_x()) may_overwrite<kX, is_quantized ? kFloatsBesideBytes : 0>(op);
  return op;
}

template <size_t... numbers>
OrtStatus* add_variants(const OrtApi& api, OrtCustomOpDomain* domain, std::index_sequence<numbers...>) {
  static const OrtCustomOp ops[] = {describe_op<numbers, false>()..., describe_op<numbers, true>()...};
  for (const OrtCustomOp& op : ops)
    if (OrtStatus* status = api.addOperator(domain, &op)) return status;
  return nullptr;
}

}  // namespace

OrtStatus* add_linear_blocks(const OrtApi& api, OrtCustomOpDomain* domain) {
  return add_variants(api, domain, std::make_index_sequence<kVariantCount>{});
}

}  // namespace dino8
