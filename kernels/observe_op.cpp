// The custom operator: shares the rows out among ONNX Runtime's threads. Which rows go together depends on the shape
// alone, and parts are joined in order, so the result is the same for any number of threads.
#include <algorithm>
#include <climits>
#include <cmath>
#include <limits>
#include <vector>

#include "cpu_path.h"
#include "observe_op.h"
#include "op_tensor.h"

namespace dino8 {
namespace {

enum Input { kX, kValid, kLimit, kInputs };
enum Output { kCounts, kSummary, kChannels, kOutputs };
enum Summary { kLowest, kHighest, kExponent, kChannelCount, kSummaries };

// Parts of a value that are observed on their own, at most; fewer where a part would be small.
constexpr int64_t kMostParts = 8;
constexpr int64_t kLeastPart = 1 << 14;
// Narrower bins than 2^-111 would have widths that are not normal numbers.
constexpr int kLeastExponent = -111;

struct Kernel {
  OrtApi api;
  ObserveKernels observe;
};

struct Work {
  const ObserveKernels& observe;
  InputTensor x, valid;
  float limit;
  int64_t rows, channels, parts;
  float inverse_width = 0.0f;
  std::vector<float> lowest, highest;
  std::vector<double> sum;
  std::vector<int32_t> counters;
  int32_t* first_counters = nullptr;

  // The valid rows of a part, as runs of adjacent ones.
  template <class Use>
  void each_run(int64_t part, Use use) const {
    const int64_t first = rows * part / parts, last = rows * (part + 1) / parts;
    const auto* flags = static_cast<const uint8_t*>(valid.data);
    const int64_t block = rows / valid.count();  // rows that share a flag
    for (int64_t row = first; row < last;) {
      const bool counts = flags[row / block] != 0;
      int64_t end = row;
      while (end < last && (flags[end / block] != 0) == counts) end = std::min((end / block + 1) * block, last);
      use(ObservedRows{static_cast<const float*>(x.data) + row * channels, end - row, channels, limit}, counts);
      row = end;
    }
  }
};

void find_extremes(void* data, size_t part) {
  Work& work = *static_cast<Work*>(data);
  const size_t at = part * static_cast<size_t>(work.channels);
  work.each_run(static_cast<int64_t>(part), [&](const ObservedRows& rows, bool counts) {
    if (counts) work.observe.extremes(rows, &work.lowest[at], &work.highest[at], &work.sum[at]);
  });
}

void count(void* data, size_t part) {
  Work& work = *static_cast<Work*>(data);
  int32_t* counters = part == 0 ? work.first_counters : &work.counters[(part - 1) * kCounters];
  work.each_run(static_cast<int64_t>(part), [&](const ObservedRows& rows, bool counts) {
    if (counts) work.observe.histogram(rows, work.inverse_width, counters);
    else counters[kCounters - 1] += static_cast<int32_t>(rows.rows * rows.channels);
  });
}

// The narrowest bins, of a power of two, in which everything up to `most` has its place: most < kBins * 2^exponent.
int exponent_for(float most) {
  int exponent = 0;
  std::frexp(most, &exponent);
  return most > 0.0f ? std::max(exponent - 11, kLeastExponent) : kLeastExponent;
}

OrtStatus* compute(void* data, OrtKernelContext* context) {
  const Kernel& kernel = *static_cast<const Kernel*>(data);
  const OrtApi& api = kernel.api;
  Work work{kernel.observe, {}, {}, 0.0f, 0, 1, 1, 0.0f, {}, {}, {}, {}, nullptr};
  InputTensor limit;
  if (OrtStatus* status = read_input(api, context, kX, work.x)) return status;
  if (OrtStatus* status = read_input(api, context, kValid, work.valid)) return status;
  if (OrtStatus* status = read_input(api, context, kLimit, limit)) return status;
  if (work.x.rank < 1) return api.createStatus(kInvalidArgument, "Observe: the value has no axis of channels");
  work.limit = *static_cast<const float*>(limit.data);
  work.channels = work.x.dims[work.x.rank - 1];
  const int64_t total = work.x.count();
  work.rows = work.channels > 0 ? total / work.channels : 0;
  const int64_t flags = work.valid.count();
  if (total > 0 && (flags < 1 || work.rows % flags != 0))
    return api.createStatus(kInvalidArgument, "Observe: the rows cannot be shared out among the flags of validity");
  if (total >= INT32_MAX) return api.createStatus(kInvalidArgument, "Observe: the value is too large to be counted");

  const int64_t counters_shape[] = {kCounters}, summary_shape[] = {kSummaries}, channels_shape[] = {3 * work.channels};
  int32_t* counters = nullptr;
  float *summary = nullptr, *channels = nullptr;
  if (OrtStatus* status = make_output(api, context, kCounts, counters_shape, 1, &counters)) return status;
  if (OrtStatus* status = make_output(api, context, kSummary, summary_shape, 1, &summary)) return status;
  if (OrtStatus* status = make_output(api, context, kChannels, channels_shape, 1, &channels)) return status;

  const auto width = static_cast<size_t>(work.channels);
  work.parts = std::clamp<int64_t>(total / kLeastPart, 1, std::min(kMostParts, std::max<int64_t>(work.rows, 1)));
  const auto parts = static_cast<size_t>(work.parts);
  work.lowest.assign(parts * width, std::numeric_limits<float>::infinity());
  work.highest.assign(parts * width, -std::numeric_limits<float>::infinity());
  work.sum.assign(parts * width, 0.0);
  // The first part counts where the result is, the others beside it.
  work.first_counters = counters;
  std::fill(counters, counters + kCounters, 0);
  work.counters.assign((parts - 1) * kCounters, 0);
  const auto share_out = [&](void (*task)(void*, size_t)) -> OrtStatus* {
    if (total == 0) return nullptr;
    if (parts > 1) return api.parallelFor(context, task, parts, &work);
    task(&work, 0);
    return nullptr;
  };
  if (OrtStatus* status = share_out(find_extremes)) return status;

  summary[kLowest] = std::numeric_limits<float>::infinity();
  summary[kHighest] = -std::numeric_limits<float>::infinity();
  for (size_t c = 0; c < width; c++) {
    float low = work.lowest[c], high = work.highest[c];
    for (size_t part = 1; part < parts; part++) {
      low = std::min(low, work.lowest[part * width + c]);
      high = std::max(high, work.highest[part * width + c]);
      work.sum[c] += work.sum[part * width + c];
    }
    channels[c] = low, channels[width + c] = high;
    summary[kLowest] = std::min(summary[kLowest], low);
    summary[kHighest] = std::max(summary[kHighest], high);
  }
  const bool any = summary[kLowest] <= summary[kHighest];
  const int exponent = exponent_for(any ? std::max(-summary[kLowest], summary[kHighest]) : 0.0f);
  summary[kExponent] = static_cast<float>(exponent);
  summary[kChannelCount] = static_cast<float>(work.channels);
  work.inverse_width = std::ldexp(1.0f, -exponent);
  if (OrtStatus* status = share_out(count)) return status;
  for (size_t part = 1; part < parts; part++)
    for (int64_t bin = 0; bin < kCounters; bin++)
      counters[bin] += work.counters[(part - 1) * kCounters + static_cast<size_t>(bin)];
  const double included = static_cast<double>(total - counters[kCounters - 1]);
  const double of_channel = width > 0 && included > 0 ? included / static_cast<double>(width) : 1.0;
  for (size_t c = 0; c < width; c++) channels[2 * width + c] = static_cast<float>(work.sum[c] / of_channel);
  return nullptr;
}

OrtStatus* create(const OrtCustomOp*, const void* api, const OrtKernelInfo*, void** kernel) {
  *kernel = new Kernel{{static_cast<const void* const*>(api)}, choose_cpu_path().observe};
  return nullptr;
}

OrtCustomOp describe_op() {
  OrtCustomOp op{};
  describe_cpu_operator<Kernel>(op);
  op.GetName = [](const OrtCustomOp*) { return "Observe"; };
  op.GetInputTypeCount = [](const OrtCustomOp*) -> size_t { return kInputs; };
  op.GetInputType = [](const OrtCustomOp*, size_t index) { return index == kValid ? kBoolElement : kFloatElement; };
  op.GetOutputTypeCount = [](const OrtCustomOp*) -> size_t { return kOutputs; };
  op.GetOutputType = [](const OrtCustomOp*, size_t index) { return index == kCounts ? kInt32Element : kFloatElement; };
  op.CreateKernelV2 = create;
  op.KernelComputeV2 = compute;
  return op;
}

}  // namespace

OrtStatus* add_observe(const OrtApi& api, OrtCustomOpDomain* domain) {
  static const OrtCustomOp op = describe_op();
  return api.addOperator(domain, &op);
}

}  // namespace dino8
