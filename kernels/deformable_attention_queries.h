// Deformable attention, written once over a vector type `V` that each instruction set provides:
//   V::Lanes, V::broadcast(scalar), V::load(pointer), V::store(pointer, v), V::multiply_add(v, scalar, sum) for floats;
//   V::PairSums and V::HalfPairSums, the sums of so many channels of bytes, as PlainPairSums below; the latter are for the
//   channels that are left over.
// The channels of a head are adjacent in memory, so reading one corner of a sample takes a vector load or two.
#pragma once

#include <cstring>
#include <type_traits>
#include <vector>

#include "deformable_attention.h"
#include "deformable_attention_corners.h"
#include "exponential.h"
#include "plain_pair_sums.h"
#include "quantize_rows.h"

namespace dino8 {
namespace {

// The vector type of one float: for the channels that are left over, and for the path "scalar".
struct OneLane {
  using Type = float;
  using PairSums = PlainPairSums<16>;
  using HalfPairSums = PlainPairSums<8>;
  static constexpr int Lanes = 1;
  static constexpr int kColumnVectors = 4;
  static Type broadcast(float value) { return value; }
  static Type load(const float* from) { return *from; }
  static void store(float* to, Type value) { *to = value; }
  static Type multiply_add(Type value, float weight, Type sum) { return value * weight + sum; }
  static Type add(Type a, Type b) { return a + b; }
  static Type subtract(Type a, Type b) { return a - b; }
  static Type larger(Type a, Type b) { return a > b ? a : b; }
  static Type power_of_two(Type rounded) {
    int32_t bits;
    std::memcpy(&bits, &rounded, sizeof bits);
    bits = static_cast<int32_t>(static_cast<uint32_t>(bits - kRoundingBits + 127) << 23);
    std::memcpy(&rounded, &bits, sizeof rounded);
    return rounded;
  }
  static float highest_of(Type value) { return value; }
  static float sum_of(Type value) { return value; }
};

// Computes `Vectors * V::Lanes` channels of float values. The sums stay in registers.
template <class V, int Vectors>
void sum_floats(const Corners& corners, int64_t samples, const float* values, float* out) {
  typename V::Type sums[Vectors];
  for (int v = 0; v < Vectors; v++) sums[v] = V::broadcast(0.0f);
  for (int64_t sample = 0; sample < samples; sample++)
    for (int corner = 0; corner < 4; corner++) {
      const float weight = corners.weight[corner][sample];
      if (weight == 0.0f) continue;  // the value there does not count, and may be infinite
      const float* from = values + corners.offset[corner][sample];
      for (int v = 0; v < Vectors; v++) sums[v] = V::multiply_add(V::load(from + v * V::Lanes), weight, sums[v]);
    }
  for (int v = 0; v < Vectors; v++) V::store(out + v * V::Lanes, sums[v]);
}

// The channels of one head of one query, without scale and zero point: Σ weight · value. Returns the sum of the weights.
template <class V>
float sum_head(const Corners& corners, int64_t samples, const float* values, int64_t size, float* out) {
  int64_t channel = 0;
  const auto sum = [&](auto vectors, auto lanes) {
    using Lanes = decltype(lanes);
    constexpr int64_t kStep = decltype(vectors)::value * Lanes::Lanes;
    for (; channel + kStep <= size; channel += kStep)
      sum_floats<Lanes, decltype(vectors)::value>(corners, samples, values + channel, out + channel);
  };
  sum(std::integral_constant<int, 4>{}, V{});
  sum(std::integral_constant<int, 2>{}, V{});
  sum(std::integral_constant<int, 1>{}, V{});
  sum(std::integral_constant<int, 1>{}, OneLane{});
  float inside = 0.0f;
  for (int corner = 0; corner < 4; corner++)
    for (int64_t sample = 0; sample < samples; sample++) inside += corners.weight[corner][sample];
  return inside;
}

// The same for bytes, with weights of 15 bits: they are whole multiples of 1 / kWeightOne, or of a part of it for so
// many samples that sums of 32 bits would not hold 255 times the highest sum of their weights.
constexpr float kWeightOne = 32767;
constexpr float kMostWholeSamples = 256;

template <class V, class Byte>
float sum_head(const Corners& corners, int64_t samples, const Byte* values, int64_t size, float* out) {
  const float one = kWeightOne * std::min(1.0f, kMostWholeSamples / static_cast<float>(samples));
  int32_t weights[2][kMaxSamples];
  int32_t parts[kBlock] = {};
  for (int row = 0; row < 2; row++)
    for (int64_t at = 0; at < whole_blocks(samples); at += kBlock)
      for (int64_t lane = 0; lane < kBlock; lane++) {
        const int64_t sample = at + lane;
        const int32_t left = static_cast<int32_t>(corners.weight[row * 2][sample] * one + 0.5f);
        const int32_t right = static_cast<int32_t>(corners.weight[row * 2 + 1][sample] * one + 0.5f);
        weights[row][sample] = left | right << 16;
        parts[lane] += left + right;
      }
  int64_t channel = 0;
  const auto sum = [&](auto start) {
    for (constexpr int64_t kStep = decltype(start)::Channels; channel + kStep <= size; channel += kStep) {
      const Byte* from = values + channel;
      auto sums = start;
      for (int64_t sample = 0; sample < samples; sample++)
        for (int row = 0; row < 2; row++)
          sums.add(from + corners.offset[row * 2][sample], from + corners.offset[row * 2 + 1][sample],
                   weights[row][sample]);
      sums.store(out + channel);
    }
  };
  sum(typename V::PairSums{});
  sum(typename V::HalfPairSums{});
  sum(PlainPairSums<8>{});
  sum(PlainPairSums<1>{});
  for (int64_t at = 0; at < size; at++) out[at] *= 1 / one;
  int32_t inside = 0;
  for (const int32_t part : parts) inside += part;
  return static_cast<float>(inside) / one;
}

template <class V, class Stored>
void query_range_of(const DeformableAttention& a, int64_t begin, int64_t end) {
  const int64_t samples = a.levels * a.points, row = a.heads * a.size;
  const SampleLevels levels(a);
  SampleReferences references;
  float weights[kMaxSamples];
  Corners corners;
  std::vector<float> sums(static_cast<size_t>(a.output ? 0 : row));
  for (int64_t item = begin; item < end; item++) {
    float* const result = a.output ? a.output + item * row : sums.data();
    references.set(a, item);
    const Stored* value = static_cast<const Stored*>(a.value) + item / a.queries * a.positions * row;
    for (int64_t head = 0; head < a.heads; head++) {
      const int64_t first = (item * a.heads + head) * samples;
      const float sum = unscaled_softmax(a.attention_logits + first, samples, weights);
      find_corners(levels, references, a.sampling_offsets + first * 2, weights, samples, static_cast<int32_t>(row),
                   corners);
      float* out = result + head * a.size;
      const float inside = sum_head<V>(corners, samples, value + head * a.size, a.size, out);
      // Σ w · scale · (q − zero point) = scale · (Σ w · q − zero point · Σ w), so the zero point is subtracted once.
      const float scale = a.value_scale / sum, shift = a.value_zero_point * inside;
      for (int64_t channel = 0; channel < a.size; channel++) out[channel] = (out[channel] - shift) * scale;
    }
    if (a.output_bytes) quantize_row(result, row, a.output_range, a.output_bytes + item * row);
  }
}

// See `QueryRange`.
template <class V>
void query_range(const DeformableAttention& a, int64_t begin, int64_t end) {
  switch (a.value_type) {
    case ValueType::kFloat: return query_range_of<V, float>(a, begin, end);
    case ValueType::kUint8: return query_range_of<V, uint8_t>(a, begin, end);
    case ValueType::kInt8: return query_range_of<V, int8_t>(a, begin, end);
  }
}

}  // namespace
}  // namespace dino8
