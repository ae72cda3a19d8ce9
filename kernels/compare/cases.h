// The random and hostile numbers of cases, and whether two results agree.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "../packed_weight.h"

namespace dino8 {

inline std::mt19937 generator(20);

inline int64_t whole(int64_t lowest, int64_t highest) {
  return std::uniform_int_distribution<int64_t>(lowest, highest)(generator);
}

inline float real(float most) { return std::uniform_real_distribution<float>(-most, most)(generator); }

// Numbers up to `most` in magnitude; if `is_hostile`, some are not finite, denormal or very large.
inline std::vector<float> reals(int64_t count, float most, bool is_hostile = false) {
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

// True if all pairs of numbers agree: if their difference is at most `tolerance`, or `tolerance` times the second number where that is
// above 1. NaN agrees with NaN only.
inline bool agree(const std::vector<float>& a, const std::vector<float>& b, float tolerance) {
  for (size_t at = 0; at < a.size(); at++) {
    if (std::isnan(a[at]) && std::isnan(b[at])) continue;
    if (a[at] == b[at]) continue;
    if (!(std::fabs(a[at] - b[at]) <= tolerance * std::max(1.0f, std::fabs(b[at])))) return false;
  }
  return true;
}

inline bool have_same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
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

}  // namespace dino8
