// The custom operators of attention of several heads: they check the tensors and split the heads and queries among ONNX
// Runtime's threads. src/quant/targets/ort-cpu/multi-head-attention-function.ts describes them.
#include "multi_head_attention_op.h"

#include <algorithm>
#include <string>
#include <type_traits>

#include "cpu_operator.h"
#include "quantized_output.h"

namespace dino8 {
namespace {

// The variants of the operator: by the type of queries, keys and values, and by that of the result.
struct Variant {
  bool is_integer, is_quantized;

  // Each of queries, keys and values is followed by its scale and zero point where it is of bytes.
  constexpr size_t part(size_t index) const { return is_integer ? 3 * index : index; }
  constexpr size_t bias() const { return part(3); }
  constexpr size_t scale() const { return bias() + 1; }
  constexpr size_t heads() const { return bias() + 2; }
  constexpr size_t plain_inputs() const { return bias() + 3; }
  constexpr size_t inputs() const { return plain_inputs() + (is_quantized ? 2 : 0); }
};
constexpr size_t kMaxInputs = Variant{true, true}.inputs();

template <class Attention>
struct Work {
  Attention attention;
  void (*run)(const Attention&, int64_t head, int64_t begin, int64_t end);
  int64_t queries_per_task, tasks_per_head;
};

template <class Attention>
void run_task(void* data, size_t index) {
  const Work<Attention>& work = *static_cast<const Work<Attention>*>(data);
  const auto task = static_cast<int64_t>(index);
  const int64_t begin = task % work.tasks_per_head * work.queries_per_task;
  const int64_t end = std::min(begin + work.queries_per_task, work.attention.queries);
  work.run(work.attention, task / work.tasks_per_head, begin, end);
}

// Splits the queries of a head where there are few heads. A task has enough queries that reading the keys is not most of it.
template <class Attention>
void split_queries(Work<Attention>& work) {
  constexpr int64_t kWantedTasks = 32, kFewestQueries = 96, kStep = 8;
  const Attention& a = work.attention;
  const int64_t parts = std::max<int64_t>(kWantedTasks / (a.batch * a.heads), 1);
  const int64_t queries = std::max((a.queries + parts - 1) / parts, kFewestQueries);
  work.queries_per_task = round_up(queries, kStep);
  work.tasks_per_head = (a.queries + work.queries_per_task - 1) / work.queries_per_task;
}

// Sets what is added to the scores. Returns false if the tensor does not fit.
bool read_bias(const InputTensor& bias, AttentionHeads& a) {
  const int64_t sizes[] = {a.batch, a.heads, a.queries, a.keys};
  int64_t* const strides[] = {&a.batch_stride, &a.head_stride, &a.query_stride, &a.key_stride};
  if (bias.rank != 4) return false;
  int64_t stride = 1;
  for (size_t axis = 4; axis-- > 0;) {
    if (bias.dims[axis] != 1 && bias.dims[axis] != sizes[axis]) return false;
    *strides[axis] = bias.dims[axis] == 1 ? 0 : stride;
    stride *= bias.dims[axis];
  }
  a.bias = static_cast<const float*>(bias.data);
  return true;
}

// Returns null, or the sentence that says what does not fit.
const char* read_heads(const InputTensor* in, Variant variant, AttentionHeads& a) {
  const InputTensor &query = in[variant.part(0)], &key = in[variant.part(1)], &value = in[variant.part(2)];
  const InputTensor &scale = in[variant.scale()], &heads = in[variant.heads()];
  if (query.rank != 3 || key.rank != 3 || value.rank != 3 || query.dims[0] != key.dims[0] ||
      query.dims[2] != key.dims[2] || !std::equal(key.dims, key.dims + 3, value.dims))
    return "MultiHeadAttention: queries, keys and values do not fit each other";
  if (scale.count() != 1 || heads.count() != 1)
    return "MultiHeadAttention: the scale or the number of heads is not one number";
  a.heads = *static_cast<const int64_t*>(heads.data);
  if (a.heads < 1 || query.dims[2] % a.heads != 0)
    return "MultiHeadAttention: the channels are no multiple of the number of heads";
  a.batch = query.dims[0], a.queries = query.dims[1], a.keys = key.dims[1], a.size = query.dims[2] / a.heads;
  a.scale = *static_cast<const float*>(scale.data);
  return read_bias(in[variant.bias()], a) ? nullptr : "MultiHeadAttention: the bias is not [batch, heads, queries, keys]";
}

const char* read(const InputTensor* in, MultiHeadAttention& a) {
  a.query = static_cast<const float*>(in[0].data), a.key = static_cast<const float*>(in[1].data);
  a.value = static_cast<const float*>(in[2].data);
  return nullptr;
}

const char* read(const InputTensor* in, IntegerMultiHeadAttention& a) {
  const uint8_t** const parts[] = {&a.query, &a.key, &a.value};
  ByteRange* const ranges[] = {&a.query_range, &a.key_range, &a.value_range};
  for (size_t index = 0; index < 3; index++, in += 3) {
    *parts[index] = static_cast<const uint8_t*>(in[0].data);
    if (const char* problem = read_range(in[1], in[2], *ranges[index])) return problem;
  }
  if (a.size > kMostHeadSize) return "IntegerMultiHeadAttention: a head has more than 8,192 channels";
  return a.keys > kMostByteKeys ? "IntegerMultiHeadAttention: there are more than 65,535 keys" : nullptr;
}

// The kernel of the attention of a type.
void choose(const CpuKernels& kernels, Work<MultiHeadAttention>& work) { work.run = kernels.multi_head_attention; }
void choose(const CpuKernels& kernels, Work<IntegerMultiHeadAttention>& work) {
  work.run = kernels.integer_multi_head_attention;
}

template <class Attention, bool is_quantized>
OrtStatus* compute(void* data, OrtKernelContext* context) {
  constexpr Variant variant{std::is_same_v<Attention, IntegerMultiHeadAttention>, is_quantized};
  const OperatorKernel& kernel = *static_cast<const OperatorKernel*>(data);
  InputTensor in[kMaxInputs];
  for (size_t index = 0; index < variant.inputs(); index++)
    if (OrtStatus* status = read_input(kernel.api, context, index, in[index])) return status;
  Work<Attention> work{};
  choose(kernel.kernels, work);
  Attention& a = work.attention;
  const char* problem = read_heads(in, variant, a);
  if (problem == nullptr) problem = read(in, a);
  if (problem != nullptr) return kernel.api.createStatus(kInvalidArgument, problem);
  Results results;
  const InputTensor* range = is_quantized ? in + variant.plain_inputs() : nullptr;
  if (OrtStatus* status = make_results(kernel.api, context, range, in[0].dims, 3, results)) return status;
  a.y = results.floats, a.y_bytes = results.bytes, a.y_range = results.range;
  const int64_t count = in[0].count();
  if (count == 0) return nullptr;
  if (a.keys == 0) {  // a sum over no keys is zero
    if (a.y) std::fill_n(a.y, count, 0.0f);
    if (a.y_bytes) std::fill_n(a.y_bytes, count, static_cast<uint8_t>(a.y_range.zero_point));
    return nullptr;
  }
  split_queries(work);
  return run_parts(kernel.api, context, work, a.batch * a.heads * work.tasks_per_head, run_task<Attention>);
}

template <bool is_integer, bool is_quantized>
int input_type(const OrtCustomOp*, size_t index) {
  constexpr Variant variant{is_integer, is_quantized};
  if (index == variant.heads()) return kInt64Element;
  const bool is_zero_point = index == variant.plain_inputs() + 1;
  const bool is_byte = is_integer && index < variant.bias() && index % 3 != 1;
  return is_zero_point || is_byte ? kUint8Element : kFloatElement;
}

template <class Attention, bool is_quantized>
OrtCustomOp describe_op() {
  constexpr bool is_integer = std::is_same_v<Attention, IntegerMultiHeadAttention>;
  OrtCustomOp op = describe_cpu_operator();
  op.GetName = [](const OrtCustomOp*) {
    static const std::string name =
        std::string(is_integer ? kIntegerMultiHeadAttention : kMultiHeadAttention) + (is_quantized ? kQuantized : "");
    return name.c_str();
  };
  op.GetInputTypeCount = [](const OrtCustomOp*) { return Variant{is_integer, is_quantized}.inputs(); };
  op.GetInputType = input_type<is_integer, is_quantized>;
  op.GetOutputTypeCount = [](const OrtCustomOp*) -> size_t { return 1; };
  if (is_quantized) describe_quantized(op);
  op.KernelComputeV2 = guarded<OperatorKernel, compute<Attention, is_quantized>>;
  return op;
}

}  // namespace

OrtStatus* add_multi_head_attention(const OrtApi& api, OrtCustomOpDomain* domain) {
  static const OrtCustomOp ops[] = {describe_op<MultiHeadAttention, false>(), describe_op<MultiHeadAttention, true>(),
                                    describe_op<IntegerMultiHeadAttention, false>(),
                                    describe_op<IntegerMultiHeadAttention, true>()};
  for (const OrtCustomOp& op : ops)
    if (OrtStatus* status = api.addOperator(domain, &op)) return status;
  return nullptr;
}

}  // namespace dino8
