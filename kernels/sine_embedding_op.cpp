// The custom operators of sine embeddings: they check the tensors and split the positions among ONNX Runtime's threads.
// src/quant/targets/ort-cpu/sine-embedding-function.ts describes them.
#include "sine_embedding_op.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "cpu_operator.h"
#include "quantized_output.h"

namespace dino8 {
namespace {

constexpr size_t kPosition = 0, kWavelengths = 1, kPlainInputs = 2, kMaxInputs = kPlainInputs + 2;

// Enough numbers to be worth a task.
constexpr int64_t kNumbersPerTask = 1 << 14;

struct Work {
  SineEmbedding embedding;
  SineEmbeddingRows run;
  int64_t rows, rows_per_task;
};

void run_task(void* data, size_t index) {
  const Work& work = *static_cast<const Work*>(data);
  const int64_t begin = static_cast<int64_t>(index) * work.rows_per_task;
  work.run(work.embedding, begin, std::min(begin + work.rows_per_task, work.rows));
}

// The smallest magnitude of the wavelengths; 0 if one of them is not a number.
float shortest(const float* wavelengths, int64_t count) {
  float least = std::numeric_limits<float>::max();
  for (int64_t at = 0; at < count; at++) {
    const float length = std::fabs(wavelengths[at]);
    least = length >= least ? least : length > 0 ? length : 0;
  }
  return least;
}

template <bool is_quantized>
OrtStatus* compute(void* data, OrtKernelContext* context) {
  const OperatorKernel& kernel = *static_cast<const OperatorKernel*>(data);
  const auto invalid = [&](const char* problem) { return kernel.api.createStatus(kInvalidArgument, problem); };
  InputTensor in[kMaxInputs];
  for (size_t index = 0; index < (is_quantized ? kMaxInputs : kPlainInputs); index++)
    if (OrtStatus* status = read_input(kernel.api, context, index, in[index])) return status;
  InputTensor& position = in[kPosition];
  const InputTensor& wavelengths = in[kWavelengths];
  if (position.rank < 1 || position.dims[position.rank - 1] != 1)
    return invalid("SineEmbedding: the last dimension of the positions is not 1");
  if (wavelengths.rank != 1) return invalid("SineEmbedding: the wavelengths are not a list");
  Work work{{}, kernel.kernels.sine_embedding, position.count(), 0};
  SineEmbedding& embedding = work.embedding;
  const int64_t count = wavelengths.dims[0];
  const auto* lengths = static_cast<const float*>(wavelengths.data);
  embedding.size = position.dims[position.rank - 1] = 2 * count;
  Results results;
  const InputTensor* range = is_quantized ? in + kPlainInputs : nullptr;
  if (OrtStatus* status = make_results(kernel.api, context, range, position.dims, position.rank, results)) return status;
  if (count == 0) return nullptr;
  std::vector<float> of_numbers(static_cast<size_t>(round_up(embedding.size, kPanelColumns)), 1.0f);
  for (int64_t at = 0; at < embedding.size; at++) of_numbers[static_cast<size_t>(at)] = lengths[at / 2];
  embedding.positions = static_cast<const float*>(position.data);
  embedding.wavelengths = of_numbers.data();
  embedding.most = std::min(shortest(lengths, count), 1.0f) * kMostAngle;
  embedding.y = results.floats, embedding.y_bytes = results.bytes, embedding.y_range = results.range;
  work.rows_per_task = std::max<int64_t>(kNumbersPerTask / embedding.size, 1);
  return run_parts(kernel.api, context, work, (work.rows + work.rows_per_task - 1) / work.rows_per_task, run_task);
}

template <bool is_quantized>
OrtCustomOp describe_op() {
  OrtCustomOp op = describe_cpu_operator();
  op.GetName = [](const OrtCustomOp*) {
    static const std::string name = std::string(kSineEmbedding) + (is_quantized ? kQuantized : "");
    return name.c_str();
  };
  op.GetInputTypeCount = [](const OrtCustomOp*) { return is_quantized ? kMaxInputs : kPlainInputs; };
  op.GetInputType = [](const OrtCustomOp*, size_t index) {
    return index == kMaxInputs - 1 ? kUint8Element : kFloatElement;
  };
  op.GetOutputTypeCount = [](const OrtCustomOp*) -> size_t { return 1; };
  if (is_quantized) describe_quantized(op);
  op.KernelComputeV2 = guarded<OperatorKernel, compute<is_quantized>>;
  return op;
}

}  // namespace

OrtStatus* add_sine_embedding(const OrtApi& api, OrtCustomOpDomain* domain) {
  static const OrtCustomOp ops[] = {describe_op<false>(), describe_op<true>()};
  for (const OrtCustomOp& op : ops)
    if (OrtStatus* status = api.addOperator(domain, &op)) return status;
  return nullptr;
}

}  // namespace dino8
