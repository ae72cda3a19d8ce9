// Compares observation, gradients and fake quantization.
#include "cases.h"
#include "comparisons.h"

namespace dino8 {
namespace {

bool compare_observation(const CpuKernels& kernels) {
  if (kernels.observe.extremes == nullptr) return true;
  const int64_t rows = whole(0, 20), channels = whole(1, 70);
  const auto x = reals(rows * channels, 2, whole(0, 1) != 0);
  const ObservedRows in{x.data(), rows, channels, whole(0, 1) ? 1e30f : 1.5f};
  const auto size = static_cast<size_t>(channels);
  std::vector<float> lows[2] = {std::vector<float>(size, INFINITY), std::vector<float>(size, INFINITY)};
  std::vector<float> highs[2] = {std::vector<float>(size, -INFINITY), std::vector<float>(size, -INFINITY)};
  std::vector<double> sums[2] = {std::vector<double>(size), std::vector<double>(size)};
  std::vector<int32_t> counters[2] = {std::vector<int32_t>(kCounters), std::vector<int32_t>(kCounters)};
  const CpuKernels* each[] = {&kernels, &scalar_kernels};
  for (int at = 0; at < 2; at++) {
    each[at]->observe.extremes(in, lows[at].data(), highs[at].data(), sums[at].data());
    each[at]->observe.histogram(in, static_cast<float>(kBinsPerSide) / 2, counters[at].data());
  }
  for (size_t at = 0; at < size; at++)
    if (!(std::fabs(sums[0][at] - sums[1][at]) <= 1e-9 * std::max(1.0, std::fabs(sums[1][at])))) return false;
  return lows[0] == lows[1] && highs[0] == highs[1] && counters[0] == counters[1];
}

bool compare_gradients(const CpuKernels& kernels) {
  if (kernels.gradients.softmax == nullptr) return true;
  const int64_t rows = whole(1, 12), channels = whole(1, 70);
  const auto x = reals(rows * channels, 1), gradient = reals(rows * channels, 1), scale = reals(channels, 1);
  std::vector<float> found(x.size()), expected(x.size());
  std::vector<float> by_scale[2] = {std::vector<float>(scale.size()), std::vector<float>(scale.size())};
  std::vector<float> by_bias[2] = {std::vector<float>(scale.size()), std::vector<float>(scale.size())};
  GradientRows in{x.data(), gradient.data(), found.data(), rows, channels};
  kernels.gradients.layer_normalization(in, scale.data(), 1e-3f, by_scale[0].data(), by_bias[0].data());
  in.x_gradient = expected.data();
  scalar_kernels.gradients.layer_normalization(in, scale.data(), 1e-3f, by_scale[1].data(), by_bias[1].data());
  if (!agree(found, expected, 1e-3f) || !agree(by_scale[0], by_scale[1], 1e-3f) || !agree(by_bias[0], by_bias[1], 1e-3f))
    return false;
  in.x_gradient = found.data();
  kernels.gradients.softmax(in);
  in.x_gradient = expected.data();
  scalar_kernels.gradients.softmax(in);
  return agree(found, expected, 1e-4f);
}

bool compare_fake_quantization(const CpuKernels& kernels) {
  if (kernels.gradients.fake_quantize == nullptr) return true;
  const int64_t rows = whole(1, 12), inner = whole(1, 70), kind = whole(0, 2);
  const int64_t channels = kind == 0 ? 1 : kind == 1 ? whole(1, rows) : inner;
  const auto x = reals(rows * inner, 3, whole(0, 3) == 0), gradient = reals(rows * inner, 1);
  const std::vector<float> scales(static_cast<size_t>(channels), 1.0f / 64), zeros(static_cast<size_t>(channels), 3);
  const FakeQuantizeRows in{x.data(), rows, inner, channels, kind == 2, scales.data(), zeros.data(), -128, 127};
  std::vector<float> found(x.size()), expected(x.size()), by_scale[2] = {std::vector<float>(scales.size()), std::vector<float>(scales.size())};
  kernels.gradients.fake_quantize(in, found.data());
  scalar_kernels.gradients.fake_quantize(in, expected.data());
  if (!agree(found, expected, 0)) return false;
  kernels.gradients.fake_quantize_gradient(in, gradient.data(), found.data(), by_scale[0].data());
  scalar_kernels.gradients.fake_quantize_gradient(in, gradient.data(), expected.data(), by_scale[1].data());
  return agree(found, expected, 0) && agree(by_scale[0], by_scale[1], 1e-3f);
}

}  // namespace

Comparisons training_comparisons() {
  return {{"observation", compare_observation},
          {"gradients", compare_gradients},
          {"fake quantization", compare_fake_quantization}};
}

}  // namespace dino8
