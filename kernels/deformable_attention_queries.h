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
void sum_floats(const FloatCorners* corners, int64_t samples, const float* values, float* out) {
  typename V::Type sums[Vectors];
  for (int v = 0; v < Vectors; v++) sums[v] = V::broadcast(0.0f);
  for (int64_t sample = 0; sample < samples; sample++)
    for (int corner = 0; corner < 4; corner++) {
      const FloatCorners& block = corners[sample / kBlock];
      const float weight = block.weight[corner][sample % kBlock];
      if (weight == 0.0f) continue;  // the value there does not count, and may be infinite
      const float* from = values + block.offset[corner][sample % kBlock];
      for (int v = 0; v < Vectors; v++) sums[v] = V::multiply_add(V::load(from + v * V::Lanes), weight, sums[v]);
    }
  for (int v = 0; v < Vectors; v++) V::store(out + v * V::Lanes, sums[v]);
}

// The channels of one head of one query, without scale and zero point: Σ weight · value.
template <class V>
void sum_head(const FloatCorners* corners, int64_t samples, const float* values, int64_t size, float* out) {
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
}

// For bytes weights have 15 bits: they are whole multiples of 1 / kWeightOne, or of a part of it for so many samples that
// sums of 32 bits would not hold 255 times the highest sum of their weights.
constexpr float kWeightOne = 32767;
constexpr float kMostWholeSamples = 256;

inline float weight_one(int64_t samples) {
  return kWeightOne * std::min(1.0f, kMostWholeSamples / static_cast<float>(samples));
}

// The channels of one head of one query, as above, times the number that a weight of 1 is.
template <class V, class Byte>
void sum_head(const PairCorners* corners, int64_t samples, const Byte* values, int64_t size, float* out) {
  int64_t channel = 0;
  const auto sum = [&](auto start) {
    for (constexpr int64_t kStep = decltype(start)::Channels; channel + kStep <= size; channel += kStep) {
      const Byte* from = values + channel;
      // Two sums, since each addition waits for the one before it.
      auto upper = start, lower = start;
      for (int64_t block = 0; block < blocks_of(samples); block++) {
        const PairCorners& of = corners[block];
        const int64_t count = std::min(kBlock, samples - block * kBlock);
        for (int64_t lane = 0; lane < count; lane++) {
          upper.add(from + of.offset[0][lane], from + of.offset[1][lane], of.pair[0][lane]);
          lower.add(from + of.offset[2][lane], from + of.offset[3][lane], of.pair[1][lane]);
        }
      }
      upper.add(lower);
      upper.store(out + channel);
    }
  };
  sum(typename V::PairSums{});
  sum(typename V::HalfPairSums{});
  sum(PlainPairSums<8>{});
  sum(PlainPairSums<1>{});
}

template <class V, class Stored>
void query_range_of(const DeformableAttention& a, int64_t begin, int64_t end) {
  using Corners = std::conditional_t<std::is_same_v<Stored, float>, FloatCorners, PairCorners>;
  const int64_t samples = a.levels * a.points, row = a.heads * a.size, blocks = blocks_of(samples);
  const float one = std::is_same_v<Stored, float> ? 1.0f : weight_one(samples);
  const SampleLevels levels(a);
  SampleReferences references;
  // Each step is done for all heads of a query before the next one, since the steps of one head wait for each other.
  std::vector<float> weights(static_cast<size_t>(a.heads * blocks * kBlock)), totals(static_cast<size_t>(a.heads)),
      inside(static_cast<size_t>(a.heads)), sums(static_cast<size_t>(a.output ? 0 : row));
  std::vector<Corners> corners(static_cast<size_t>(a.heads * blocks));
  for (int64_t item = begin; item < end; item++) {
    float* const result = a.output ? a.output + item * row : sums.data();
    references.set(a, item);
    const Stored* value = static_cast<const Stored*>(a.value) + item / a.queries * a.positions * row;
    for (int64_t head = 0; head < a.heads; head++)
      totals[head] = unscaled_softmax(a.attention_logits + (item * a.heads + head) * samples, samples,
                                      weights.data() + head * blocks * kBlock);
    for (int64_t head = 0; head < a.heads; head++)
      inside[head] = find_corners(levels, references, a.sampling_offsets + (item * a.heads + head) * samples * 2,
                                  weights.data() + head * blocks * kBlock, samples, one, corners.data() + head * blocks);
    for (int64_t head = 0; head < a.heads; head++) {
      float* const out = result + head * a.size;
      sum_head<V>(corners.data() + head * blocks, samples, value + head * a.size, a.size, out);
      // Σ w · scale · (q − zero point) = scale · (Σ w · q − zero point · Σ w), so the zero point is subtracted once.
      const float scale = a.value_scale / totals[head], shift = a.value_zero_point * inside[head];
      for (int64_t channel = 0; channel < a.size; channel++) out[channel] = (out[channel] * (1 / one) - shift) * scale;
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
