// The custom operator of the scores of proposals: it checks the tensors, arranges the texts, and splits the positions among ONNX
// Runtime's threads. src/quant/targets/ort-cpu/proposal-scores-function.ts describes it.
#include "proposal_scores_op.h"

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "cpu_operator.h"
#include "prepared_layer.h"
#include "proposal_scores.h"
#include "run_memory.h"

namespace dino8 {
namespace {

constexpr size_t kX = 0, kValid = 1, kNormScale = 7, kNormBias = 8, kText = 9, kMask = 10, kInputs = 11;
constexpr LayerInputs kLayer = layer_at(2);

struct ProposalScoresKernel {
  OrtApi api;
  ProposalScoresKernels kernels;
  PreparedLayer layer;
  float norm_epsilon;
};

OrtStatus* create(const OrtCustomOp*, const void* table, const OrtKernelInfo* node, void** kernel) {
  const OrtApi api{static_cast<const void* const*>(table)};
  const CpuPath* path = choose_cpu_path();
  if (path == nullptr) return api.createStatus(kInvalidArgument, bad_path_message());
  PreparedLayer layer;
  float epsilon = 0;
  if (OrtStatus* status = read_layer(api, node, kLayer, layer)) return status;
  if (OrtStatus* status = api.floatAttribute(node, "epsilon", &epsilon)) return status;
  *kernel = new ProposalScoresKernel{api, path->kernels->proposal_scores, std::move(layer), epsilon};
  return nullptr;
}

// The dimensions of a batch. `images` is 1 for a tensor that all of them share, as for those below.
struct Sizes {
  int64_t images, positions, tokens, images_of_x, images_of_valid, images_of_text, images_of_mask;
};

// Returns null, or the sentence that says what does not fit.
const char* read_sizes(const InputTensor* in, const PreparedLayer& layer, Sizes& sizes) {
  const InputTensor &x = in[kX], &valid = in[kValid], &text = in[kText], &mask = in[kMask];
  if (x.rank != 3 || x.dims[2] != layer.depth) return "ProposalScores: x is not [batch, positions, depth of the weight]";
  if (valid.rank != 3 || valid.dims[1] != x.dims[1] || valid.dims[2] != 1)
    return "ProposalScores: the valid positions are not [batch, positions, 1]";
  if (in[kNormScale].count() != layer.columns || in[kNormBias].count() != layer.columns)
    return "ProposalScores: scale or bias of the normalization have another size than a row";
  if (text.rank != 3 || text.dims[1] != layer.columns) return "ProposalScores: the text is not [batch, columns, tokens]";
  if (mask.rank != 3 || mask.dims[1] != 1 || mask.dims[2] != text.dims[2])
    return "ProposalScores: the mask is not [batch, 1, tokens]";
  const int64_t batches[] = {x.dims[0], valid.dims[0], text.dims[0], mask.dims[0]};
  const int64_t* const other = std::find_if(batches, batches + 4, [](int64_t images) { return images != 1; });
  const int64_t images = other == batches + 4 ? 1 : *other;
  if (std::any_of(batches, batches + 4, [&](int64_t each) { return each != 1 && each != images; }))
    return "ProposalScores: the inputs are of batches of different sizes";
  sizes = {images, x.dims[1], text.dims[2], x.dims[0], valid.dims[0], text.dims[0], mask.dims[0]};
  return nullptr;
}

// Sets `to` to a text [width, tokens] in panels, with zeros in the columns from `tokens` to before `padded`.
void arrange_text(const float* text, int64_t width, int64_t tokens, int64_t padded, float* to) {
  for (int64_t column = 0; column < padded; column += kTextColumns) {
    const int64_t columns = std::min(kTextColumns, padded - column), count = std::clamp<int64_t>(tokens - column, 0, columns);
    for (int64_t row = 0; row < width; row++, to += columns) {
      std::copy_n(text + row * tokens + column, count, to);
      std::fill(to + count, to + columns, 0.0f);
    }
  }
}

// ONNX Runtime adds products in parts of so many terms (MlasGemm), so that the results are the same to the bit where
// instructions are fused.
int64_t terms_of_part(int64_t tokens, int64_t width) {
  int64_t columns = 128, terms = 128;
  if (tokens < width)
    for (; columns > 16 && columns / 2 >= tokens; columns /= 2) terms *= 2;
  else
    for (; terms / 2 >= width; terms /= 2) columns *= 2;
  return terms;
}

struct Work {
  std::vector<ProposalScores> images;
  ProposalScoresKernels kernels;
  int64_t positions, per_task, tasks_per_image;
};

void run_task(void* data, size_t index) {
  const Work& work = *static_cast<const Work*>(data);
  const auto task = static_cast<int64_t>(index);
  const int64_t begin = task % work.tasks_per_image * work.per_task;
  work.kernels.rows(work.images[static_cast<size_t>(task / work.tasks_per_image)], begin,
                    std::min(begin + work.per_task, work.positions));
}

OrtStatus* compute(void* data, OrtKernelContext* context) {
  const ProposalScoresKernel& kernel = *static_cast<const ProposalScoresKernel*>(data);
  const auto invalid = [&](const char* problem) { return kernel.api.createStatus(kInvalidArgument, problem); };
  InputTensor in[kInputs];
  for (size_t index = 0; index < kInputs; index++)
    if (OrtStatus* status = read_input(kernel.api, context, index, in[index])) return status;
  LayerOfRun layer;
  if (const char* problem = start_layer(kernel.layer, in, kLayer, layer)) return invalid(problem);
  Sizes sizes{};
  if (const char* problem = read_sizes(in, kernel.layer, sizes)) return invalid(problem);
  const int64_t dims[] = {sizes.images, sizes.positions};
  float* y = nullptr;
  if (OrtStatus* status = make_output(kernel.api, context, 0, dims, 2, &y)) return status;
  if (sizes.images == 0 || sizes.positions == 0) return nullptr;

  const int64_t width = kernel.layer.columns, padded = round_up(sizes.tokens, kPanelColumns);
  const int64_t text_size = width * padded;
  const RunMemory memory(kernel.api, context);
  const RunMemory::Piece piece(memory, (sizes.images_of_text * text_size + sizes.images_of_mask * padded) * 4);
  if (piece.begin() == nullptr) return no_memory(kernel.api);
  float* const texts = reinterpret_cast<float*>(piece.begin());
  float* const masks = texts + sizes.images_of_text * text_size;
  for (int64_t image = 0; image < sizes.images_of_text; image++)
    arrange_text(static_cast<const float*>(in[kText].data) + image * width * sizes.tokens, width, sizes.tokens, padded,
                 texts + image * text_size);
  for (int64_t image = 0; image < sizes.images_of_mask; image++) {
    float* const mask = masks + image * padded;
    std::copy_n(static_cast<const float*>(in[kMask].data) + image * sizes.tokens, sizes.tokens, mask);
    std::fill(mask + sizes.tokens, mask + padded, -std::numeric_limits<float>::infinity());
  }

  Work work{std::vector<ProposalScores>(static_cast<size_t>(sizes.images)), kernel.kernels, sizes.positions, 0, 0};
  for (int64_t image = 0; image < sizes.images; image++) {
    const auto of = [&](int64_t images) { return images == 1 ? 0 : image; };
    ProposalScores& p = work.images[static_cast<size_t>(image)];
    p.x = static_cast<const float*>(in[kX].data) + of(sizes.images_of_x) * sizes.positions * kernel.layer.depth;
    p.valid = static_cast<const uint8_t*>(in[kValid].data) + of(sizes.images_of_valid) * sizes.positions;
    p.input = layer.input, p.layer = layer.packed;
    p.norm_scale = static_cast<const float*>(in[kNormScale].data);
    p.norm_bias = static_cast<const float*>(in[kNormBias].data);
    p.norm_epsilon = kernel.norm_epsilon;
    p.text = texts + of(sizes.images_of_text) * text_size, p.mask = masks + of(sizes.images_of_mask) * padded;
    p.tokens = padded, p.terms = terms_of_part(sizes.tokens, width);
    p.score_of_zeros = kernel.kernels.of_zeros(p);
    p.y = y + image * sizes.positions;
  }
  work.per_task = rows_per_task(sizes.images * sizes.positions, kernel.kernels.rows_at_a_time);
  work.tasks_per_image = (sizes.positions + work.per_task - 1) / work.per_task;
  return run_parts(kernel.api, context, work, sizes.images * work.tasks_per_image, run_task);
}

OrtCustomOp describe_op() {
  OrtCustomOp op = describe_cpu_operator<ProposalScoresKernel, create, compute>();
  op.GetName = [](const OrtCustomOp*) { return kProposalScores; };
  op.GetInputTypeCount = [](const OrtCustomOp*) { return kInputs; };
  op.GetInputType = [](const OrtCustomOp*, size_t index) {
    return index == kValid              ? kBoolElement
           : index == kLayer.zero_point ? kUint8Element
           : index == kLayer.weight     ? kInt8Element
                                        : kFloatElement;
  };
  op.GetOutputTypeCount = [](const OrtCustomOp*) -> size_t { return 1; };
  return op;
}

}  // namespace

OrtStatus* add_proposal_scores(const OrtApi& api, OrtCustomOpDomain* domain) {
  static const OrtCustomOp op = describe_op();
  return api.addOperator(domain, &op);
}

}  // namespace dino8
