// The custom operators of attention of several heads: they check the tensors and split the heads and queries among ONNX
// Runtime's threads. src/quant/targets/ort-cpu/multi-head-attention-function.ts describes them.
#include "multi_head_attention_op.h"

#include <algorithm>
#include <string>

#include "cpu_operator.h"
#include "quantized_output.h"

namespace dino8 {
namespace {

constexpr size_t kQuery = 0, kKey = 1, kValue = 2, kBias = 3, kScale = 4, kHeads = 5, kPlainInputs = 6,
                 kMaxInputs = kPlainInputs + 2;

struct Work {
  MultiHeadAttention attention;
  MultiHeadAttentionRange run;
  int64_t queries_per_task, tasks_per_head;
};

void run_task(void* data, size_t index) {
  const Work& work = *static_cast<const Work*>(data);
  const auto task = static_cast<int64_t>(index);
  const int64_t begin = task % work.tasks_per_head * work.queries_per_task;
  const int64_t end = std::min(begin + work.queries_per_task, work.attention.queries);
  work.run(work.attention, task / work.tasks_per_head, begin, end);
}

// Splits the queries of a head where there are few heads. A task has enough queries that reading the keys is not most of it.
void split_queries(Work& work) {
  constexpr int64_t kWantedTasks = 32, kFewestQueries = 96, kStep = 8;
  const MultiHeadAttention& a = work.attention;
  const int64_t parts = std::max<int64_t>(kWantedTasks / (a.batch * a.heads), 1);
  const int64_t queries = std::max((a.queries + parts - 1) / parts, kFewestQueries);
  work.queries_per_task = round_up(queries, kStep);
  work.tasks_per_head = (a.queries + work.queries_per_task - 1) / work.queries_per_task;
}

// Sets what is added to the scores. Returns false if the tensor does not fit.
bool read_bias(const InputTensor& bias, MultiHeadAttention& a) {
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
const char* read(const InputTensor* in, MultiHeadAttention& a) {
  const InputTensor &query = in[kQuery], &key = in[kKey], &value = in[kValue];
  if (query.rank != 3 || key.rank != 3 || value.rank != 3 || query.dims[0] != key.dims[0] ||
      query.dims[2] != key.dims[2] || !std::equal(key.dims, key.dims + 3, value.dims))
    return "MultiHeadAttention: queries, keys and values do not fit each other";
  if (in[kScale].count() != 1 || in[kHeads].count() != 1)
    return "MultiHeadAttention: the scale or the number of heads is not one number";
  a.heads = *static_cast<const int64_t*>(in[kHeads].data);
  if (a.heads < 1 || query.dims[2] % a.heads != 0)
    return "MultiHeadAttention: the channels are no multiple of the number of heads";
  a.batch = query.dims[0], a.queries = query.dims[1], a.keys = key.dims[1], a.size = query.dims[2] / a.heads;
  a.query = static_cast<const float*>(query.data), a.key = static_cast<const float*>(key.data);
  a.value = static_cast<const float*>(value.data);
  a.scale = *static_cast<const float*>(in[kScale].data);
  return read_bias(in[kBias], a) ? nullptr : "MultiHeadAttention: the bias is not [batch, heads, queries, keys]";
}

template <bool is_quantized>
OrtStatus* compute(void* data, OrtKernelContext* context) {
  const OperatorKernel& kernel = *static_cast<const OperatorKernel*>(data);
  InputTensor in[kMaxInputs];
  for (size_t index = 0; index < (is_quantized ? kMaxInputs : kPlainInputs); index++)
    if (OrtStatus* status = read_input(kernel.api, context, index, in[index])) return status;
  Work work{{}, kernel.kernels.multi_head_attention, 0, 0};
  MultiHeadAttention& a = work.attention;
  if (const char* problem = read(in, a)) return kernel.api.createStatus(kInvalidArgument, problem);
  Results results;
  const InputTensor* range = is_quantized ? in + kPlainInputs : nullptr;
  if (OrtStatus* status = make_results(kernel.api, context, range, in[kQuery].dims, 3, results)) return status;
  a.y = results.floats, a.y_bytes = results.bytes, a.y_range = results.range;
  const int64_t count = in[kQuery].count();
  if (count == 0) return nullptr;
  if (a.keys == 0) {  // a sum over no keys is zero
    if (a.y) std::fill_n(a.y, count, 0.0f);
    if (a.y_bytes) std::fill_n(a.y_bytes, count, static_cast<uint8_t>(a.y_range.zero_point));
    return nullptr;
  }
  split_queries(work);
  return run_parts(kernel.api, context, work, a.batch * a.heads * work.tasks_per_head, run_task);
}

template <bool is_quantized>
OrtCustomOp describe_op() {
  OrtCustomOp op = describe_cpu_operator();
  op.GetName = [](const OrtCustomOp*) {
    static const std::string name = std::string(kMultiHeadAttention) + (is_quantized ? kQuantized : "");
    return name.c_str();
  };
  op.GetInputTypeCount = [](const OrtCustomOp*) { return is_quantized ? kMaxInputs : kPlainInputs; };
  op.GetInputType = [](const OrtCustomOp*, size_t index) {
    return index == kHeads ? kInt64Element : index == kMaxInputs - 1 ? kUint8Element : kFloatElement;
  };
  op.GetOutputTypeCount = [](const OrtCustomOp*) -> size_t { return 1; };
  if (is_quantized) describe_quantized(op);
  op.KernelComputeV2 = guarded<OperatorKernel, compute<is_quantized>>;
  return op;
}

}  // namespace

OrtStatus* add_multi_head_attention(const OrtApi& api, OrtCustomOpDomain* domain) {
  static const OrtCustomOp ops[] = {describe_op<false>(), describe_op<true>()};
  for (const OrtCustomOp& op : ops)
    if (OrtStatus* status = api.addOperator(domain, &op)) return status;
  return nullptr;
}

}  // namespace dino8
