// Compares the embeddings of patches and positions, group normalization, and the scores of proposals.
#include <cstdlib>

#include "cases.h"
#include "comparisons.h"

namespace dino8 {
namespace {

bool compare_group_norm(const CpuKernels& kernels) {
  const int64_t channels = whole(1, 140), rows = whole(0, 3) == 0 ? kMostSummedRows : whole(1, 40), skipped = whole(0, 20);
  const auto from = whole(0, 3) == 0 ? std::vector<uint8_t>(static_cast<size_t>(skipped + rows * channels), 255)
                                     : bytes<uint8_t>(skipped + rows * channels);
  // Not both, since whether the sum of two large numbers overflows depends on whether a product is rounded before it is added.
  const int64_t hostile = whole(0, 7);
  const auto factors = reals(channels, 1, hostile == 0), offsets = reals(channels, 1, hostile == 1);
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

}  // namespace

Comparisons embedding_comparisons() {
  return {{"group normalization", compare_group_norm},
          {"embedding of patches", compare_patch_embedding},
          {"merging of patches", compare_patch_merging},
          {"sine embedding", compare_sine_embedding},
          {"scores of proposals", compare_proposal_scores}};
}

}  // namespace dino8
