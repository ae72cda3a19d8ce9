// Compares linear layers and what surrounds them.
#include "cases.h"
#include "comparisons.h"

namespace dino8 {
namespace {

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
  auto residual = reals(rows * columns, 1, has_norm && whole(0, 3) == 0);
  // The rows of a norm may be far from 0.
  const float distance = has_norm && whole(0, 1) != 0 ? real(300) : 0;
  for (float& number : residual) number += distance;
  // Whether the sum of a row's largest numbers, of either sign, overflows depends on their order.
  const auto limit = [](std::vector<float>& numbers) {
    for (float& number : numbers)
      if (std::isfinite(number)) number = std::clamp(number, -1e15f, 1e15f);
  };
  if (has_norm_before) limit(x);
  limit(residual);
  const auto input = bytes<uint8_t>(skipped + rows * depth);
  const auto norm = reals(std::max(depth, columns), 1);
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
  // A Gelu may round one hidden byte in thousands the other way, which changes a result by up to a weight.
  const bool is_exact = block.activation == Activation::kNone && !has_norm && !has_norm_before;
  const auto changed = static_cast<float>(4 + hidden / 500);
  const float step = block.activation == Activation::kGelu ? changed * 0.25f * 128 / 4096 : 0;
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
  // The moments of rows are added up in registers where the columns are whole panels.
  const int64_t columns = whole(0, 1) != 0 ? kPanelColumns * whole(1, 20) : whole(1, 90);
  return compare_linear_block(kernels, {4 * whole(1, 70), 4 * whole(1, 40), columns, whole(0, 110)});
}

// The second layer is as deep as any of a model, and deeper than the sums of some paths are kept in registers.
bool compare_deep_layer(const CpuKernels& kernels) {
  return compare_linear_block(kernels, {4 * whole(1, 40), 4 * whole(500, 1100), whole(1, 80), whole(0, 20)});
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
    const bool is_highest = x > 0 && exact == 255.0 - zero_point;
    if (is_highest ? byte != exact : !(std::fabs(byte - exact) <= error)) return false;
  }
  return true;
}

}  // namespace

Comparisons linear_block_comparisons() {
  return {{"linear layers", compare_some_linear_block},
          {"linear layers of one row", compare_one_row},
          {"deep linear layers", compare_deep_layer},
          {"linear layers of 100,000 rows", compare_many_rows, true},
          {"Gelu in bytes", compare_gelu},
          {"two blocks of linear layers", compare_two_blocks}};
}

}  // namespace dino8
