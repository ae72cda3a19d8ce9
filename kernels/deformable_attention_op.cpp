// The custom operator of deformable attention: it checks the tensors and splits the queries among ONNX Runtime's
// threads.
#include <algorithm>
#include <climits>
#include <string>

#include "cpu_operator.h"
#include "deformable_attention_op.h"
#include "quantized_output.h"

namespace dino8 {
namespace {

// This is enough work for one task, and small enough that all threads get about the same.
constexpr int64_t kQueriesPerTask = 32;

constexpr size_t kRanks[kAttentionInputs] = {4, 0, 0, 2, 4, 4, 6, 4};

int element_type(ValueType type) {
  switch (type) {
    case ValueType::kUint8: return kUint8Element;
    case ValueType::kInt8: return kInt8Element;
    default: return kFloatElement;
  }
}

float scalar(const void* data, ValueType type) {
  switch (type) {
    case ValueType::kUint8: return *static_cast<const uint8_t*>(data);
    case ValueType::kInt8: return *static_cast<const int8_t*>(data);
    default: return *static_cast<const float*>(data);
  }
}

bool same(const int64_t* dims, std::initializer_list<int64_t> expected) {
  return std::equal(expected.begin(), expected.end(), dims);
}

struct Work {
  DeformableAttention attention;
  QueryRange queries;
};

void run_task(void* data, size_t index) {
  const Work& work = *static_cast<const Work*>(data);
  const int64_t begin = static_cast<int64_t>(index) * kQueriesPerTask;
  const int64_t total = work.attention.batch * work.attention.queries;
  work.queries(work.attention, begin, std::min(begin + kQueriesPerTask, total));
}

// With `is_quantized`, scale and zero point of the result follow the other inputs.
template <ValueType type, bool is_quantized>
OrtStatus* compute(void* data, OrtKernelContext* context) {
  const OperatorKernel& kernel = *static_cast<const OperatorKernel*>(data);
  InputTensor inputs[kAttentionInputs], range[2];
  for (size_t index = 0; index < kAttentionInputs; index++)
    if (OrtStatus* status = read_input(kernel.api, context, index, inputs[index])) return status;
  for (size_t index = 0; index < (is_quantized ? 2 : 0); index++)
    if (OrtStatus* status = read_input(kernel.api, context, kAttentionInputs + index, range[index])) return status;
  Work work{{}, kernel.kernels.deformable_attention};
  DeformableAttention& a = work.attention;
  a.value_type = type;
  if (const char* problem = describe_attention(inputs, a)) return kernel.api.createStatus(kInvalidArgument, problem);

  const int64_t dims[] = {a.batch, a.queries, a.heads * a.size};
  Results results;
  if (OrtStatus* status = make_results(kernel.api, context, is_quantized ? range : nullptr, dims, 3, results))
    return status;
  a.output = results.floats, a.output_bytes = results.bytes, a.output_range = results.range;
  const int64_t tasks = (a.batch * a.queries + kQueriesPerTask - 1) / kQueriesPerTask;
  return run_parts(kernel.api, context, work, tasks, run_task);
}

template <ValueType type>
int input_type(const OrtCustomOp*, size_t index) {
  if (index == kSpatialShapes) return kInt64Element;
  if (index == kAttentionInputs + 1) return kUint8Element;
  const bool stored = index == kValue || index == kValueZeroPoint;
  return stored ? element_type(type) : kFloatElement;
}

// ONNX Runtime chooses among operators of the same name by the types of their inputs.
template <ValueType type, bool is_quantized>
OrtCustomOp describe_op() {
  OrtCustomOp op = describe_cpu_operator();
  op.GetName = [](const OrtCustomOp*) {
    static const std::string name = std::string(kDeformableAttention) + (is_quantized ? kQuantized : "");
    return name.c_str();
  };
  op.GetInputTypeCount = [](const OrtCustomOp*) -> size_t { return kAttentionInputs + (is_quantized ? 2 : 0); };
  op.GetInputType = input_type<type>;
  op.GetOutputTypeCount = [](const OrtCustomOp*) -> size_t { return 1; };
  if (is_quantized) describe_quantized(op);
  op.KernelComputeV2 = guarded<OperatorKernel, compute<type, is_quantized>>;
  return op;
}

}  // namespace

const char* describe_attention(const InputTensor (&in)[kAttentionInputs], DeformableAttention& a) {
  for (int index = 0; index < kAttentionInputs; index++)
    if (in[index].rank != kRanks[index]) return "MultiScaleDeformableAttention: an input has the wrong rank";
  a.batch = in[kValue].dims[0], a.positions = in[kValue].dims[1];
  a.heads = in[kValue].dims[2], a.size = in[kValue].dims[3];
  a.queries = in[kSamplingOffsets].dims[1], a.levels = in[kSamplingOffsets].dims[3];
  a.points = in[kSamplingOffsets].dims[4];
  // The kernels number the values of a batch item by 32 bits.
  if (a.heads > 0 && a.size > 0 && a.positions > INT_MAX / a.heads / a.size)
    return "MultiScaleDeformableAttention: the value has too many numbers";
  if (a.levels < 1 || a.levels > kMaxLevels || a.points < 1 || a.points > kMaxSamples / a.levels)
    return "MultiScaleDeformableAttention: too many levels or points, or none";
  const int64_t* scale = in[kOffsetScale].dims;
  if (!same(in[kSamplingOffsets].dims, {a.batch, a.queries, a.heads, a.levels, a.points, 2}) ||
      !same(in[kAttentionLogits].dims, {a.batch, a.queries, a.heads, a.levels * a.points}) ||
      !same(in[kReferencePoints].dims, {a.batch, a.queries, a.levels, 2}) ||
      !same(in[kSpatialShapes].dims, {a.levels, 2}) || scale[2] != a.levels || scale[3] != 2 ||
      (scale[0] != 1 && scale[0] != a.batch) || (scale[1] != 1 && scale[1] != a.queries))
    return "MultiScaleDeformableAttention: the shapes of the inputs contradict each other";
  a.scale_query_stride = scale[1] == 1 ? 0 : a.levels * 2;
  a.scale_batch_stride = scale[0] == 1 ? 0 : scale[1] * a.levels * 2;

  const auto* shapes = static_cast<const int64_t*>(in[kSpatialShapes].data);
  int64_t start = 0;
  for (int64_t level = 0; level < a.levels; level++) {
    const int64_t height = shapes[level * 2], width = shapes[level * 2 + 1];
    if (height < 1 || width < 1 || height > INT_MAX || width > INT_MAX || height * width > a.positions - start)
      return "MultiScaleDeformableAttention: spatial_shapes do not fit the value";
    a.height[level] = height, a.width[level] = width, a.start[level] = start;
    start += height * width;
  }
  if (start != a.positions) return "MultiScaleDeformableAttention: spatial_shapes do not cover the value";
  a.value = in[kValue].data;
  a.value_scale = *static_cast<const float*>(in[kValueScale].data);
  a.value_zero_point = scalar(in[kValueZeroPoint].data, a.value_type);
  a.reference_points = static_cast<const float*>(in[kReferencePoints].data);
  a.offset_scale = static_cast<const float*>(in[kOffsetScale].data);
  a.sampling_offsets = static_cast<const float*>(in[kSamplingOffsets].data);
  a.attention_logits = static_cast<const float*>(in[kAttentionLogits].data);
  return nullptr;
}

OrtStatus* add_deformable_attention(const OrtApi& api, OrtCustomOpDomain* domain) {
  static const OrtCustomOp ops[] = {
      describe_op<ValueType::kFloat, false>(), describe_op<ValueType::kUint8, false>(),
      describe_op<ValueType::kInt8, false>(),  describe_op<ValueType::kFloat, true>(),
      describe_op<ValueType::kUint8, true>(),  describe_op<ValueType::kInt8, true>()};
  for (const OrtCustomOp& op : ops)
    if (OrtStatus* status = api.addOperator(domain, &op)) return status;
  return nullptr;
}

}  // namespace dino8
