// The custom operators of attention between an image and a text: they check the tensors and split the positions among ONNX
// Runtime's threads. src/quant/targets/ort-cpu/fusion-function.ts describes them.
#include "fusion_attention_op.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <string>

#include "cpu_operator.h"
#include "fusion_attention.h"
#include "quantized_output.h"
#include "run_memory.h"

namespace dino8 {
namespace {

constexpr size_t kX = 0, kXScale = 1, kXZeroPoint = 2, kToScores = 3, kToScoresScale = 4, kToScoresZeroPoint = 5,
                 kTokenBias = 6, kPositionBias = 7, kWeightScale = 8, kWeightZeroPoint = 9, kToImage = 10,
                 kToImageScale = 11, kToImageZeroPoint = 12, kImageBias = 13, kNormScale = 14, kNormBias = 15,
                 kResultScale = 16, kResultZeroPoint = 17, kAddend = 18, kSumScale = 19, kSumZeroPoint = 20,
                 kPlaces = 21, kMostInputs = 22;

// The results where the image's is bytes; see quantized_output.h for the first two.
constexpr size_t kQuantizedText = 2, kSumBytes = 3;

// The attention alone, within its layer, the same with the image's result as bytes, and with the bytes of another sum, whose
// addend is rows of its own or those of a table.
enum class Variant { kAlone, kLayer, kLayerQuantized, kLayerQuantizedAndSum, kLayerQuantizedAndGatheredSum };

constexpr bool has_norm(Variant variant) { return variant != Variant::kAlone; }
constexpr bool has_table(Variant variant) { return variant == Variant::kLayerQuantizedAndGatheredSum; }
constexpr bool has_sum(Variant variant) { return variant == Variant::kLayerQuantizedAndSum || has_table(variant); }
constexpr bool is_quantized(Variant variant) { return variant == Variant::kLayerQuantized || has_sum(variant); }
constexpr size_t input_count(Variant variant) {
  switch (variant) {
    case Variant::kAlone: return kNormScale;
    case Variant::kLayer: return kResultScale;
    case Variant::kLayerQuantized: return kAddend;
    case Variant::kLayerQuantizedAndSum: return kPlaces;
    case Variant::kLayerQuantizedAndGatheredSum: break;
  }
  return kMostInputs;
}

struct FusionKernel {
  OrtApi api;
  FusionKernels kernels;
  float norm_epsilon = 0;
};

template <Variant variant>
OrtStatus* create(const OrtCustomOp*, const void* table, const OrtKernelInfo* node, void** created) {
  const OrtApi api{static_cast<const void* const*>(table)};
  const CpuPath* path = choose_cpu_path();
  if (path == nullptr) return api.createStatus(kInvalidArgument, bad_path_message());
  float epsilon = 0;
  if (has_norm(variant))
    if (OrtStatus* status = api.floatAttribute(node, "epsilon", &epsilon)) return status;
  *created = new FusionKernel{api, path->kernels->fusion, epsilon};
  return nullptr;
}

template <class Part>
int64_t bytes_of(const FusionAttention& a) {
  Arena arena(nullptr);
  Part part(a, arena);
  return arena.size();
}

struct Work {
  FusionKernels kernels;
  FusionAttention attention;
  const FusionOperands* operands;
  FusionSums* sums;  // of each part of the positions
  int64_t parts;
  const RunMemory& memory;
  std::atomic<bool> has_memory{true};
};

void run_part(void* data, size_t index) {
  Work& work = *static_cast<Work*>(data);
  const FusionAttention& a = work.attention;
  const auto part = static_cast<int64_t>(index);
  const RunMemory::Piece piece(work.memory, bytes_of<FusionBlock>(a));
  if (piece.begin() == nullptr) {
    work.has_memory = false;
    return;
  }
  Arena arena(piece.begin());
  FusionBlock block(a, arena);
  work.kernels.part(a, *work.operands, a.begin(part), a.begin(part + 1), work.sums[part], block);
}

void merge_head(void* data, size_t head) {
  const Work& work = *static_cast<const Work*>(data);
  work.kernels.merge(work.attention, static_cast<int64_t>(head), work.sums, work.parts);
}

bool is_matrix(const InputTensor& tensor, int64_t rows, int64_t columns) {
  return tensor.rank == 3 && tensor.dims[1] == rows && tensor.dims[2] == columns;
}

bool is_scale(const InputTensor& tensor) {
  if (tensor.count() != 1) return false;
  const float scale = *static_cast<const float*>(tensor.data);
  return scale > 0 && std::isfinite(scale);
}

constexpr size_t kBatched[] = {kX, kToScores, kTokenBias, kPositionBias, kToImage};

// The number of images: the first dimension of the inputs above, each of which may also be 1. Negative if they differ.
int64_t batch_of(const InputTensor (&in)[kMostInputs]) {
  int64_t batch = 1;
  for (const size_t index : kBatched)
    if (in[index].dims[0] != 1) batch = in[index].dims[0];
  for (const size_t index : kBatched)
    if (in[index].dims[0] != 1 && in[index].dims[0] != batch) return -1;
  return batch;
}

// Returns null, or the sentence that says what does not fit in what is added to the image.
const char* check_addend(const InputTensor (&in)[kMostInputs], bool has_table) {
  const InputTensor &x = in[kX], &addend = in[kAddend], &places = in[kPlaces];
  const int64_t width = x.dims[2];
  if (!has_table) {
    if (!is_matrix(addend, x.dims[1], width))
      return "ai.dino8::FusionAttention: what is added to the image is not [batch, positions, width]";
    if (addend.dims[0] != 1 && addend.dims[0] != batch_of(in))
      return "ai.dino8::FusionAttention: what is added to the image has another number of images";
    return nullptr;
  }
  if (addend.rank != 3 || addend.dims[2] < 1 || width % addend.dims[2] != 0)
    return "ai.dino8::FusionAttention: the table is not [batch, rows, size], or its size does not divide the width";
  const int64_t parts = width / addend.dims[2];
  if (places.rank != 3 || places.dims[2] != 1 || places.dims[1] % parts != 0 || places.dims[1] / parts != x.dims[1])
    return "ai.dino8::FusionAttention: the places in the table are not [batch, positions * width / size, 1]";
  if (addend.dims[0] != batch_of(in) || places.dims[0] != batch_of(in))
    return "ai.dino8::FusionAttention: the table or the places have another number of images";
  const auto* const each = static_cast<const int64_t*>(places.data);
  const int64_t rows = addend.dims[1];
  if (std::any_of(each, each + places.count(), [rows](int64_t place) { return place < -rows || place >= rows; }))
    return "ai.dino8::FusionAttention: a place is not one of the table's rows";
  return nullptr;
}

// Returns null, or the sentence that says what does not fit.
const char* check(const InputTensor (&in)[kMostInputs], Variant variant) {
  const InputTensor &x = in[kX], &tokens = in[kTokenBias], &positions = in[kPositionBias];
  if (x.rank != 3 || x.dims[2] < 1 || x.dims[2] >= kMaxDepth - FusionAttention::kWholeDepth)
    return "ai.dino8::FusionAttention: x is not [batch, positions, width], or its width is not from 1 to 65471";
  if (tokens.rank != 4 || tokens.dims[1] != 1 || tokens.dims[2] < 1 || tokens.dims[3] < 1)
    return "ai.dino8::FusionAttention: the tokens' bias is not [batch, 1, heads, tokens]";
  const int64_t width = x.dims[2], heads = tokens.dims[2], each = tokens.dims[3];
  // Each number is checked before the product of both, so that it cannot overflow.
  if (heads >= kMaxDepth || each >= kMaxDepth ||
      heads * (each + kPanelColumns) + FusionAttention::kWholeDepth >= kMaxDepth)
    return "ai.dino8::FusionAttention: there are more heads and tokens than sums of 32 bits can take";
  if (positions.rank != 3 || positions.dims[1] != 1 || (positions.dims[2] != 1 && positions.dims[2] != x.dims[1]))
    return "ai.dino8::FusionAttention: the positions' bias is not [batch, 1, positions]";
  if (!is_matrix(in[kToScores], width, heads * each))
    return "ai.dino8::FusionAttention: the matrix to the scores is not [batch, width, heads * tokens]";
  if (!is_matrix(in[kToImage], heads * each, width))
    return "ai.dino8::FusionAttention: the matrix to the image is not [batch, heads * tokens, width]";
  if (in[kImageBias].rank != 1 || in[kImageBias].dims[0] != width)
    return "ai.dino8::FusionAttention: the image's bias is not [width]";
  for (const size_t index : {kNormScale, kNormBias})
    if (has_norm(variant) && in[index].count() != width)
      return "ai.dino8::FusionAttention: scale or bias of the normalization have another size than the width";
  if (batch_of(in) < 0) return "ai.dino8::FusionAttention: the inputs have different numbers of images";
  if (has_sum(variant))
    if (const char* problem = check_addend(in, has_table(variant))) return problem;
  for (const size_t index : {kXScale, kToScoresScale, kWeightScale, kToImageScale})
    if (!is_scale(in[index])) return "ai.dino8::FusionAttention: a scale is not one finite number above 0";
  for (const size_t index : {kXZeroPoint, kToScoresZeroPoint, kWeightZeroPoint, kToImageZeroPoint})
    if (in[index].count() != 1) return "ai.dino8::FusionAttention: a zero point is not one number";
  return nullptr;
}

ByteRange range_at(const InputTensor* in, size_t scale) {
  return {*static_cast<const float*>(in[scale].data), *static_cast<const uint8_t*>(in[scale + 1].data)};
}

// The elements of one image of a batch, or of all images if the batch is 1.
template <class Element>
const Element* image_at(const InputTensor& tensor, int64_t image) {
  const int64_t count = tensor.dims[0] == 1 ? 0 : tensor.count() / tensor.dims[0];
  return static_cast<const Element*>(tensor.data) + image * count;
}

ByteMatrix matrix_at(const InputTensor* in, size_t matrix, int64_t image) {
  return {image_at<int8_t>(in[matrix], image), *static_cast<const float*>(in[matrix + 1].data),
          *static_cast<const int8_t*>(in[matrix + 2].data)};
}

// The attention of one image of the batch, without what is written.
FusionAttention attention_of(const InputTensor (&in)[kMostInputs], int64_t image, Variant variant, float epsilon) {
  const InputTensor &x = in[kX], &tokens = in[kTokenBias], &positions = in[kPositionBias];
  FusionAttention a;
  a.positions = x.dims[1], a.width = x.dims[2], a.heads = tokens.dims[2], a.tokens = tokens.dims[3];
  if (has_norm(variant))
    a.norm = {image_at<float>(x, image), static_cast<const float*>(in[kNormScale].data),
              static_cast<const float*>(in[kNormBias].data), epsilon};
  else a.x = image_at<uint8_t>(x, image);
  a.x_range = range_at(in, kXScale), a.weights = range_at(in, kWeightScale);
  a.to_scores = matrix_at(in, kToScores, image), a.to_image = matrix_at(in, kToImage, image);
  a.token_bias = image_at<float>(tokens, image);
  a.position_bias = image_at<float>(positions, image);
  a.position_bias_stride = positions.dims[2] == 1 ? 0 : 1;
  a.image_bias = static_cast<const float*>(in[kImageBias].data);
  return a;
}

OrtStatus* run_image(const FusionKernel& kernel, OrtKernelContext* context, const FusionAttention& a) {
  const auto no_memory = [&] {
    return kernel.api.createStatus(kFail, "ai.dino8::FusionAttention: there is not enough memory");
  };
  const int64_t parts = a.parts();
  const RunMemory memory(kernel.api, context);
  const RunMemory::Piece piece(memory, bytes_of<FusionOperands>(a) + parts * bytes_of<FusionSums>(a));
  if (piece.begin() == nullptr) return no_memory();
  Arena arena(piece.begin());
  FusionOperands operands(a, arena);
  FusionSums sums[kFusionParts];
  for (int64_t part = 0; part < parts; part++) sums[part] = FusionSums(a, arena);
  Work work{kernel.kernels, a, &operands, sums, parts, memory};
  work.kernels.prepare(a, operands);
  if (OrtStatus* status = run_parts(kernel.api, context, work, parts, run_part)) return status;
  return work.has_memory ? run_parts(kernel.api, context, work, a.heads, merge_head) : no_memory();
}

template <Variant variant>
OrtStatus* compute(void* data, OrtKernelContext* context) {
  const FusionKernel& kernel = *static_cast<const FusionKernel*>(data);
  InputTensor in[kMostInputs];
  for (size_t index = 0; index < input_count(variant); index++)
    if (OrtStatus* status = read_input(kernel.api, context, index, in[index])) return status;
  if (const char* problem = check(in, variant)) return kernel.api.createStatus(kInvalidArgument, problem);
  const int64_t batch = batch_of(in), positions = in[kX].dims[1], width = in[kX].dims[2];
  const int64_t image_dims[] = {batch, positions, width}, text_dims[] = {batch, in[kToImage].dims[1], width};
  const int64_t image_size = positions * width, text_size = text_dims[1] * width;
  Results image;
  float* text = nullptr;
  const InputTensor* range = is_quantized(variant) ? in + kResultScale : nullptr;
  if (OrtStatus* status = make_results(kernel.api, context, range, image_dims, 3, image)) return status;
  if (OrtStatus* status =
          make_output(kernel.api, context, is_quantized(variant) ? kQuantizedText : 1, text_dims, 3, &text))
    return status;
  FusionSum sum;
  if (has_sum(variant)) {
    if (const char* problem = read_range(in[kSumScale], in[kSumZeroPoint], sum.range))
      return kernel.api.createStatus(kInvalidArgument, problem);
    if (OrtStatus* status = make_output(kernel.api, context, kSumBytes, image_dims, 3, &sum.bytes)) return status;
  }
  // A product over no positions is zero.
  if (positions == 0) std::fill_n(text, batch * text_size, 0.0f);
  for (int64_t each = 0; positions > 0 && each < batch; each++) {
    FusionAttention a = attention_of(in, each, variant, kernel.norm_epsilon);
    if (image.floats != nullptr) a.image = image.floats + each * image_size;
    if (image.bytes != nullptr) a.image_bytes = image.bytes + each * image_size;
    if (has_sum(variant)) {
      a.sum = {image_at<float>(in[kAddend], each), sum.bytes + each * image_size, sum.range};
      if (has_table(variant))
        a.sum.places = image_at<int64_t>(in[kPlaces], each), a.sum.rows = in[kAddend].dims[1], a.sum.size = in[kAddend].dims[2];
    }
    a.image_range = image.range, a.text = text + each * text_size;
    if (OrtStatus* status = run_image(kernel, context, a)) return status;
  }
  return nullptr;
}

template <Variant variant>
int input_type(const OrtCustomOp*, size_t index) {
  switch (index) {
    case kX:
      return has_norm(variant) ? kFloatElement : kUint8Element;
    case kXZeroPoint:
    case kWeightZeroPoint:
    case kResultZeroPoint:
    case kSumZeroPoint:
      return kUint8Element;
    case kToScores:
    case kToScoresZeroPoint:
    case kToImage:
    case kToImageZeroPoint:
      return kInt8Element;
    case kPlaces:
      return kInt64Element;
    default:
      return kFloatElement;
  }
}

template <Variant variant>
OrtCustomOp describe_op() {
  OrtCustomOp op = describe_cpu_operator<FusionKernel, create<variant>, compute<variant>>();
  op.GetName = [](const OrtCustomOp*) {
    static const std::string name =
        std::string(has_norm(variant) ? kNormFusionAttentionAdd : kFusionAttention) +
        (is_quantized(variant) ? kQuantized : "") + (has_table(variant) ? kAndGatheredSum : has_sum(variant) ? kAndSum : "");
    return name.c_str();
  };
  op.GetInputTypeCount = [](const OrtCustomOp*) { return input_count(variant); };
  op.GetInputType = input_type<variant>;
  if (is_quantized(variant)) describe_quantized(op);
  if (has_norm(variant)) may_overwrite<kX, is_quantized(variant) ? kFloatsBesideBytes : 0>(op);
  if (has_sum(variant))
    op.GetOutputType = [](const OrtCustomOp*, size_t index) {
      return index == 0 || index == kSumBytes ? kUint8Element : kFloatElement;
    };
  op.GetOutputTypeCount = [](const OrtCustomOp*) -> size_t {
    return has_sum(variant) ? kSumBytes + 1 : is_quantized(variant) ? kQuantizedText + 1 : 2;
  };
  return op;
}

}  // namespace

OrtStatus* add_fusion_attention(const OrtApi& api, OrtCustomOpDomain* domain) {
  static const OrtCustomOp ops[] = {describe_op<Variant::kAlone>(), describe_op<Variant::kLayer>(),
                                    describe_op<Variant::kLayerQuantized>(),
                                    describe_op<Variant::kLayerQuantizedAndSum>(),
                                    describe_op<Variant::kLayerQuantizedAndGatheredSum>()};
  for (const OrtCustomOp& op : ops)
    if (OrtStatus* status = api.addOperator(domain, &op)) return status;
  return nullptr;
}

}  // namespace dino8
