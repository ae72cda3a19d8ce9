// Deformable attention, written once over a vector type `V` that each instruction set provides:
//   V::Lanes, V::broadcast(scalar), V::load(pointer), V::store(pointer, v), V::multiply_add(v, scalar, sum) for floats;
//   V::PairSums and V::HalfPairSums, the sums of so many channels of bytes, as PlainPairSums below; the latter are for the
//   channels that are left over.
// The channels of a head are adjacent in memory, so reading one corner of a sample takes a vector load or two.
#pragma once

#include <cstring>
#include <type_traits>
#include <utility>
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

// What the heads of a query read.
template <class Corners>
struct QuerySamples {
  std::vector<Corners> corners;       // [heads, blocks]
  std::vector<float> totals, inside;  // [heads]: the sums of the weights of samples, not scaled, and of those of corners

  explicit QuerySamples(const DeformableAttention& a)
      : corners(static_cast<size_t>(a.heads * blocks_of(a.levels * a.points))),
        totals(static_cast<size_t>(a.heads)),
        inside(static_cast<size_t>(a.heads)) {}
};

// Finds what queries read, and has the processor load it into its caches where it may be far away. `one` is the number that a
// weight of 1 is.
template <class Corners, class Stored>
class SampleFinder {
 public:
  SampleFinder(const DeformableAttention& attention, float one)
      : a_(attention), one_(one), levels_(attention), weights_(static_cast<size_t>(a_.heads * blocks_ * kBlock)) {
    const int64_t position = a_.heads * a_.size * static_cast<int64_t>(sizeof(Stored));
    for (int64_t level = 0; level < a_.levels; level++)
      if (a_.height[level] * a_.width[level] * position > kNearBytes) far_ = (level + 1) * a_.points;
  }

  // Each step is done for all heads of the query before the next one, since the steps of one head wait for each other.
  void find(int64_t item, const Stored* values, QuerySamples<Corners>& to) {
    references_.set(a_, item);
    for (int64_t head = 0; head < a_.heads; head++)
      to.totals[head] = unscaled_softmax(a_.attention_logits + (item * a_.heads + head) * samples_, samples_, weights(head));
    for (int64_t head = 0; head < a_.heads; head++)
      to.inside[head] = find_corners(levels_, references_, a_.sampling_offsets + (item * a_.heads + head) * samples_ * 2,
                                     weights(head), samples_, one_, to.corners.data() + head * blocks_);
    for (int64_t head = 0; head < a_.heads; head++)
      for (int64_t block = 0; block * kBlock < far_; block++) {
        const auto& offset = to.corners[static_cast<size_t>(head * blocks_ + block)].offset;
        const int64_t count = std::min(kBlock, far_ - block * kBlock);
        for (int64_t lane = 0; lane < count; lane++)
          for (int corner = 0; corner < 4; corner++) __builtin_prefetch(values + head * a_.size + offset[corner][lane]);
      }
  }

 private:
  // The values of a level of at most so many bytes stay in the second-level cache, and asking for them only takes time.
  static constexpr int64_t kNearBytes = 512 * 1024;

  float* weights(int64_t head) { return weights_.data() + head * blocks_ * kBlock; }

  const DeformableAttention& a_;
  const int64_t samples_ = a_.levels * a_.points, blocks_ = blocks_of(samples_);
  const float one_;
  const SampleLevels levels_;
  SampleReferences references_;
  std::vector<float> weights_;
  int64_t far_ = 0;  // the samples of a head up to the last level with more bytes than that
};

template <class V, class Stored>
void query_range_of(const DeformableAttention& a, int64_t begin, int64_t end) {
  using Corners = std::conditional_t<std::is_same_v<Stored, float>, FloatCorners, PairCorners>;
  const int64_t samples = a.levels * a.points, row = a.heads * a.size, blocks = blocks_of(samples);
  const float one = std::is_same_v<Stored, float> ? 1.0f : weight_one(samples);
  const auto values_of = [&](int64_t item) {
    return static_cast<const Stored*>(a.value) + item / a.queries * a.positions * row;
  };
  std::vector<float> sums(static_cast<size_t>(a.output ? 0 : row));
  SampleFinder<Corners, Stored> finder(a, one);
  // What the next query reads is on its way while the values of this one are added.
  QuerySamples<Corners> of_this(a), of_next(a);
  if (begin < end) finder.find(begin, values_of(begin), of_this);
  for (int64_t item = begin; item < end; item++, std::swap(of_this, of_next)) {
    if (item + 1 < end) finder.find(item + 1, values_of(item + 1), of_next);
    float* const result = a.output ? a.output + item * row : sums.data();
    const Stored* const values = values_of(item);
    for (int64_t head = 0; head < a.heads; head++) {
      float* const out = result + head * a.size;
      sum_head<V>(of_this.corners.data() + head * blocks, samples, values + head * a.size, a.size, out);
      // Σ w · scale · (q − zero point) = scale · (Σ w · q − zero point · Σ w), so the zero point is subtracted once.
      const float scale = a.value_scale / of_this.totals[head], shift = a.value_zero_point * of_this.inside[head];
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
