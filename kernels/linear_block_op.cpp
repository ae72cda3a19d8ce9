// The custom operators that are linear layers on bytes: they check the tensors, prepare the constants once for a session,
// and split the rows among ONNX Runtime's threads. src/quant/targets/ort-cpu/linear-functions.ts describes them.
#include "linear_block_op.h"

#include <algorithm>
#include <memory>
#include <new>
#include <utility>

#include "cpu_operator.h"
#include "linear_block.h"
#include "prepared_layer.h"

namespace dino8 {
namespace {

// Input 0 is x. The layers follow, and then, for the variants with a norm, residual, scale and bias.
constexpr size_t kX = 0, kMaxInputs = 1 + 2 * 5 + 3;
constexpr LayerInputs kFirst = layer_at(1), kSecond = layer_at(6);

// The parts of a block that an operator computes.
struct Variant {
  const char* name;
  bool has_second;
  Activation activation;
  bool has_norm;

  constexpr size_t norm() const { return has_second ? 11 : 6; }
  constexpr size_t inputs() const { return norm() + (has_norm ? 3 : 0); }
};

constexpr Variant kVariants[] = {
    {kIntegerLinear, false, Activation::kNone, false},      {kIntegerLinearAddNorm, false, Activation::kNone, true},
    {kFeedForward, true, Activation::kNone, false},         {kFeedForwardAddNorm, true, Activation::kNone, true},
    {kFeedForwardGelu, true, Activation::kGelu, false},     {kFeedForwardGeluAddNorm, true, Activation::kGelu, true},
};

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
  if constexpr (kVariants[variant].has_norm) {
    if (OrtStatus* status = api.floatAttribute(node, "epsilon", &epsilon)) return status;
  }
  *kernel = new LinearBlockKernel{api, path->kernels->linear_block, std::move(first), std::move(second), epsilon};
  return nullptr;
}

// Reads residual, scale and bias. Returns null, or the sentence that says what does not fit.
const char* read_norm(const InputTensor* norm, int64_t columns, LinearBlock& block) {
  if (norm[0].rank < 1 || norm[0].dims[norm[0].rank - 1] != columns)
    return "a dino8 operator: the residual has rows of another size than the result";
  if (norm[1].count() != columns || norm[2].count() != columns)
    return "a dino8 operator: scale or bias of the normalization have another size than a row";
  block.residual = static_cast<const float*>(norm[0].data);
  block.norm_scale = static_cast<const float*>(norm[1].data);
  block.norm_bias = static_cast<const float*>(norm[2].data);
  return nullptr;
}

// The shape of the sum of two tensors (https://onnx.ai/onnx/repo-docs/Broadcasting.html), and which of their rows meet.
struct RowBroadcast {
  size_t rank = 0;
  int64_t dims[kMaxDimensions] = {};
  int64_t strides[2][kMaxDimensions] = {};  // of the rows of the two tensors, 0 where a dimension is repeated

  // False if the shapes do not fit. The last dimensions are equal.
  bool set(const InputTensor (&parts)[2]) {
    rank = std::max(parts[0].rank, parts[1].rank);
    int64_t rows[2] = {1, 1};
    for (size_t back = 1; back <= rank; back++) {
      const size_t axis = rank - back;
      int64_t sizes[2];
      for (int part = 0; part < 2; part++)
        sizes[part] = back <= parts[part].rank ? parts[part].dims[parts[part].rank - back] : 1;
      if (sizes[0] != sizes[1] && sizes[0] != 1 && sizes[1] != 1) return false;
      dims[axis] = sizes[0] == 1 ? sizes[1] : sizes[0];
      if (back == 1) continue;
      for (int part = 0; part < 2; part++) {
        strides[part][axis] = sizes[part] == 1 ? 0 : rows[part];
        rows[part] *= sizes[part];
      }
    }
    return true;
  }

  int64_t rows() const {
    int64_t product = 1;
    for (size_t axis = 0; axis + 1 < rank; axis++) product *= dims[axis];
    return product;
  }

  // The row of a part that is in row `row` of the sum.
  int64_t row_of(int part, int64_t row) const {
    int64_t index = 0;
    for (size_t axis = rank - 1; axis-- > 0; row /= dims[axis]) index += row % dims[axis] * strides[part][axis];
    return index;
  }
};

struct Work {
  LinearBlock block;
  void (*run)(const LinearBlock&, int64_t begin, int64_t end);
  int64_t rows, rows_per_task;
};

void run_task(void* data, size_t index) {
  const Work& work = *static_cast<const Work*>(data);
  const int64_t begin = static_cast<int64_t>(index) * work.rows_per_task;
  work.run(work.block, begin, std::min(begin + work.rows_per_task, work.rows));
}

// The same where the residual has another shape than the result of the layers, which no transformer's has: the layers are
// computed first, and rows are put together one by one.
OrtStatus* add_norm_broadcast(const LinearBlockKernel& kernel, OrtKernelContext* context, Work& work, int64_t tasks,
                              const InputTensor (&parts)[2]) {
  LinearBlock& block = work.block;
  RowBroadcast sum;
  if (!sum.set(parts))
    return kernel.api.createStatus(kInvalidArgument, "a dino8 operator: the residual does not fit the result");
  float* y = nullptr;
  if (OrtStatus* status = make_output(kernel.api, context, 0, sum.dims, sum.rank, &y)) return status;
  const int64_t columns = block.last().columns;
  // No exception may pass through ONNX Runtime, so that memory that is not there becomes a status.
  const std::unique_ptr<float[]> layers(new (std::nothrow) float[static_cast<size_t>(work.rows * columns)]);
  if (!layers) return kernel.api.createStatus(kFail, "a dino8 operator: there is not enough memory for a sum");
  const float* residual = block.residual;
  block.residual = nullptr, block.y = layers.get();
  if (OrtStatus* status = run_parts(kernel.api, context, work, tasks, run_task)) return status;
  for (int64_t row = 0; row < sum.rows(); row++) {
    const float* from = layers.get() + sum.row_of(0, row) * columns;
    std::copy(from, from + columns, y + row * columns);
    kernel.kernels.add_norm(residual + sum.row_of(1, row) * columns, columns, block.norm_scale, block.norm_bias,
                    block.norm_epsilon, y + row * columns);
  }
  return nullptr;
}

template <size_t number>
OrtStatus* compute(void* data, OrtKernelContext* context) {
  constexpr Variant variant = kVariants[number];
  const LinearBlockKernel& kernel = *static_cast<const LinearBlockKernel*>(data);
  const auto invalid = [&](const char* problem) { return kernel.api.createStatus(kInvalidArgument, problem); };
  InputTensor in[kMaxInputs];
  for (size_t index = 0; index < variant.inputs(); index++)
    if (OrtStatus* status = read_input(kernel.api, context, index, in[index])) return status;
  const auto start = [&](const PreparedLayer& layer, const LayerInputs& inputs, LayerOfRun& run) {
    return start_layer(layer, in[inputs.weight], in[inputs.scale], in[inputs.zero_point], run);
  };
  LayerOfRun first, second;
  if (const char* problem = start(kernel.first, kFirst, first)) return invalid(problem);
  if constexpr (variant.has_second) {
    if (const char* problem = start(kernel.second, kSecond, second)) return invalid(problem);
  }
  const InputTensor& x = in[kX];
  if (x.rank < 1 || x.dims[x.rank - 1] != kernel.first.depth)
    return invalid("a dino8 operator: x does not fit the first weight");

  Work work{{}, kernel.kernels.rows, x.count() / kernel.first.depth, 0};
  LinearBlock& block = work.block;
  if (variant.has_second) block.x = static_cast<const float*>(x.data);
  else block.bytes = static_cast<const uint8_t*>(x.data);
  block.input = first.input, block.first = first.packed;
  block.has_second = variant.has_second, block.activation = variant.activation;
  block.hidden = second.input, block.second = second.packed;
  block.norm_epsilon = kernel.norm_epsilon;
  InputTensor result = x;
  result.dims[x.rank - 1] = block.last().columns;
  work.rows_per_task = rows_per_task(work.rows, kernel.kernels.rows_at_a_time);
  const int64_t tasks = (work.rows + work.rows_per_task - 1) / work.rows_per_task;
  if constexpr (variant.has_norm) {
    const InputTensor* norm = in + variant.norm();
    if (const char* problem = read_norm(norm, block.last().columns, block)) return invalid(problem);
    if (norm->rank != x.rank || !std::equal(result.dims, result.dims + x.rank, norm->dims))
      return add_norm_broadcast(kernel, context, work, tasks, {result, *norm});
  }
  if (OrtStatus* status = make_output(kernel.api, context, 0, result.dims, x.rank, &block.y)) return status;
  return run_parts(kernel.api, context, work, tasks, run_task);
}

template <size_t number>
int input_type(const OrtCustomOp*, size_t index) {
  constexpr Variant variant = kVariants[number];
  if (index == kX) return variant.has_second ? kFloatElement : kUint8Element;
  if (index == kFirst.weight || (variant.has_second && index == kSecond.weight)) return kInt8Element;
  if (index == kFirst.zero_point || (variant.has_second && index == kSecond.zero_point)) return kUint8Element;
  return kFloatElement;
}

template <size_t number>
OrtCustomOp describe_op() {
  OrtCustomOp op = describe_cpu_operator();
  op.GetName = [](const OrtCustomOp*) { return kVariants[number].name; };
  op.GetInputTypeCount = [](const OrtCustomOp*) -> size_t { return kVariants[number].inputs(); };
  op.GetInputType = input_type<number>;
  op.GetOutputTypeCount = [](const OrtCustomOp*) -> size_t { return 1; };
  op.CreateKernelV2 = create<number>;
  op.KernelComputeV2 = compute<number>;
  op.KernelDestroy = [](void* kernel) { delete static_cast<LinearBlockKernel*>(kernel); };
  return op;
}

}  // namespace

OrtStatus* add_linear_blocks(const OrtApi& api, OrtCustomOpDomain* domain) {
  static const OrtCustomOp ops[] = {describe_op<0>(), describe_op<1>(), describe_op<2>(),
                                    describe_op<3>(), describe_op<4>(), describe_op<5>()};
  static_assert(sizeof ops / sizeof *ops == sizeof kVariants / sizeof *kVariants);
  for (const OrtCustomOp& op : ops)
    if (OrtStatus* status = api.addOperator(domain, &op)) return status;
  return nullptr;
}

}  // namespace dino8
