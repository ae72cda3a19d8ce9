// Compares attention between an image and a text.
#include <cstdlib>
#include <memory>

#include "cases.h"
#include "comparisons.h"

namespace dino8 {
namespace {

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

struct FusionResults {
  std::vector<float> image, text;
  std::vector<uint8_t> image_bytes, sum_bytes;
};

std::vector<float> floats_of(const std::vector<uint8_t>& numbers) { return {numbers.begin(), numbers.end()}; }

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
  const auto compute = [&](const CpuKernels& by, FusionAttention of, FusionResults& to) {
    to.image.resize(x.size()), to.text.resize(to_image.size()), to.image_bytes.resize(x.size()), to.sum_bytes.resize(x.size());
    of.image = has_floats ? to.image.data() : nullptr, of.text = to.text.data();
    of.image_bytes = has_norm ? to.image_bytes.data() : nullptr, of.sum.bytes = to.sum_bytes.data();
    run_fusion(by.fusion, of);
  };
  FusionResults found, expected;
  compute(kernels, a, found);
  compute(scalar_kernels, a, expected);
  if (has_table) {
    // The sum is that with an addend whose rows are those of the table.
    std::vector<float> rows_of_table;
    for (const int64_t place : places)
      for (int64_t column = 0; column < size; column++)
        rows_of_table.push_back(addend[static_cast<size_t>((place + table_rows) % table_rows * size + column)]);
    FusionAttention plain = a;
    plain.sum = {rows_of_table.data(), nullptr, a.sum.range};
    FusionResults by_rows;
    compute(kernels, plain, by_rows);
    if (by_rows.sum_bytes != found.sum_bytes) return false;
  }
  if (has_norm && has_floats) {
    // The image's result may take the place of the image.
    FusionResults in_place;
    in_place.image = rows;
    FusionAttention own = a;
    own.norm.rows = in_place.image.data();
    compute(kernels, own, in_place);
    if (!have_same_bits(found.image, in_place.image) || !have_same_bits(found.text, in_place.text) ||
        found.image_bytes != in_place.image_bytes || found.sum_bytes != in_place.sum_bytes)
      return false;
  }
  // A few weights that are halfway between two bytes may go to the other one.
  constexpr float kFew = 3.0f * 255 / 255;
  return agree(found.image, expected.image, kFew * kImageScale) && agree(found.text, expected.text, kFew * kXScale) &&
         agree(floats_of(found.image_bytes), floats_of(expected.image_bytes), kFew + 1) &&
         agree(floats_of(found.sum_bytes), floats_of(expected.sum_bytes), kFew + 1);
}

}  // namespace

Comparisons fusion_attention_comparisons() {
  return {{"fusion attention", compare_fusion}};
}

}  // namespace dino8
