// Deformable attention, written once over a vector type `V` that each instruction set provides:
//   V::Lanes, V::broadcast(scalar), V::load(pointer), V::store(pointer, v), V::multiply_add(v, scalar, sum) for floats;
//   V::PairSums and V::HalfPairSums, the sums of so many channels of bytes, as those of plain_pair_sums.h; the latter are for the
//   channels that are left over.
// The channels of a head are adjacent in memory, so reading one corner of a sample takes a vector load or two.
#pragma once

#include <cstring>
#include <memory>
#include <type_traits>
#include <utility>

#include "cache_line.h"
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

// The cache lines for so many floats.
inline int64_t lines_of_floats(int64_t count) { return cache_lines(count * static_cast<int64_t>(sizeof(float))); }

// For bytes weights have 15 bits: they are whole multiples of 1 / kWeightOne, or of a part of it for so many samples that
// sums of 32 bits would not hold 255 times the highest sum of their weights.
constexpr float kWeightOne = 32767;
constexpr float kMostWholeSamples = 256;

inline float weight_one(int64_t samples) {
  return kWeightOne * std::min(1.0f, kMostWholeSamples / static_cast<float>(samples));
}

// The channels of one head of one query, as above, times the number that a weight of 1 is.
template <class V, class Byte>
__attribute__((always_inline)) inline void sum_head(const PairCorners* corners, int64_t samples, const Byte* values, int64_t size, float* out) {
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

// What the heads of a query read. The memory is not its own.
template <class Corners>
struct QuerySamples {
  Corners* corners;         // [heads, blocks]
  float *totals, *inside;  // [heads]: the sums of the weights of samples, not scaled, and of those of corners
};

// Finds what queries read, and has the processor load it into its caches where it may be far away. `one` is the number that a
// weight of 1 is. `Samples` is the number of samples of a head, or 0 if it is not known before the program runs.
template <class Corners, class Stored, int64_t Samples>
class SampleFinder {
 public:
  SampleFinder(const DeformableAttention& a, float one)
      : samples_(a.levels * a.points),
        one_(one),
        levels_(a),
        references_(a),
        weights_(new CacheLine[static_cast<size_t>(lines_of_floats(a.heads * whole_blocks(samples_)))]),
        highest_(new float[static_cast<size_t>(a.heads)]) {
    const int64_t position = a.heads * a.size * static_cast<int64_t>(sizeof(Stored));
    for (int64_t level = 0; level < a.levels; level++)
      if (a.height[level] * a.width[level] * position > kNearBytes) far_ = (level + 1) * a.points;
  }

  // Each step is done for all heads of the query before the next one, since the steps of one head wait for each other.
  // `logits` and `offsets` are those of the query.
  __attribute__((always_inline)) void find(const DeformableAttention& a, int64_t item, const float* logits,
                                           const float* offsets, const Stored* values, QuerySamples<Corners> to) {
    const int64_t samples = Samples ? Samples : samples_, whole = whole_blocks(samples), blocks = blocks_of(samples);
    const int64_t heads = a.heads, size = a.size, far = far_;
    const float one = one_;
    float *const weights = floats_of(weights_.get()), *const highest = highest_.get();
    references_.set(a, item);
    if (samples < whole) {
      for (int64_t head = 0; head < heads; head++) fill_up(logits + head * samples, samples, weights + head * whole);
      logits = weights;
    }
    for (int64_t head = 0; head < heads; head++) highest[head] = highest_logit(logits + head * whole, whole);
    for (int64_t head = 0; head < heads; head++)
      to.totals[head] = unscaled_softmax(logits + head * whole, whole, highest[head], weights + head * whole);
    for (int64_t head = 0; head < heads; head++)
      to.inside[head] = find_corners(levels_, references_, offsets + head * samples * 2, weights + head * whole, samples, one,
                                     to.corners + head * blocks);
    for (int64_t head = 0; head < heads; head++)
      for (int64_t block = 0; block * kBlock < far; block++) {
        const auto& offset = to.corners[head * blocks + block].offset;
        const int64_t count = std::min(kBlock, far - block * kBlock);
        for (int64_t lane = 0; lane < count; lane++)
          for (int corner = 0; corner < 4; corner++) __builtin_prefetch(values + head * size + offset[corner][lane]);
      }
  }

 private:
  // The values of a level of at most so many bytes stay in the second-level cache, and asking for them only takes time.
  static constexpr int64_t kNearBytes = 512 * 1024;

  const int64_t samples_;
  const float one_;
  const SampleLevels levels_;
  SampleReferences references_;
  const std::unique_ptr<CacheLine[]> weights_;  // floats, [heads, samples in whole blocks]
  const std::unique_ptr<float[]> highest_;      // [heads]
  int64_t far_ = 0;                             // the samples of a head up to the last level with more bytes than that
};

// Makes the results of a query, which begin at `place`, of the sums of its heads.
template <class Corners>
void scale_sums(const DeformableAttention& a, QuerySamples<Corners> of, float one, const float* sums, int64_t place) {
  const float inverse_one = 1 / one, inverse = 1 / a.output_range.scale;
  const float zero_point = static_cast<float>(a.output_range.zero_point);
  constexpr int64_t kColumns = 16;
  for (int64_t head = 0; head < a.heads; head++) {
    // Σ w · scale · (q − zero point) = scale · (Σ w · q − zero point · Σ w), so the zero point is subtracted once.
    const float scale = a.value_scale / of.totals[head], shift = a.value_zero_point * of.inside[head];
    const int64_t end = (head + 1) * a.size;
    int64_t at = head * a.size;
    for (; at + kColumns <= end; at += kColumns) {
      IntVector bytes[kColumns / kFloatLanes];
      for (int64_t lane = 0; lane < kColumns; lane += kFloatLanes) {
        const FloatVector result = (load_floats(sums + at + lane) * inverse_one - shift) * scale;
        if (a.output) store_floats(a.output + place + at + lane, result);
        bytes[lane / kFloatLanes] = to_byte(result, inverse, zero_point);
      }
      if (a.output_bytes) store_bytes(a.output_bytes + place + at, bytes);
    }
    for (; at < end; at++) {
      const float result = (sums[at] * inverse_one - shift) * scale;
      if (a.output) a.output[place + at] = result;
      if (a.output_bytes) a.output_bytes[place + at] = to_byte(result, inverse, zero_point);
    }
  }
}

// Computes queries. `Samples` is as above.
template <class V, class Stored, int64_t Samples>
class QueryComputation {
 public:
  explicit QueryComputation(const DeformableAttention& a)
      : a_(a),
        lines_(new CacheLine[static_cast<size_t>(lines_of_floats(a.heads * a.size))]),
        corners_(new Corners[static_cast<size_t>(2 * a.heads * blocks_of(a.levels * a.points))]),
        weights_(new float[static_cast<size_t>(4 * a.heads)]),
        finder_(a, one()) {}

  // Computes the queries from `begin` to `end` - 1, which are numbered over the whole batch. `offsets` and `logits` are those of
  // `begin` and of the ones behind it. Everything is inlined: the larger a source file is, the less of this GCC inlines by itself.
  __attribute__((flatten)) void run(int64_t begin, int64_t end, const float* offsets, const float* logits) {
    const DeformableAttention& a = a_;
    const int64_t samples = Samples ? Samples : a.levels * a.points, blocks = blocks_of(samples);
    const int64_t row = a.heads * a.size, row_samples = a.heads * samples;
    const auto values_of = [&](int64_t item) {
      return static_cast<const Stored*>(a.value) + item / a.queries * a.positions * row;
    };
    float *const sums = floats_of(lines_.get()), *const weights = weights_.get();
    // What the next query reads is on its way while the values of this one are added.
    QuerySamples<Corners> of_this{corners_.get(), weights, weights + a.heads};
    QuerySamples<Corners> of_next{corners_.get() + a.heads * blocks, weights + 2 * a.heads, weights + 3 * a.heads};
    if (begin < end) finder_.find(a, begin, logits, offsets, values_of(begin), of_this);
    for (int64_t item = begin; item < end; item++, std::swap(of_this, of_next)) {
      logits += row_samples, offsets += 2 * row_samples;
      if (item + 1 < end) finder_.find(a, item + 1, logits, offsets, values_of(item + 1), of_next);
      const Stored* const values = values_of(item);
      for (int64_t head = 0; head < a.heads; head++)
        sum_head<V>(of_this.corners + head * blocks, samples, values + head * a.size, a.size, sums + head * a.size);
      scale_sums(a, of_this, one(), sums, item * row);
    }
  }

 private:
  using Corners = std::conditional_t<std::is_same_v<Stored, float>, FloatCorners, PairCorners>;

  float one() const { return std::is_same_v<Stored, float> ? 1.0f : weight_one(a_.levels * a_.points); }

  const DeformableAttention& a_;
  const std::unique_ptr<CacheLine[]> lines_;    // floats, [heads, size]: the sums of a query
  const std::unique_ptr<Corners[]> corners_;    // [2, heads, blocks]
  const std::unique_ptr<float[]> weights_;      // [4, heads]
  SampleFinder<Corners, Stored, Samples> finder_;
};

// Calls use(computation) with the computation for values of bytes. The number of samples that the published models have is known
// when the program is compiled.
template <class V, class Byte, class Use>
void with_byte_computation(const DeformableAttention& a, Use use) {
  if (a.levels * a.points == kBlock) {
    QueryComputation<V, Byte, kBlock> computation(a);
    use(computation);
  } else {
    QueryComputation<V, Byte, 0> computation(a);
    use(computation);
  }
}

// See `QueryRange`.
template <class V>
void query_range(const DeformableAttention& a, int64_t begin, int64_t end) {
  const int64_t first = begin * a.heads * a.levels * a.points;
  const auto run = [=, &a](auto& computation) {
    computation.run(begin, end, a.sampling_offsets + first * 2, a.attention_logits + first);
  };
  if (a.value_type == ValueType::kUint8) return with_byte_computation<V, uint8_t>(a, run);
  if (a.value_type == ValueType::kInt8) return with_byte_computation<V, int8_t>(a, run);
  QueryComputation<V, float, 0> computation(a);
  run(computation);
}

}  // namespace
}  // namespace dino8
