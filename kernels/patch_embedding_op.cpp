// The custom operator of the embedding of patches: it checks the tensors, prepares the constants once for a session, and splits the
// rows of patches among ONNX Runtime's threads. src/quant/targets/ort-cpu/patch-embedding-function.ts describes it.
#include "patch_embedding_op.h"

#include <algorithm>
#include <utility>

#include "cpu_operator.h"
#include "prepared_layer.h"
#include "quantized_output.h"

namespace dino8 {
namespace {

constexpr size_t kX = 0, kNormScale = 6, kNormBias = 7, kPatch = 8, kInputs = 9;
constexpr LayerInputs kLayer = layer_at(1);

struct PatchEmbeddingKernel {
  OrtApi api;
  const CpuKernels& kernels;
  PreparedLayer layer;
  int64_t patch, colours;
  float norm_epsilon;
};

OrtStatus* create(const OrtCustomOp*, const void* table, const OrtKernelInfo* node, void** kernel) {
  const OrtApi api{static_cast<const void* const*>(table)};
  const CpuPath* path = choose_cpu_path();
  if (path == nullptr) return api.createStatus(kInvalidArgument, bad_path_message());
  PreparedLayer layer;
  if (OrtStatus* status = read_layer(api, node, kLayer, layer)) return status;
  float epsilon = 0;
  if (OrtStatus* status = api.floatAttribute(node, "epsilon", &epsilon)) return status;
  InputTensor size;
  if (OrtStatus* status = read_constant(api, node, kPatch, size)) return status;
  if (size.data == nullptr || size.count() != 1)
    return api.createStatus(kInvalidArgument, "PatchEmbedding: the size of a patch must be a constant of one number");
  const int64_t patch = *static_cast<const int64_t*>(size.data);
  // A layer has less than kMaxDepth numbers for a patch.
  if (patch < 1 || patch > kMaxDepth || layer.depth % (patch * patch) != 0)
    return api.createStatus(kInvalidArgument, "PatchEmbedding: the weight does not fit the size of a patch");
  *kernel = new PatchEmbeddingKernel{api, *path->kernels, std::move(layer), patch, layer.depth / (patch * patch), epsilon};
  return nullptr;
}

struct Work {
  PatchEmbedding embedding;
  PatchEmbeddingRange run;
  int64_t rows_per_task;  // of patches
};

void run_task(void* data, size_t index) {
  const Work& work = *static_cast<const Work*>(data);
  const int64_t begin = static_cast<int64_t>(index) * work.rows_per_task;
  work.run(work.embedding, begin, std::min(begin + work.rows_per_task, work.embedding.all_rows()));
}

OrtStatus* compute(void* data, OrtKernelContext* context) {
  const PatchEmbeddingKernel& kernel = *static_cast<const PatchEmbeddingKernel*>(data);
  const auto invalid = [&](const char* problem) { return kernel.api.createStatus(kInvalidArgument, problem); };
  InputTensor in[kInputs];
  for (size_t index = 0; index < kInputs; index++)
    if (OrtStatus* status = read_input(kernel.api, context, index, in[index])) return status;
  LayerOfRun layer;
  if (const char* problem = start_layer(kernel.layer, in, kLayer, layer)) return invalid(problem);
  const InputTensor& x = in[kX];
  if (x.rank != 4 || x.dims[1] != kernel.colours)
    return invalid("PatchEmbedding: x is no image of as many colours as the weight");
  if (in[kNormScale].count() != kernel.layer.columns || in[kNormBias].count() != kernel.layer.columns)
    return invalid("PatchEmbedding: scale or bias of the normalization have another size than the result");
  Work work{{}, kernel.kernels.patch_embedding, 0};
  PatchEmbedding& e = work.embedding;
  e.x = static_cast<const float*>(x.data);
  e.batch = x.dims[0], e.colours = x.dims[1], e.height = x.dims[2], e.width = x.dims[3], e.patch = kernel.patch;
  e.input = layer.input, e.layer = layer.packed;
  e.norm_scale = static_cast<const float*>(in[kNormScale].data);
  e.norm_bias = static_cast<const float*>(in[kNormBias].data);
  e.norm_epsilon = kernel.norm_epsilon;
  const int64_t dims[] = {e.batch, e.rows(), e.columns(), e.layer.columns};
  if (OrtStatus* status = make_output(kernel.api, context, 0, dims, x.rank, &e.y)) return status;
  if (has_zero(x.dims, x.rank)) return nullptr;
  const int64_t patches = rows_per_task(e.all_rows() * e.columns(), kernel.kernels.linear_block.rows_at_a_time);
  work.rows_per_task = std::max<int64_t>(patches / e.columns(), 1);
  const int64_t tasks = (e.all_rows() + work.rows_per_task - 1) / work.rows_per_task;
  return run_parts(kernel.api, context, work, tasks, run_task);
}

OrtCustomOp describe_op() {
  OrtCustomOp op = describe_cpu_operator<PatchEmbeddingKernel, create, compute>();
  op.GetName = [](const OrtCustomOp*) { return kPatchEmbedding; };
  op.GetInputTypeCount = [](const OrtCustomOp*) { return kInputs; };
  op.GetInputType = [](const OrtCustomOp*, size_t index) {
    if (index == kPatch) return kInt64Element;
    if (index == kLayer.weight) return kInt8Element;
    return index == kLayer.zero_point ? kUint8Element : kFloatElement;
  };
  op.GetOutputTypeCount = [](const OrtCustomOp*) -> size_t { return 1; };
  return op;
}

}  // namespace

OrtStatus* add_patch_embedding(const OrtApi& api, OrtCustomOpDomain* domain) {
  static const OrtCustomOp op = describe_op();
  return api.addOperator(domain, &op);
}

}  // namespace dino8
