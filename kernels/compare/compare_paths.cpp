// Compares the kernels of every instruction set of this machine with the scalar ones, on random and on hostile numbers.
// kernels/compare-paths.mjs builds this program with sanitizers, and for 64-bit ARM processors, and runs it.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "../cpu_path.h"

using namespace dino8;

namespace {

std::mt19937 generator(20);

int64_t whole(int64_t lowest, int64_t highest) {
  return std::uniform_int_distribution<int64_t>(lowest, highest)(generator);
}

float real(float most) { return std::uniform_real_distribution<float>(-most, most)(generator); }

// Numbers up to `most` in magnitude; if `is_hostile`, some are not finite, denormal or very large.
std::vector<float> reals(int64_t count, float most, bool is_hostile = false) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const float odd[] = {kInfinity, -kInfinity, std::nanf(""), 1e-42f, 3e38f, -3e38f, 0.0f};
  std::vector<float> numbers(static_cast<size_t>(count));
  for (float& number : numbers) number = is_hostile && whole(0, 9) == 0 ? odd[whole(0, 6)] : real(most);
  return numbers;
}

template <class Byte>
std::vector<Byte> bytes(int64_t count) {
  std::vector<Byte> numbers(static_cast<size_t>(count));
  for (Byte& number : numbers) number = static_cast<Byte>(whole(std::numeric_limits<Byte>::min(), std::numeric_limits<Byte>::max()));
  return numbers;
}

// True if the numbers agree to `tolerance`, relative above 1; where one is not a number, the other is none either.
bool agree(const std::vector<float>& a, const std::vector<float>& b, float tolerance) {
  for (size_t at = 0; at < a.size(); at++) {
    if (std::isnan(a[at]) && std::isnan(b[at])) continue;
    if (a[at] == b[at]) continue;
    if (!(std::fabs(a[at] - b[at]) <= tolerance * std::max(1.0f, std::fabs(b[at])))) return false;
  }
  return true;
}

bool have_same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

struct Layer {
  std::vector<int8_t> weight;
  std::vector<int32_t> sums;
  std::vector<float> scale, bias;
  PackedLayer packed;

  // The weight begins `skipped` bytes behind the place where memory was allocated.
  Layer(int64_t depth, int64_t columns, int64_t skipped = 0) {
    packed.depth = depth, packed.columns = columns;
    const int64_t padded = packed.panels() * kPanelColumns;
    weight = bytes<int8_t>(skipped + padded * depth);
    packed.weight = weight.data() + skipped;
    sums.resize(static_cast<size_t>(padded));
    for (int64_t at = 0; at < padded * depth; at++)
      sums[static_cast<size_t>(at / packed.panel_bytes() * kPanelColumns + at / kStepDepth % kPanelColumns)] +=
          packed.weight[at];
    // Powers of two, so that nothing is rounded differently where instructions are fused.
    scale.assign(static_cast<size_t>(padded), 1.0f / 4096);
    bias.assign(static_cast<size_t>(padded), 0.25f);
    packed.sums = sums.data(), packed.scale = scale.data(), packed.bias = bias.data();
  }
};

struct LinearSizes {
  int64_t depth, hidden, columns, rows;
};

// True if a block computes the same where its result takes the place of the residual, which may be its x too.
bool overwrites_residual(const CpuKernels& kernels, LinearBlock block, int64_t rows) {
  if (!block.residual) return true;
  const auto count = static_cast<size_t>(rows * block.last().columns);
  std::vector<float> apart(count), in_place(block.residual, block.residual + count);
  std::vector<uint8_t> unused(count);
  block.y = apart.data(), block.y_bytes = unused.data();
  if (block.has_norm_before && block.has_second) block.x = block.residual;
  kernels.linear_block.rows(block, 0, rows);
  if (block.x == block.residual) block.x = in_place.data();
  block.residual = block.y = in_place.data();
  kernels.linear_block.rows(block, 0, rows);
  return have_same_bits(apart, in_place);
}

bool compare_linear_block(const CpuKernels& kernels, LinearSizes sizes) {
  const auto [depth, hidden, columns, rows] = sizes;
  const bool has_second = whole(0, 1) != 0, has_norm = whole(0, 3) == 0;
  // The norm is before the layers; the residual sum is compared where x is added.
  const bool has_norm_before = !has_norm && (!has_second || depth == columns) && whole(0, 1) != 0;
  Layer first(depth, has_second ? hidden : columns, whole(0, 70)), second(hidden, columns, whole(0, 70));
  // Nothing begins where a vector would.
  const int64_t skipped = whole(0, 20);
  auto x = reals(skipped + rows * depth, 3, whole(0, 3) == 0);
  // Whether the sum of a row's largest numbers, of either sign, overflows depends on their order.
  if (has_norm_before)
    for (float& number : x)
      if (std::isfinite(number)) number = std::clamp(number, -1e15f, 1e15f);
  const auto input = bytes<uint8_t>(skipped + rows * depth);
  const auto residual = reals(rows * columns, 1), norm = reals(std::max(depth, columns), 1);
  LinearBlock block;
  if (has_second || has_norm_before) block.x = x.data() + skipped;
  else block.bytes = input.data() + skipped;
  block.input = {1.0f / 64, static_cast<int32_t>(whole(0, 255))};
  block.first = first.packed, block.has_second = has_second, block.second = second.packed;
  block.hidden = {0.25f, static_cast<int32_t>(whole(0, 255))};
  block.activation = has_second && whole(0, 1) ? Activation::kGelu : Activation::kNone;
  if (has_norm || (has_norm_before && has_second)) block.residual = residual.data();
  block.norm_scale = block.norm_bias = norm.data();
  block.has_norm_before = has_norm_before;
  block.rounding.is_rounded = whole(0, 1) != 0;
  block.rounding.x = block.rounding.branch = block.rounding.sum = {1.0f / 32, static_cast<int32_t>(whole(0, 255))};
  block.norm_epsilon = 1e-4f;
  const auto row_scale = reals(rows, 1);
  if (!block.residual && whole(0, 1)) block.row_scale = row_scale.data();
  std::vector<float> found(static_cast<size_t>(skipped + rows * columns)), expected(found.size());
  std::vector<uint8_t> found_bytes(found.size()), expected_bytes(found.size());
  block.y_range = {0.5f, static_cast<int32_t>(whole(0, 255))};
  block.y = found.data() + skipped, block.y_bytes = found_bytes.data();
  kernels.linear_block.rows(block, 0, rows);
  if (!overwrites_residual(kernels, block, rows)) return false;
  block.y = nullptr;  // bytes alone are the same
  std::vector<uint8_t> only_bytes(found.size());
  block.y_bytes = only_bytes.data();
  kernels.linear_block.rows(block, 0, rows);
  block.y = expected.data() + skipped, block.y_bytes = expected_bytes.data();
  scalar_kernels.linear_block.rows(block, 0, rows);
  // A Gelu may round one hidden byte in thousands the other way.
  const bool is_exact = block.activation == Activation::kNone && !has_norm && !has_norm_before;
  const float step = block.activation == Activation::kGelu ? 4 * 0.25f * 128 / 4096 : 0;
  if (only_bytes != found_bytes || (is_exact && found_bytes != expected_bytes)) return false;
  // A byte that a norm before the layers, or a Gelu, rounds the other way changes sums by a weight.
  const float tolerance = has_norm ? 1e-3f + 8 * step : has_norm_before ? 4 * step + 0.125f : step;
  const float sum_step = block.residual && block.rounding.is_rounded ? (has_norm ? 0.5f : 0.0625f) : 0;
  return agree(found, expected, is_exact ? 0 : tolerance + sum_step);
}

// Two blocks together compute what they do one after the other.
bool compare_two_blocks(const CpuKernels& kernels) {
  const int64_t depth = 4 * whole(1, 40), columns = 4 * whole(1, 40), hidden = 4 * whole(1, 40), rows = whole(0, 110);
  Layer of_projection(depth, columns), first(columns, hidden), second(hidden, columns);
  const auto input = bytes<uint8_t>(rows * depth);
  const auto residual = reals(rows * columns, 1), norm = reals(columns, 1);
  LinearBlock projection, feed_forward;
  projection.bytes = input.data(), projection.first = of_projection.packed, projection.residual = residual.data();
  feed_forward.has_second = true, feed_forward.first = first.packed, feed_forward.second = second.packed;
  const auto zero_point = [] { return static_cast<int32_t>(whole(0, 255)); };
  projection.input = feed_forward.input = {1.0f / 64, zero_point()}, feed_forward.hidden = {0.25f, zero_point()};
  for (LinearBlock* block : {&projection, &feed_forward})
    block->norm_scale = block->norm_bias = norm.data(), block->norm_epsilon = 1e-4f;
  const auto count = static_cast<size_t>(rows * columns);
  std::vector<float> middle(count), found(count), expected(count);
  std::vector<uint8_t> found_bytes(count), expected_bytes(count);
  feed_forward.y_range = {0.5f, zero_point()};
  feed_forward.y = found.data(), feed_forward.y_bytes = found_bytes.data();
  kernels.linear_block.two_blocks(projection, feed_forward, 0, rows);
  // The result may take the place of the residual.
  std::vector<float> in_place = residual;
  projection.residual = feed_forward.y = in_place.data();
  kernels.linear_block.two_blocks(projection, feed_forward, 0, rows);
  if (!have_same_bits(found, in_place)) return false;
  projection.residual = residual.data(), projection.y = middle.data();
  feed_forward.x = feed_forward.residual = middle.data();
  feed_forward.y = expected.data(), feed_forward.y_bytes = expected_bytes.data();
  kernels.linear_block.rows(projection, 0, rows);
  kernels.linear_block.rows(feed_forward, 0, rows);
  return found == expected && found_bytes == expected_bytes;
}

bool compare_some_linear_block(const CpuKernels& kernels) {
  const int64_t depth = 4 * whole(1, 40);
  if (whole(0, 3) == 0) return compare_linear_block(kernels, {depth, 4 * whole(1, 40), depth, whole(0, 110)});
  return compare_linear_block(kernels, {4 * whole(1, 70), 4 * whole(1, 40), whole(1, 90), whole(0, 110)});
}

bool compare_one_row(const CpuKernels& kernels) {
  return compare_linear_block(kernels, {4 * whole(1, 300), 4 * whole(1, 40), whole(1, 300), 1});
}

// Few columns, so that the processors without vectors take a second.
bool compare_many_rows(const CpuKernels& kernels) { return compare_linear_block(kernels, {8, 4, 3, 100000}); }

// Compares the bytes behind Gelu with the error function of the C++ library, from −12 to 12 and where x is not finite. A byte
// may be the other one where the exact number is nearly halfway between two.
bool compare_gelu(const CpuKernels& kernels) {
  constexpr int64_t kRows = 256, kColumns = 24;
  constexpr float kLowest = -12, kStep = 24.0f / (kRows * kColumns);
  // The first layer makes the number of a row's byte and a column, the second one is the identity.
  Layer first(4, kColumns), second(kColumns, kColumns);
  std::fill(first.weight.begin(), first.weight.end(), int8_t{0}), std::fill(second.weight.begin(), second.weight.end(), int8_t{0});
  std::fill(first.sums.begin(), first.sums.end(), 1), std::fill(second.sums.begin(), second.sums.end(), 1);
  for (int64_t column = 0; column < kColumns; column++) {
    first.weight[static_cast<size_t>(column / kPanelColumns * first.packed.panel_bytes() + column % kPanelColumns * kStepDepth)] = 1;
    second.weight[static_cast<size_t>(column / kPanelColumns * second.packed.panel_bytes() + column / kStepDepth * kStepBytes +
                                      column % kPanelColumns * kStepDepth + column % kStepDepth)] = 1;
    first.scale[static_cast<size_t>(column)] = kStep * kColumns;
    first.bias[static_cast<size_t>(column)] = kLowest + static_cast<float>(column) * kStep;
    second.scale[static_cast<size_t>(column)] = 1, second.bias[static_cast<size_t>(column)] = 0;
  }
  std::vector<uint8_t> input(kRows * 4);
  for (int64_t row = 0; row < kRows; row++) input[static_cast<size_t>(row * 4)] = static_cast<uint8_t>(row);
  const float scales[] = {1e-9f, 1e-3f, 0.0028f, 0.01f, 0.03f, 0.1f, 1e38f};
  LinearBlock block;
  block.bytes = input.data(), block.first = first.packed, block.second = second.packed;
  block.has_second = true, block.activation = Activation::kGelu;
  block.hidden = {scales[whole(0, 6)], static_cast<int32_t>(whole(0, 255))};
  std::vector<float> found(kRows * kColumns);
  block.y = found.data();
  const float scale = block.hidden.scale, zero_point = static_cast<float>(block.hidden.zero_point);
  kernels.linear_block.rows(block, 0, kRows);
  // 1.6e-4 is the error of the polynomial. A scale below 2^−22 counts as 2^−22.
  const double error = scale < 1e-6f ? 255 : 0.5 + 1.7e-4 / scale;
  for (int64_t row = 0; row < kRows; row++)
    for (int64_t column = 0; column < kColumns; column++) {
      const double x = kLowest + static_cast<double>(kStep) * static_cast<double>(row * kColumns + column);
      const double exact = x / 2 * std::erfc(-x / std::sqrt(2.0)) / scale;
      const double limited = std::min(std::max(exact, -static_cast<double>(zero_point)), 255.0 - zero_point);
      if (!(std::fabs(found[static_cast<size_t>(row * kColumns + column)] - limited) <= error)) return false;
    }
  // Beyond all numbers, and what is none.
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const float odd[] = {kInfinity, 3e38f, 1e8f, -kInfinity, -3e38f, std::nanf("")};
  for (int64_t column = 0; column < kColumns; column++) first.bias[static_cast<size_t>(column)] = odd[column % 6];
  kernels.linear_block.rows(block, 0, kRows);
  for (int64_t at = 0; at < kRows * kColumns; at++) {
    const double byte = found[static_cast<size_t>(at)], x = odd[at % kColumns % 6];
    const double exact = x > 0 ? std::min(x / scale, 255.0 - zero_point) : 0;
    if (exact == 255.0 - zero_point ? byte != exact : !(std::fabs(byte - exact) <= error)) return false;
  }
  return true;
}

bool compare_window_attention(const CpuKernels& kernels) {
  WindowAttention a;
  a.batch = whole(1, 2), a.height = whole(1, 15), a.width = whole(1, 15);
  a.window = whole(1, 7), a.shift = whole(0, a.window - 1), a.heads = whole(1, 3), a.channels = 4 * a.heads * whole(1, 9);
  const bool is_hostile = whole(0, 3) == 0;
  const auto x = reals(a.batch * a.height * a.width * a.channels, 2, is_hostile), norm = reals(a.channels, 1);
  auto bias = reals(a.heads * a.tokens() * a.padded_tokens(), 1, is_hostile);
  for (auto row = bias.begin(); row != bias.end(); row += a.padded_tokens())
    std::fill(row + a.tokens(), row + a.padded_tokens(), -std::numeric_limits<float>::infinity());
  Layer projections(a.channels, 3 * a.channels), output(a.channels, a.channels);
  a.x = x.data(), a.norm_scale = a.norm_bias = norm.data(), a.norm_epsilon = 1e-4f, a.position_bias = bias.data();
  a.input = {1.0f / 64, static_cast<int32_t>(whole(0, 255))}, a.context = {0.25f, static_cast<int32_t>(whole(0, 255))};
  a.projections = projections.packed, a.output = output.packed, a.query_scale = 0.25f;
  a.has_byte_products = whole(0, 1) != 0;
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
  // A byte of the normalized map may be rounded the other way, which moves up to all scores of a window, and so may bytes
  // of the result. Where x is not finite, its bytes differ by what a processor makes of numbers that are none.
  const float sum_step = a.residual.is_rounded ? 2.0f / 32 : 0;
  return is_hostile || agree(found, expected, 8 * 0.25f * 128 / 4096 + sum_step);
}

template <class Element>
bool compare_attention(const CpuKernels& kernels, ValueType type, const std::vector<Element>& stored,
                       DeformableAttention a, bool is_hostile) {
  const auto points = reals(a.batch * a.queries * a.levels * 2, 1.3f, is_hostile);
  const auto scale = reals(a.batch * a.queries * a.levels * 2, 0.3f, is_hostile);
  const auto offsets = reals(a.batch * a.queries * a.heads * a.levels * a.points * 2, 2, is_hostile);
  const auto logits = reals(a.batch * a.queries * a.heads * a.levels * a.points, 4, is_hostile);
  a.value = stored.data(), a.value_type = type;
  a.value_scale = type == ValueType::kFloat ? 1 : 1.0f / 128, a.value_zero_point = type == ValueType::kUint8 ? 117 : 0;
  a.reference_points = points.data(), a.offset_scale = scale.data();
  a.sampling_offsets = offsets.data(), a.attention_logits = logits.data();
  std::vector<float> found(static_cast<size_t>(a.batch * a.queries * a.heads * a.size)), expected(found.size());
  a.output = found.data();
  kernels.deformable_attention(a, 0, a.batch * a.queries);
  a.output = expected.data();
  scalar_kernels.deformable_attention(a, 0, a.batch * a.queries);
  return agree(found, expected, 1e-4f);
}

DeformableAttention some_attention(int64_t most_queries) {
  DeformableAttention a{};
  a.batch = whole(1, 2), a.heads = whole(1, 3), a.size = whole(1, 40), a.queries = whole(1, most_queries);
  a.levels = whole(1, 4), a.points = whole(1, 5);
  for (int64_t level = 0; level < a.levels; level++) {
    a.height[level] = whole(1, 9), a.width[level] = whole(1, 9), a.start[level] = a.positions;
    a.positions += a.height[level] * a.width[level];
  }
  a.scale_query_stride = a.levels * 2, a.scale_batch_stride = a.queries * a.levels * 2;
  return a;
}

bool compare_deformable_attention(const CpuKernels& kernels) {
  const DeformableAttention a = some_attention(20);
  const int64_t count = a.batch * a.positions * a.heads * a.size;
  const bool is_hostile = whole(0, 2) == 0;
  return compare_attention(kernels, ValueType::kFloat, reals(count, 1), a, is_hostile) &&
         compare_attention(kernels, ValueType::kUint8, bytes<uint8_t>(count), a, is_hostile) &&
         compare_attention(kernels, ValueType::kInt8, bytes<int8_t>(count), a, is_hostile);
}

// The results are those of the same kernels for offsets and logits that are computed by a linear block.
template <class Byte>
bool compare_projected_attention(const CpuKernels& kernels, ValueType type, DeformableAttention a) {
  const int64_t samples = a.heads * a.levels * a.points, depth = 4 * whole(1, 20), rows = a.batch * a.queries;
  const auto stored = bytes<Byte>(a.batch * a.positions * a.heads * a.size);
  // Offsets are large numbers.
  const auto points = reals(rows * a.levels * 2, 1.3f), scale = reals(rows * a.levels * 2, 0.001f);
  const auto queries = bytes<uint8_t>(rows * depth);
  const Layer offset_layer(depth, 2 * samples), logit_layer(depth, samples);
  a.value = stored.data(), a.value_type = type, a.value_scale = 1.0f / 128, a.value_zero_point = 3;
  a.reference_points = points.data(), a.offset_scale = scale.data();
  const QueryProjections of{queries.data(), {1, static_cast<int32_t>(whole(0, 255))}, offset_layer.packed, logit_layer.packed};
  std::vector<float> offsets(static_cast<size_t>(2 * samples * rows)), logits(static_cast<size_t>(samples * rows));
  LinearBlock block;
  block.bytes = of.queries, block.input = of.range;
  block.first = of.offsets, block.y = offsets.data();
  kernels.linear_block.rows(block, 0, rows);
  block.first = of.logits, block.y = logits.data();
  kernels.linear_block.rows(block, 0, rows);
  a.sampling_offsets = offsets.data(), a.attention_logits = logits.data();
  a.output_range = {1.0f / 64, 128};
  std::vector<float> results[2];
  std::vector<uint8_t> result_bytes[2];
  for (int at = 0; at < 2; at++) {
    results[at].resize(static_cast<size_t>(rows * a.heads * a.size)), result_bytes[at].resize(results[at].size());
    a.output = results[at].data(), a.output_bytes = result_bytes[at].data();
    const int64_t middle = whole(0, rows);
    if (at == 1) kernels.deformable_attention(a, 0, rows);
    else
      for (const auto& [begin, end] : {std::pair(int64_t{0}, middle), std::pair(middle, rows)})
        kernels.projected_deformable_attention(a, of, begin, end);
  }
  return results[0] == results[1] && result_bytes[0] == result_bytes[1];
}

bool compare_projected_attentions(const CpuKernels& kernels) {
  const DeformableAttention a = some_attention(90);
  return compare_projected_attention<uint8_t>(kernels, ValueType::kUint8, a) &&
         compare_projected_attention<int8_t>(kernels, ValueType::kInt8, a);
}

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

// Runs fusion attention by the kernels as its operator does, part by part.
void run_fusion(const FusionKernels& kernels, const FusionAttention& a) {
  Arena counter(nullptr);
  FusionOperands(a, counter);
  for (int64_t part = 0; part < a.parts(); part++) FusionSums(a, counter);
  FusionBlock(a, counter);
  // Aligned as the operator's memory is, and no longer than needed, so that the sanitizer sees what is beyond.
  const std::unique_ptr<char, decltype(&std::free)> memory(
      static_cast<char*>(std::aligned_alloc(64, static_cast<size_t>(counter.size()))), &std::free);
  Arena arena(memory.get());
  FusionOperands operands(a, arena);
  FusionSums sums[kFusionParts];
  for (int64_t part = 0; part < a.parts(); part++) sums[part] = FusionSums(a, arena);
  FusionBlock block(a, arena);
  kernels.prepare(a, operands);
  for (int64_t part = 0; part < a.parts(); part++)
    kernels.part(a, operands, a.begin(part), a.begin(part + 1), sums[part], block);
  for (int64_t head = 0; head < a.heads; head++) kernels.merge(a, head, sums, a.parts());
}

bool compare_fusion(const CpuKernels& kernels) {
  FusionAttention a;
  a.positions = whole(0, 3) == 0 ? whole(257, 600) : whole(1, 70);
  a.width = whole(1, 130), a.heads = whole(1, 3), a.tokens = whole(1, 70);
  const auto columns = a.heads * a.tokens;
  const auto x = bytes<uint8_t>(a.positions * a.width);
  const auto to_scores = bytes<int8_t>(a.width * columns), to_image = bytes<int8_t>(columns * a.width);
  const bool is_hostile = whole(0, 2) == 0;
  const auto token_bias = reals(columns, 1, is_hostile), position_bias = reals(a.positions, 1, is_hostile);
  const auto image_bias = reals(a.width, 1);
  constexpr float kXScale = 1.0f / 64, kImageScale = 1.0f / 64;
  a.x = x.data(), a.x_range = {kXScale, static_cast<int32_t>(whole(0, 255))};
  const bool has_norm = whole(0, 1) == 1, has_floats = !has_norm || whole(0, 1) == 1;
  // By the larger scale, scores of a block are too far apart for one exponential of each (fusion_weights.h). The bytes of a
  // normalized x may differ by one, which such scores would multiply.
  const int64_t score_steps = has_norm || whole(0, 1) == 0 ? 8192 : 16;
  a.to_scores = {to_scores.data(), 1.0f / static_cast<float>(score_steps), static_cast<int32_t>(whole(-128, 127))};
  a.to_image = {to_image.data(), kImageScale, static_cast<int32_t>(whole(-128, 127))};
  a.weights = {1.0f / 255, static_cast<int32_t>(whole(0, 1))};
  a.token_bias = token_bias.data(), a.position_bias = position_bias.data(), a.image_bias = image_bias.data();
  a.position_bias_stride = whole(0, 1);
  const auto rows = reals(a.positions * a.width, 1), norm_scale = reals(a.width, 1), norm_bias = reals(a.width, 1);
  if (has_norm) a.norm = {rows.data(), norm_scale.data(), norm_bias.data(), 1e-5f}, a.image_range = {kImageScale, 128};
  const auto addend = reals(a.positions * a.width, 1);
  // One row of the table for each number of a position, or for all of them.
  const int64_t size = whole(0, 1) == 1 ? 1 : a.width, table_rows = a.positions * a.width / size;
  std::vector<int64_t> places(static_cast<size_t>(table_rows));
  for (int64_t& place : places) place = whole(-table_rows, table_rows - 1);
  const bool has_sum = whole(0, 1) == 1, has_table = has_sum && whole(0, 1) == 1;
  if (has_sum) a.sum = {addend.data(), nullptr, {kImageScale, 100}, has_table ? places.data() : nullptr, table_rows, size};
  std::vector<float> images[2], texts[2];
  std::vector<uint8_t> image_bytes[2], sum_bytes[2];
  const CpuKernels* each[] = {&kernels, &scalar_kernels};
  for (int at = 0; at < 2; at++) {
    images[at].resize(x.size()), texts[at].resize(to_image.size());
    image_bytes[at].resize(x.size()), sum_bytes[at].resize(x.size());
    a.sum.bytes = sum_bytes[at].data();
    a.image = has_floats ? images[at].data() : nullptr, a.text = texts[at].data();
    a.image_bytes = has_norm ? image_bytes[at].data() : nullptr;
    run_fusion(each[at]->fusion, a);
  }
  if (has_table) {
    // The sum is that with an addend whose rows are those of the table.
    std::vector<float> rows_of_table;
    for (const int64_t place : places)
      for (int64_t column = 0; column < size; column++)
        rows_of_table.push_back(addend[static_cast<size_t>((place + table_rows) % table_rows * size + column)]);
    std::vector<uint8_t> expected(x.size());
    a.sum = {rows_of_table.data(), expected.data(), a.sum.range};
    a.image = has_floats ? images[0].data() : nullptr, a.text = texts[0].data(), a.image_bytes = has_norm ? image_bytes[0].data() : nullptr;
    run_fusion(kernels.fusion, a);
    a.sum = {};
    if (sum_bytes[0] != expected) return false;
  }
  if (has_norm && has_floats) {
    // The image's result may take the place of the image.
    std::vector<float> in_place = rows;
    a.norm.rows = a.image = in_place.data();
    run_fusion(kernels.fusion, a);
    if (!have_same_bits(images[0], in_place)) return false;
  }
  // A few weights that are halfway between two bytes may go to the other one.
  constexpr float kFew = 3.0f * 255 / 255;
  return agree(images[0], images[1], kFew * kImageScale) && agree(texts[0], texts[1], kFew * kXScale) &&
         agree({image_bytes[0].begin(), image_bytes[0].end()}, {image_bytes[1].begin(), image_bytes[1].end()}, kFew + 1) &&
         agree({sum_bytes[0].begin(), sum_bytes[0].end()}, {sum_bytes[1].begin(), sum_bytes[1].end()}, kFew + 1);
}

// Sets the scale, the bias and the range of the result, and calls compute(kernels, a, head, begin, end) for each head, in two parts.
// Returns false if the results differ by more than `tolerance`.
template <class Attention, class Compute>
bool compare_heads(const CpuKernels& kernels, Attention& a, const std::vector<float>& bias, float tolerance, bool is_hostile, Compute compute) {
  a.scale = 0.25f, a.bias = bias.data();
  if (bias.size() > 1) a.key_stride = whole(0, 1), a.query_stride = whole(0, 1) * a.keys;
  a.y_range = {1.0f / 128, static_cast<int32_t>(whole(0, 255))};
  const auto count = static_cast<size_t>(a.batch * a.queries * a.channels());
  std::vector<float> results[2];
  std::vector<uint8_t> result_bytes[2];
  const CpuKernels* each[] = {&kernels, &scalar_kernels};
  for (int at = 0; at < 2; at++) {
    results[at].resize(count), result_bytes[at].resize(count);
    a.y = results[at].data(), a.y_bytes = result_bytes[at].data();
    for (int64_t head = 0; head < a.batch * a.heads; head++) {
      const int64_t middle = whole(0, a.queries);
      compute(*each[at], a, head, 0, middle);
      compute(*each[at], a, head, middle, a.queries);
    }
  }
  // Instruction sets differ in which infinite or undefined products they turn into NaN, which counts as minus infinity.
  if (is_hostile) return true;
  const int most = 1 + static_cast<int>(tolerance * 128);
  for (size_t at = 0; at < count; at++)
    if (std::abs(result_bytes[0][at] - result_bytes[1][at]) > most) return false;
  return agree(results[0], results[1], tolerance);
}

bool compare_multi_head_attention(const CpuKernels& kernels) {
  MultiHeadAttention a;
  a.batch = whole(1, 2), a.queries = whole(1, 40), a.keys = whole(1, 70), a.heads = whole(1, 3), a.size = whole(1, 40);
  const bool is_hostile = whole(0, 3) == 0;
  const auto query = reals(a.batch * a.queries * a.channels(), 2, is_hostile);
  const auto key = reals(a.batch * a.keys * a.channels(), 2, is_hostile), value = reals(a.batch * a.keys * a.channels(), 1);
  const auto bias = reals(a.queries * a.keys, 3, is_hostile);
  a.query = query.data(), a.key = key.data(), a.value = value.data();
  return compare_heads(kernels, a, bias, 1e-4f, is_hostile, [](const CpuKernels& by, const auto&... rest) { by.multi_head_attention(rest...); });
}

bool compare_integer_multi_head_attention(const CpuKernels& kernels) {
  IntegerMultiHeadAttention a;
  a.batch = whole(1, 2), a.queries = whole(1, 40), a.keys = whole(1, 70), a.heads = whole(1, 3), a.size = whole(1, 40);
  const bool is_hostile = whole(0, 3) == 0;
  const auto query = bytes<uint8_t>(a.batch * a.queries * a.channels()), key = bytes<uint8_t>(a.batch * a.keys * a.channels());
  const auto value = bytes<uint8_t>(static_cast<int64_t>(key.size()));
  // Without a bias in a third of the cases, which has code of its own.
  const auto bias = whole(0, 2) == 0 ? std::vector<float>(1) : reals(a.queries * a.keys, 3, is_hostile);
  a.query = query.data(), a.key = key.data(), a.value = value.data();
  for (ByteRange* range : {&a.query_range, &a.key_range, &a.value_range}) *range = {1.0f / 64, static_cast<int32_t>(whole(0, 255))};
  // A weight that is rounded the other way moves a result by a 255th of a difference of values.
  return compare_heads(kernels, a, bias, 0.05f, is_hostile, [](const CpuKernels& by, const auto&... rest) { by.integer_multi_head_attention(rest...); });
}

bool compare_group_norm(const CpuKernels& kernels) {
  const int64_t channels = whole(1, 140), rows = whole(0, 3) == 0 ? kMostSummedRows : whole(1, 40), skipped = whole(0, 20);
  const auto from = whole(0, 3) == 0 ? std::vector<uint8_t>(static_cast<size_t>(skipped + rows * channels), 255)
                                     : bytes<uint8_t>(skipped + rows * channels);
  const auto factors = reals(channels, 1, whole(0, 3) == 0), offsets = reals(channels, 1, whole(0, 3) == 0);
  std::vector<int32_t> sums[2], squares[2];
  std::vector<float> results[2];
  const CpuKernels* each[] = {&kernels, &scalar_kernels};
  for (int at = 0; at < 2; at++) {
    sums[at].resize(static_cast<size_t>(channels)), squares[at].resize(static_cast<size_t>(channels));
    results[at].resize(static_cast<size_t>(rows * channels));
    each[at]->group_norm.sum(from.data() + skipped, rows, channels, sums[at].data(), squares[at].data());
    each[at]->group_norm.apply(from.data() + skipped, rows, channels, factors.data(), offsets.data(), results[at].data());
  }
  for (int64_t channel = 0; channel < channels; channel++) {
    int64_t sum = 0, square = 0;
    for (int64_t row = 0; row < rows; row++) {
      const int64_t byte = from[static_cast<size_t>(skipped + row * channels + channel)];
      sum += byte, square += byte * byte;
    }
    const auto at = static_cast<size_t>(channel);
    for (int path = 0; path < 2; path++)
      if (sums[path][at] != sum || squares[path][at] != square) return false;
  }
  return agree(results[0], results[1], 1e-4f);
}

bool compare_patch_embedding(const CpuKernels& kernels) {
  PatchEmbedding e;
  e.patch = whole(0, 1) ? 4 : 2 * whole(1, 4), e.batch = whole(1, 2), e.colours = whole(1, 3);
  e.height = whole(1, 40), e.width = whole(1, 80);
  const int64_t columns = whole(1, 90);
  const auto x = reals(e.batch * e.colours * e.height * e.width, 2, whole(0, 3) == 0);
  const auto scale = reals(columns, 1), bias = reals(columns, 1);
  const Layer layer(e.colours * e.patch * e.patch, columns, whole(0, 70));
  e.x = x.data(), e.norm_scale = scale.data(), e.norm_bias = bias.data(), e.norm_epsilon = 1e-2f;
  e.input = {1.0f / 64, static_cast<int32_t>(whole(0, 255))}, e.layer = layer.packed;
  std::vector<float> results[2];
  const CpuKernels* each[] = {&kernels, &scalar_kernels};
  for (int at = 0; at < 2; at++) {
    results[at].resize(static_cast<size_t>(e.all_rows() * e.columns() * columns));
    e.y = results[at].data();
    const int64_t middle = whole(0, e.all_rows());
    each[at]->patch_embedding(e, 0, middle);
    each[at]->patch_embedding(e, middle, e.all_rows());
  }
  return agree(results[0], results[1], 1e-3f);
}

bool compare_patch_merging(const CpuKernels& kernels) {
  PatchMerging m;
  m.batch = whole(1, 2), m.height = whole(1, 15), m.width = whole(1, 15), m.channels = whole(1, 40);
  const int64_t depth = 4 * m.channels, columns = whole(1, 90);
  auto x = reals(m.batch * m.height * m.width * m.channels, 2, whole(0, 3) == 0);
  // Whether the sum of a row's largest numbers, of either sign, overflows depends on their order.
  for (float& number : x)
    if (std::isfinite(number)) number = std::clamp(number, -1e15f, 1e15f);
  const auto scale = reals(depth, 1), bias = reals(depth, 1);
  const Layer layer(depth, columns, whole(0, 70));
  m.x = x.data(), m.norm_scale = scale.data(), m.norm_bias = bias.data(), m.norm_epsilon = 1e-4f;
  m.input = {1.0f / 64, static_cast<int32_t>(whole(0, 255))}, m.layer = layer.packed;
  std::vector<float> results[2];
  const CpuKernels* each[] = {&kernels, &scalar_kernels};
  for (int at = 0; at < 2; at++) {
    results[at].resize(static_cast<size_t>(m.positions() * columns));
    m.y = results[at].data();
    const int64_t middle = whole(0, m.positions());
    each[at]->patch_merging(m, 0, middle);
    each[at]->patch_merging(m, middle, m.positions());
  }
  // A few bytes may be rounded the other way, which changes sums by a weight each.
  return agree(results[0], results[1], 4 * 128.0f / 4096);
}

bool compare_sine_embedding(const CpuKernels& kernels) {
  SineEmbedding e;
  e.size = 2 * whole(1, 40);
  const int64_t rows = whole(1, 20);
  const auto positions = reals(rows, whole(0, 1) ? 8.0f : 2 * kMostAngle, whole(0, 3) == 0);
  std::vector<float> wavelengths(static_cast<size_t>(round_up(e.size, kPanelColumns)), 1.0f);
  for (int64_t at = 0; at < e.size; at++) wavelengths[static_cast<size_t>(at)] = static_cast<float>(1 + at / 2);
  e.positions = positions.data(), e.wavelengths = wavelengths.data(), e.most = kMostAngle;
  e.y_range = {1.0f / 127, 128};
  std::vector<float> results[2];
  std::vector<uint8_t> result_bytes[2];
  const CpuKernels* each[] = {&kernels, &scalar_kernels};
  for (int at = 0; at < 2; at++) {
    results[at].resize(static_cast<size_t>(rows * e.size)), result_bytes[at].resize(static_cast<size_t>(rows * e.size));
    e.y = results[at].data(), e.y_bytes = result_bytes[at].data();
    const int64_t middle = whole(0, rows);
    each[at]->sine_embedding(e, 0, middle);
    each[at]->sine_embedding(e, middle, rows);
  }
  for (int64_t row = 0; row < rows; row++)
    for (int64_t at = 0; at < e.size; at++) {
      const auto place = static_cast<size_t>(row * e.size + at);
      const float angle = positions[static_cast<size_t>(row)] / wavelengths[static_cast<size_t>(at)];
      const double exact = at % 2 == 0 ? std::sin(static_cast<double>(angle)) : std::cos(static_cast<double>(angle));
      for (const auto& result : results)
        if (!(std::fabs(result[place] - exact) <= 5e-7) && !(std::isnan(result[place]) && std::isnan(exact))) return false;
      if (std::abs(result_bytes[0][place] - result_bytes[1][place]) > 1) return false;
    }
  return true;
}

bool compare_proposal_scores(const CpuKernels& kernels) {
  const int64_t positions = whole(1, 110), width = whole(1, 90), tokens = kPanelColumns * whole(0, 9);
  Layer layer(4 * whole(1, 40), width);
  ProposalScores p;
  const auto x = reals(positions * layer.packed.depth, 3, whole(0, 3) == 0);
  auto valid = bytes<uint8_t>(positions);
  for (uint8_t& each : valid) each = each > 60;
  const auto norm_scale = reals(width, 1), norm_bias = reals(width, 1);
  auto text = reals(width * tokens, 1);
  if (tokens > 0 && whole(0, 3) == 0) text[static_cast<size_t>(whole(0, width * tokens - 1))] = std::nanf("");
  const auto mask = reals(tokens, 1, whole(0, 3) == 0);
  p.x = x.data(), p.valid = valid.data(), p.layer = layer.packed;
  // A power of two, so that no path rounds a quotient to another byte.
  p.input = {1.0f / 64, static_cast<int32_t>(whole(0, 255))};
  p.norm_scale = norm_scale.data(), p.norm_bias = norm_bias.data(), p.norm_epsilon = 1e-2f;
  p.text = text.data(), p.mask = mask.data(), p.tokens = tokens, p.terms = whole(1, 100);
  std::vector<float> results[2];
  const CpuKernels* each[] = {&kernels, &scalar_kernels};
  for (int at = 0; at < 2; at++) {
    results[at].resize(static_cast<size_t>(positions));
    p.y = results[at].data(), p.score_of_zeros = each[at]->proposal_scores.of_zeros(p);
    const int64_t middle = whole(0, positions);
    each[at]->proposal_scores.rows(p, 0, middle);
    each[at]->proposal_scores.rows(p, middle, positions);
  }
  return agree(results[0], results[1], 1e-3f);
}

struct Comparison {
  const char* name;
  bool (*run)(const CpuKernels&);
};

constexpr Comparison kComparisons[] = {{"linear layers", compare_some_linear_block},
                                       {"linear layers of one row", compare_one_row},
                                       {"Gelu in bytes", compare_gelu},
                                       {"two blocks of linear layers", compare_two_blocks},
                                       {"window attention", compare_window_attention},
                                       {"deformable attention", compare_deformable_attention},
                                       {"deformable attention of queries", compare_projected_attentions},
                                       {"fusion attention", compare_fusion},
                                       {"attention of several heads", compare_multi_head_attention},
                                       {"attention of several heads in bytes", compare_integer_multi_head_attention},
                                       {"group normalization", compare_group_norm},
                                       {"embedding of patches", compare_patch_embedding},
                                       {"merging of patches", compare_patch_merging},
                                       {"sine embedding", compare_sine_embedding},
                                       {"scores of proposals", compare_proposal_scores},
                                       {"observation", compare_observation},
                                       {"gradients", compare_gradients},
                                       {"fake quantization", compare_fake_quantization}};

}  // namespace

int main(int, char** arguments) {
  const int rounds = std::atoi(arguments[1]);
  int failures = 0;
  for (const CpuPath& path : cpu_paths())
    for (const Comparison& comparison : kComparisons) {
      int different = 0;
      for (int round = 0; round < rounds; round++) different += comparison.run(*path.kernels) ? 0 : 1;
      if (different > 0) std::printf("%s: %s: %d of %d cases differ from scalar\n", path.name, comparison.name, different, rounds);
      failures += different;
    }
  for (const CpuPath& path : cpu_paths())
    if (!compare_many_rows(*path.kernels)) {
      std::printf("%s: linear layers of 100,000 rows differ from scalar\n", path.name);
      failures++;
    }
  std::string names;
  for (const CpuPath& path : cpu_paths()) names += std::string(names.empty() ? "" : ", ") + path.name;
  if (failures == 0) std::printf("agree in %d cases of each kernel: %s\n", rounds, names.c_str());
  return failures == 0 ? 0 : 1;
}
