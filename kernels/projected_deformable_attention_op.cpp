// The custom operators of deformable attention whose offsets and logits are results of linear layers: they check the tensors,
// prepare the constants once for a session, and split the queries among ONNX Runtime's threads.
// src/quant/targets/ort-cpu/projected-attention-function.ts describes them.
#include "projected_deformable_attention_op.h"

#include <algorithm>
#include <string>
#include <utility>

#include "cpu_operator.h"
#include "deformable_attention_op.h"
#include "prepared_layer.h"
#include "quantized_output.h"

namespace dino8 {
namespace {

// The inputs are those of deformable attention up to its offsets, then the queries with their scale and zero point, and weight,
// scale and bias of the layer of the offsets and of that of the logits.
constexpr size_t kQueries = kSamplingOffsets, kPlainInputs = kQueries + 9, kMaxInputs = kPlainInputs + 2;
constexpr LayerInputs kOffsetLayer{kQueries + 1, kQueries + 2, kQueries + 3, kQueries + 4, kQueries + 5};
constexpr LayerInputs kLogitLayer{kQueries + 1, kQueries + 2, kQueries + 6, kQueries + 7, kQueries + 8};

struct ProjectedKernel {
  OrtApi api;
  const CpuKernels& kernels;
  PreparedLayer offsets, logits;
};

OrtStatus* create(const OrtCustomOp*, const void* table, const OrtKernelInfo* node, void** kernel) {
  const OrtApi api{static_cast<const void* const*>(table)};
  const CpuPath* path = choose_cpu_path();
  if (path == nullptr) return api.createStatus(kInvalidArgument, bad_path_message());
  PreparedLayer offsets, logits;
  if (OrtStatus* status = read_layer(api, node, kOffsetLayer, offsets)) return status;
  if (OrtStatus* status = read_layer(api, node, kLogitLayer, logits)) return status;
  if (offsets.depth != logits.depth || offsets.columns != 2 * logits.columns)
    return api.createStatus(kInvalidArgument, "ProjectedDeformableAttention: the two weights do not fit each other");
  *kernel = new ProjectedKernel{api, *path->kernels, std::move(offsets), std::move(logits)};
  return nullptr;
}

struct Work {
  DeformableAttention attention;
  QueryProjections projections;
  ProjectedQueryRange run;
  int64_t queries, queries_per_task;
};

void run_task(void* data, size_t index) {
  const Work& work = *static_cast<const Work*>(data);
  const int64_t begin = static_cast<int64_t>(index) * work.queries_per_task;
  work.run(work.attention, work.projections, begin, std::min(begin + work.queries_per_task, work.queries));
}

// Fills in `a` from the inputs. Returns null, or the sentence that says what does not fit.
const char* describe(const InputTensor (&in)[kMaxInputs], const ProjectedKernel& kernel, DeformableAttention& a) {
  const InputTensor &value = in[kValue], &queries = in[kQueries], &shapes = in[kSpatialShapes];
  if (value.rank != 4 || shapes.rank != 2 || queries.rank != 3 || queries.dims[2] != kernel.offsets.depth)
    return "ProjectedDeformableAttention: an input has the wrong rank, or the queries do not fit the weights";
  const int64_t heads = value.dims[2], levels = shapes.dims[0], columns = kernel.logits.columns;
  if (heads < 1 || heads > columns || levels < 1 || levels > kMaxLevels || columns % (heads * levels) != 0)
    return "ProjectedDeformableAttention: the logits do not fit the heads and the levels";
  InputTensor all[kAttentionInputs];
  std::copy(in, in + kQueries, all);
  const int64_t batch = queries.dims[0], count = queries.dims[1], samples = columns / heads;
  all[kSamplingOffsets] = {nullptr, 6, {batch, count, heads, levels, samples / levels, 2}};
  all[kAttentionLogits] = {nullptr, 4, {batch, count, heads, samples}};
  return describe_attention(all, a);
}

template <ValueType type, bool is_quantized>
OrtStatus* compute(void* data, OrtKernelContext* context) {
  const ProjectedKernel& kernel = *static_cast<const ProjectedKernel*>(data);
  const auto invalid = [&](const char* problem) { return kernel.api.createStatus(kInvalidArgument, problem); };
  InputTensor in[kMaxInputs];
  for (size_t index = 0; index < (is_quantized ? kMaxInputs : kPlainInputs); index++)
    if (OrtStatus* status = read_input(kernel.api, context, index, in[index])) return status;
  LayerOfRun offsets, logits;
  if (const char* problem = start_layer(kernel.offsets, in, kOffsetLayer, offsets)) return invalid(problem);
  if (const char* problem = start_layer(kernel.logits, in, kLogitLayer, logits)) return invalid(problem);
  Work work{};
  DeformableAttention& a = work.attention;
  a.value_type = type;
  if (const char* problem = describe(in, kernel, a)) return invalid(problem);

  const int64_t dims[] = {a.batch, a.queries, a.heads * a.size};
  Results results;
  const InputTensor* range = is_quantized ? in + kPlainInputs : nullptr;
  if (OrtStatus* status = make_results(kernel.api, context, range, dims, 3, results)) return status;
  a.output = results.floats, a.output_bytes = results.bytes, a.output_range = results.range;
  const auto* bytes = static_cast<const uint8_t*>(in[kQueries].data);
  work.projections = {bytes, offsets.input, offsets.packed, logits.packed};
  work.run = kernel.kernels.projected_deformable_attention;
  // Queries of a few blocks are enough work for one task, and few enough that all threads get about the same.
  constexpr int64_t kMostBlocks = 4;
  const int64_t block = kernel.kernels.linear_block.rows_at_a_time;
  work.queries = a.batch * a.queries;
  work.queries_per_task = std::min(rows_per_task(work.queries, block), kMostBlocks * block);
  const int64_t tasks = (work.queries + work.queries_per_task - 1) / work.queries_per_task;
  return run_parts(kernel.api, context, work, tasks, run_task);
}

template <ValueType type>
int input_type(const OrtCustomOp*, size_t index) {
  constexpr int kValueElement = type == ValueType::kUint8 ? kUint8Element : kInt8Element;
  switch (index) {
    case kValue:
    case kValueZeroPoint:
      return kValueElement;
    case kSpatialShapes:
      return kInt64Element;
    case kQueries:
    case kOffsetLayer.zero_point:
    case kMaxInputs - 1:
      return kUint8Element;
    case kOffsetLayer.weight:
    case kLogitLayer.weight:
      return kInt8Element;
    default:
      return kFloatElement;
  }
}

// ONNX Runtime chooses among operators of the same name by the types of their inputs.
template <ValueType type, bool is_quantized>
OrtCustomOp describe_op() {
  OrtCustomOp op = describe_cpu_operator<ProjectedKernel, create, compute<type, is_quantized>>();
  op.GetName = [](const OrtCustomOp*) {
    static const std::string name = std::string(kProjectedDeformableAttention) + (is_quantized ? kQuantized : "");
    return name.c_str();
  };
  op.GetInputTypeCount = [](const OrtCustomOp*) { return is_quantized ? kMaxInputs : kPlainInputs; };
  op.GetInputType = input_type<type>;
  op.GetOutputTypeCount = [](const OrtCustomOp*) -> size_t { return 1; };
  if (is_quantized) describe_quantized(op);
  return op;
}

}  // namespace

OrtStatus* add_projected_deformable_attention(const OrtApi& api, OrtCustomOpDomain* domain) {
  static const OrtCustomOp ops[] = {
      describe_op<ValueType::kUint8, false>(), describe_op<ValueType::kInt8, false>(),
      describe_op<ValueType::kUint8, true>(), describe_op<ValueType::kInt8, true>()};
  for (const OrtCustomOp& op : ops)
    if (OrtStatus* status = api.addOperator(domain, &op)) return status;
  return nullptr;
}

}  // namespace dino8
