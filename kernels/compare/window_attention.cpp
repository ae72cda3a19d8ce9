// Compares attention within windows.
#include "cases.h"
#include "comparisons.h"

namespace dino8 {
namespace {

// True if no byte of the normalized row [channels] is so near to halfway between two that the order of sums may decide which it becomes.
bool is_far_from_halfway(const float* x, const float* norm, const WindowAttention& a) {
  constexpr double kNearest = 0.001;
  double mean = 0, variance = 0;
  for (int64_t at = 0; at < a.channels; at++) mean += x[at] / static_cast<double>(a.channels);
  for (int64_t at = 0; at < a.channels; at++) variance += (x[at] - mean) * (x[at] - mean) / static_cast<double>(a.channels);
  for (int64_t at = 0; at < a.channels; at++) {
    const double steps = ((x[at] - mean) / std::sqrt(variance + a.norm_epsilon) * norm[at] + norm[at]) / a.input.scale;
    if (std::fabs(steps - std::floor(steps) - 0.5) < kNearest) return false;
  }
  return true;
}

bool compare_window_attention(const CpuKernels& kernels) {
  WindowAttention a;
  a.batch = whole(1, 2), a.height = whole(1, 15), a.width = whole(1, 15);
  // A window of 23 has 529 tokens, which is more than the number of weights that are added up at once, 256.
  a.window = whole(0, 15) == 0 ? 23 : whole(1, 12), a.shift = whole(0, a.window - 1);
  // A layer takes a multiple of 4 channels, which four heads of any size have.
  a.heads = whole(1, 4), a.channels = a.heads * (a.heads == 4 ? whole(1, 36) : 4 * whole(1, 9));
  const bool is_hostile = whole(0, 3) == 0;
  auto x = reals(a.batch * a.height * a.width * a.channels, 2, is_hostile);
  const auto norm = reals(a.channels, 1);
  auto bias = reals(a.heads * a.tokens() * a.padded_tokens(), 1, is_hostile);
  a.has_byte_products = whole(0, 1) != 0;
  if (!a.has_byte_products)
    for (auto row = bias.begin(); row != bias.end(); row += a.padded_tokens())
      std::fill(row + a.tokens(), row + a.padded_tokens(), -std::numeric_limits<float>::infinity());
  Layer projections(a.channels, 3 * a.channels), output(a.channels, a.channels);
  a.x = x.data(), a.norm_scale = a.norm_bias = norm.data(), a.norm_epsilon = 1e-4f, a.position_bias = bias.data();
  a.input = {1.0f / 64, static_cast<int32_t>(whole(0, 255))};
  // One byte of the normalized map that is rounded the other way would move all scores of a window.
  if (!is_hostile)
    for (auto row = x.begin(); row != x.end(); row += a.channels)
      while (!is_far_from_halfway(&*row, norm.data(), a)) std::generate_n(row, a.channels, [] { return real(2); });
  // A query that one key has all weight for takes a value, which would often be halfway between two bytes if this were a power of two.
  a.context = {0.2537f, static_cast<int32_t>(whole(0, 255))};
  a.projections = projections.packed, a.output = output.packed, a.query_scale = 0.25f;
  a.query = {1.0f / 64, static_cast<int32_t>(whole(0, 255))}, a.key = {1.0f / 64, static_cast<int32_t>(whole(-128, 127))};
  a.value = {1.0f / 32, static_cast<int32_t>(whole(-128, 127))};
  a.residual.is_rounded = whole(0, 1) != 0;
  a.residual.x = a.residual.branch = a.residual.sum = {1.0f / 32, static_cast<int32_t>(whole(0, 255))};
  std::vector<float> found(x.size()), expected(x.size());
  a.y = found.data();
  if (!kernels.window_attention(a, 0, a.windows())) return false;
  // The result may take the place of the map.
  std::vector<float> in_place = x;
  a.x = a.y = in_place.data();
  if (!kernels.window_attention(a, 0, a.windows()) || !have_same_bits(found, in_place)) return false;
  a.x = x.data(), a.y = expected.data();
  if (!scalar_kernels.window_attention(a, 0, a.windows())) return false;
  // Bytes of the result may be rounded the other way. Where x is not finite, bytes of the normalized map differ by what a processor makes
  // of numbers that are none.
  const float sum_step = a.residual.is_rounded ? 2.0f / 32 : 0;
  return is_hostile || agree(found, expected, 8 * a.context.scale * 128 / 4096 + sum_step);
}

}  // namespace

Comparisons window_attention_comparisons() {
  return {{"window attention", compare_window_attention}};
}

}  // namespace dino8
