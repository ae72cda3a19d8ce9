// The custom operator that calibration uses: it splits the rows among ONNX Runtime's threads. How the rows are split
// depends on the shape alone, and the results of the parts are joined in order, so the result is the same for any
// number of threads.
#include <algorithm>
#include <climits>
#include <cmath>
#include <limits>
#include <vector>

#include "cpu_operator.h"
#include "observe_op.h"

namespace dino8 {
namespace {

enum Input { kX, kValid, kLimit, kInputs };
enum Output { kCounts, kSummary, kChannels, kZero, kOutputs };
enum Summary { kLowest, kHighest, kExponent, kChannelCount, kSummaries };

// A value is split into at most `kMaxParts` parts, of at least `kMinPart` elements each.
constexpr int64_t kMaxParts = 8;
constexpr int64_t kMinPart = 1 << 14;

// Results are three numbers for each channel, which take memory even where a value has no rows.
constexpr int64_t kMostEmptyChannels = 1 << 20;

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

  // Calls `use` with each run of adjacent rows of a part that are all valid, or all not valid.
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

constexpr int kLogBins = 11;
static_assert(kBinsPerSide == 1 << kLogBins, "exponent_for computes with the logarithm");

// The exponent of the narrowest bins (2^exponent wide) that hold `maximum`: maximum < kBinsPerSide * 2^exponent.
int exponent_for(float maximum) {
  int exponent = 0;
  std::frexp(maximum, &exponent);
  return maximum > 0.0f ? std::max(exponent - kLogBins, kMinimumExponent) : kMinimumExponent;
}

OrtStatus* compute(void* data, OrtKernelContext* context) {
  const OperatorKernel& kernel = *static_cast<const OperatorKernel*>(data);
  const OrtApi& api = kernel.api;
  Work work{kernel.kernels.observe, {}, {}, 0.0f, 0, 1, 1, 0.0f, {}, {}, {}, {}, nullptr};
  InputTensor limit;
  if (OrtStatus* status = read_input(api, context, kX, work.x)) return status;
  if (OrtStatus* status = read_input(api, context, kValid, work.valid)) return status;
  if (OrtStatus* status = read_input(api, context, kLimit, limit)) return status;
  if (work.x.rank < 1) return api.createStatus(kInvalidArgument, "Observe: the value has no axis of channels");
  if (limit.count() != 1) return api.createStatus(kInvalidArgument, "Observe: the limit is not one number");
  // An infinite limit still leaves out infinite elements, which have no bin.
  work.limit = std::min(*static_cast<const float*>(limit.data), std::numeric_limits<float>::max());
  work.channels = work.x.dims[work.x.rank - 1];
  const int64_t total = work.x.count();
  if (total == 0 && work.channels > kMostEmptyChannels)
    return api.createStatus(kInvalidArgument, "Observe: an empty value has too many channels");
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
  const int64_t zero_shape[] = {1};
  int64_t* zero = nullptr;
  if (OrtStatus* status = make_output(api, context, kZero, zero_shape, 1, &zero)) return status;
  *zero = 0;

  const auto width = static_cast<size_t>(work.channels);
  work.parts = std::clamp<int64_t>(total / kMinPart, 1, std::min(kMaxParts, std::max<int64_t>(work.rows, 1)));
  const auto parts = static_cast<size_t>(work.parts);
  work.lowest.assign(parts * width, std::numeric_limits<float>::infinity());
  work.highest.assign(parts * width, -std::numeric_limits<float>::infinity());
  work.sum.assign(parts * width, 0.0);
  // The first part counts directly in the output, each other part in counters of its own.
  work.first_counters = counters;
  std::fill(counters, counters + kCounters, 0);
  work.counters.assign((parts - 1) * kCounters, 0);
  const int64_t tasks = total > 0 ? work.parts : 0;
  if (OrtStatus* status = run_parts(api, context, work, tasks, find_extremes)) return status;

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
  if (OrtStatus* status = run_parts(api, context, work, tasks, count)) return status;
  for (size_t part = 1; part < parts; part++)
    for (int64_t bin = 0; bin < kCounters; bin++)
      counters[bin] += work.counters[(part - 1) * kCounters + static_cast<size_t>(bin)];
  const double included = static_cast<double>(total - counters[kCounters - 1]);
  const double of_channel = width > 0 && included > 0 ? included / static_cast<double>(width) : 1.0;
  for (size_t c = 0; c < width; c++) channels[2 * width + c] = static_cast<float>(work.sum[c] / of_channel);
  return nullptr;
}

OrtCustomOp describe_op() {
  OrtCustomOp op = describe_cpu_operator();
  op.GetName = [](const OrtCustomOp*) { return kObserve; };
  op.GetInputTypeCount = [](const OrtCustomOp*) -> size_t { return kInputs; };
  op.GetInputType = [](const OrtCustomOp*, size_t index) { return index == kValid ? kBoolElement : kFloatElement; };
  op.GetOutputTypeCount = [](const OrtCustomOp*) -> size_t { return kOutputs; };
  op.GetOutputType = [](const OrtCustomOp*, size_t index) {
    return index == kCounts ? kInt32Element : index == kZero ? kInt64Element : kFloatElement;
  };
  op.KernelComputeV2 = guarded<OperatorKernel, compute>;
  return op;
}

}  // namespace

OrtStatus* add_observe(const OrtApi& api, OrtCustomOpDomain* domain) {
  static const OrtCustomOp op = describe_op();
  return api.addOperator(domain, &op);
}

}  // namespace dino8
