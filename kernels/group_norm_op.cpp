// The custom operator of group normalization: it checks the tensors, and splits the rows of all levels among ONNX Runtime's
// threads, once to add them up and once to normalize them. src/quant/targets/ort-cpu/group-norm-function.ts describes it.
#include "group_norm_op.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "cpu_operator.h"
#include "quantized_output.h"

namespace dino8 {
namespace {

// The inputs of a level: bytes, their scale and zero point, and a factor and an offset for each channel. The number of groups
// follows the levels.
constexpr size_t kLevels = 4, kLevelInputs = 5, kGroups = kLevels * kLevelInputs, kInputs = kGroups + 1;
constexpr size_t kBytes = 0, kScale = 1, kZeroPoint = 2, kFactors = 3, kOffsets = 4;

// Enough bytes to be worth a task.
constexpr int64_t kBytesPerTask = 1 << 15;

struct GroupNormLevelsKernel {
  OrtApi api;
  GroupNormKernels kernels;
  float epsilon;
};

OrtStatus* create(const OrtCustomOp*, const void* table, const OrtKernelInfo* node, void** kernel) {
  const OrtApi api{static_cast<const void* const*>(table)};
  const CpuPath* path = choose_cpu_path();
  if (path == nullptr) return api.createStatus(kInvalidArgument, bad_path_message());
  float epsilon = 0;
  if (OrtStatus* status = api.floatAttribute(node, "epsilon", &epsilon)) return status;
  *kernel = new GroupNormLevelsKernel{api, path->kernels->group_norm, epsilon};
  return nullptr;
}

// The map of one image at one level.
struct Map {
  const uint8_t* bytes;  // [positions, channels]
  int64_t positions;
  float* y;  // [positions, channels]
  ByteRange range;
  const float *factors, *offsets;  // [channels]
};

// Rows of a map that are one task.
struct Part {
  size_t map;
  int64_t begin, count;
};

struct Work {
  const GroupNormLevelsKernel& kernel;
  int64_t channels, groups;
  std::vector<Map> maps;
  std::vector<Part> parts;
  std::vector<int64_t> sums;    // [parts, 2, groups]: the sums of the bytes, and of their squares
  std::vector<float> products;  // [maps, 2, channels]: what the bytes are multiplied by, and what is added then

  int64_t* sums_of(size_t part) { return sums.data() + part * 2 * static_cast<size_t>(groups); }
  float* products_of(size_t map) { return products.data() + map * 2 * static_cast<size_t>(channels); }
};

void sum_part(void* data, size_t index) {
  Work& work = *static_cast<Work*>(data);
  const Part& part = work.parts[index];
  const int64_t channels = work.channels, size = channels / work.groups;
  std::vector<int32_t> of_channels(static_cast<size_t>(2 * channels));
  work.kernel.kernels.sum(work.maps[part.map].bytes + part.begin * channels, part.count, channels, of_channels.data(),
                          of_channels.data() + channels);
  int64_t* const sums = work.sums_of(index);
  for (int64_t at = 0; at < 2 * channels; at++) sums[at / size] += of_channels[static_cast<size_t>(at)];
}

void apply_part(void* data, size_t index) {
  Work& work = *static_cast<Work*>(data);
  const Part& part = work.parts[index];
  const Map& map = work.maps[part.map];
  const int64_t channels = work.channels, begin = part.begin * channels;
  const float* const products = work.products_of(part.map);
  work.kernel.kernels.apply(map.bytes + begin, part.count, channels, products, products + channels, map.y + begin);
}

// Makes the products of a map from the sums of its parts, which begin at `first_part`. Returns the first part behind them.
size_t finish_map(Work& work, size_t index, size_t first_part) {
  const Map& map = work.maps[index];
  const auto groups = static_cast<size_t>(work.groups);
  const int64_t size = work.channels / work.groups;
  std::vector<int64_t> sums(2 * groups);
  size_t part = first_part;
  for (; part < work.parts.size() && work.parts[part].map == index; part++)
    for (size_t at = 0; at < 2 * groups; at++) sums[at] += work.sums_of(part)[at];
  float* const products = work.products_of(index);
  const double count = static_cast<double>(map.positions) * static_cast<double>(size), scale = map.range.scale;
  for (int64_t channel = 0; channel < work.channels; channel++) {
    const auto group = static_cast<size_t>(channel / size);
    const double mean = static_cast<double>(sums[group]) / count;
    const double variance = std::max(static_cast<double>(sums[groups + group]) / count - mean * mean, 0.0);
    const double factor =
        scale / std::sqrt(variance * scale * scale + static_cast<double>(work.kernel.epsilon)) * static_cast<double>(map.factors[channel]);
    products[channel] = static_cast<float>(factor);
    products[work.channels + channel] = static_cast<float>(static_cast<double>(map.offsets[channel]) - mean * factor);
  }
  return part;
}

OrtStatus* compute(void* data, OrtKernelContext* context) {
  const auto& kernel = *static_cast<const GroupNormLevelsKernel*>(data);
  const auto invalid = [&](const char* problem) { return kernel.api.createStatus(kInvalidArgument, problem); };
  InputTensor in[kInputs];
  for (size_t index = 0; index < kInputs; index++)
    if (OrtStatus* status = read_input(kernel.api, context, index, in[index])) return status;
  const InputTensor& first = in[kBytes];
  if (first.rank != 4) return invalid("GroupNormLevels: a level has another number of dimensions than 4");
  if (in[kGroups].count() != 1) return invalid("GroupNormLevels: the number of groups is not one number");
  const int64_t images = first.dims[0], channels = first.dims[3];
  Work work{kernel, channels, *static_cast<const int64_t*>(in[kGroups].data), {}, {}, {}, {}};
  if (work.groups < 1 || channels % work.groups != 0) return invalid("GroupNormLevels: the channels do not make so many groups");
  int64_t positions = 0;
  ByteRange ranges[kLevels];
  for (size_t level = 0; level < kLevels; level++) {
    const InputTensor* const of_level = in + level * kLevelInputs;
    const InputTensor& bytes = of_level[kBytes];
    if (bytes.rank != 4 || bytes.dims[0] != images || bytes.dims[3] != channels)
      return invalid("GroupNormLevels: the levels have different numbers of images or channels");
    // The sizes of an empty map may be any.
    if (bytes.count() == 0) return invalid("GroupNormLevels: a level has no positions");
    for (const size_t each : {kFactors, kOffsets})
      if (of_level[each].count() != channels)
        return invalid("GroupNormLevels: there are other numbers of factors or offsets than channels");
    if (const char* problem = read_range(of_level[kScale], of_level[kZeroPoint], ranges[level])) return invalid(problem);
    positions += bytes.dims[1] * bytes.dims[2];
  }
  const int64_t dims[] = {images, positions, channels};
  float* y = nullptr;
  if (OrtStatus* status = make_output(kernel.api, context, 0, dims, 3, &y)) return status;
  const int64_t rows_per_task = std::min(std::max<int64_t>(kBytesPerTask / channels, 1), kMostSummedRows);
  for (int64_t image = 0; image < images; image++)
    for (size_t level = 0; level < kLevels; level++) {
      const InputTensor* const of_level = in + level * kLevelInputs;
      const int64_t count = of_level[kBytes].dims[1] * of_level[kBytes].dims[2];
      for (int64_t begin = 0; begin < count; begin += rows_per_task)
        work.parts.push_back({work.maps.size(), begin, std::min(rows_per_task, count - begin)});
      work.maps.push_back({static_cast<const uint8_t*>(of_level[kBytes].data) + image * count * channels, count, y, ranges[level],
                           static_cast<const float*>(of_level[kFactors].data), static_cast<const float*>(of_level[kOffsets].data)});
      y += count * channels;
    }
  work.sums.resize(work.parts.size() * 2 * static_cast<size_t>(work.groups));
  work.products.resize(work.maps.size() * 2 * static_cast<size_t>(channels));
  const auto tasks = static_cast<int64_t>(work.parts.size());
  if (OrtStatus* status = run_parts(kernel.api, context, work, tasks, sum_part)) return status;
  for (size_t map = 0, part = 0; map < work.maps.size(); map++) part = finish_map(work, map, part);
  return run_parts(kernel.api, context, work, tasks, apply_part);
}

int input_type(const OrtCustomOp*, size_t index) {
  if (index == kGroups) return kInt64Element;
  const size_t of_level = index % kLevelInputs;
  return of_level == kBytes || of_level == kZeroPoint ? kUint8Element : kFloatElement;
}

OrtCustomOp describe_op() {
  OrtCustomOp op = describe_cpu_operator<GroupNormLevelsKernel, create, compute>();
  op.GetName = [](const OrtCustomOp*) { return kGroupNormLevels; };
  op.GetInputTypeCount = [](const OrtCustomOp*) { return kInputs; };
  op.GetInputType = input_type;
  op.GetOutputTypeCount = [](const OrtCustomOp*) -> size_t { return 1; };
  return op;
}

}  // namespace

OrtStatus* add_group_norm(const OrtApi& api, OrtCustomOpDomain* domain) {
  static const OrtCustomOp op = describe_op();
  return api.addOperator(domain, &op);
}

}  // namespace dino8
