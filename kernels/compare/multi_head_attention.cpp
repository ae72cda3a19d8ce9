// Compares attention of several heads.
#include <cstdlib>

#include "cases.h"
#include "comparisons.h"

namespace dino8 {
namespace {

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

}  // namespace

Comparisons multi_head_attention_comparisons() {
  return {{"attention of several heads", compare_multi_head_attention},
          {"attention of several heads in bytes", compare_integer_multi_head_attention}};
}

}  // namespace dino8
