// Deformable attention, written once over a vector type `V` that each instruction set provides:
//   V::Lanes, V::broadcast(scalar), V::load(pointer), V::store(pointer, v), V::multiply_add(v, scalar, sum).
// `V::load` takes floats, and bytes that it converts to floats. The channels of a head are adjacent in memory, so
// reading one corner of a sample takes a few vector loads.
#pragma once

#include <cmath>
#include <type_traits>

#include "deformable_attention.h"

namespace dino8 {
namespace {

// The four positions around a sampling point, as offsets into a level, and their bilinear weights times the weight of
// the sample. A position outside of the level has the weight 0.
struct Corners {
  int64_t offset[4];
  float weight[4];
};

// Finds the corners around (x, y), in units of positions; the centre of the first position is at 0. Returns false if
// all four corners are outside of the level, or if x or y is not a number.
inline bool find_corners(float x, float y, int64_t height, int64_t width, float weight, int64_t stride, Corners& out) {
  if (!(x > -1.0f && y > -1.0f && x < static_cast<float>(width) && y < static_cast<float>(height))) return false;
  const float left = std::floor(x), top = std::floor(y);
  const int64_t x0 = static_cast<int64_t>(left), y0 = static_cast<int64_t>(top);
  const float right_part = x - left, lower_part = y - top;
  for (int corner = 0; corner < 4; corner++) {
    const int64_t cx = x0 + (corner & 1), cy = y0 + (corner >> 1);
    const bool inside = cx >= 0 && cx < width && cy >= 0 && cy < height;
    const float across = (corner & 1) ? right_part : 1.0f - right_part;
    const float down = (corner >> 1) ? lower_part : 1.0f - lower_part;
    out.offset[corner] = inside ? (cy * width + cx) * stride : 0;
    out.weight[corner] = inside ? weight * across * down : 0.0f;
  }
  return true;
}

// Computes the softmax of `count` logits.
inline void softmax(const float* logits, int64_t count, float* out) {
  float highest = logits[0];
  for (int64_t i = 1; i < count; i++) highest = logits[i] > highest ? logits[i] : highest;
  float sum = 0.0f;
  for (int64_t i = 0; i < count; i++) sum += out[i] = std::exp(logits[i] - highest);
  for (int64_t i = 0; i < count; i++) out[i] /= sum;
}

// Computes `Vectors * V::Lanes` channels of one head of one query, from the channel `first` on. The sums begin with
// `start` and stay in registers.
template <class V, int Vectors, class Stored>
void sum_channels(const Corners* corners, const Stored* const* maps, int64_t samples, int64_t first, float start,
                  float* out) {
  typename V::Type sums[Vectors];
  for (int v = 0; v < Vectors; v++) sums[v] = V::broadcast(start);
  for (int64_t sample = 0; sample < samples; sample++)
    for (int corner = 0; corner < 4; corner++) {
      const Stored* from = maps[sample] + corners[sample].offset[corner] + first;
      const float weight = corners[sample].weight[corner];
      for (int v = 0; v < Vectors; v++) sums[v] = V::multiply_add(V::load(from + v * V::Lanes), weight, sums[v]);
    }
  for (int v = 0; v < Vectors; v++) V::store(out + first + v * V::Lanes, sums[v]);
}

// The vector type of one float: for the channels that are left over, and for the path "scalar".
struct OneLane {
  using Type = float;
  static constexpr int Lanes = 1;
  static Type broadcast(float value) { return value; }
  template <class Stored>
  static Type load(const Stored* from) {
    return static_cast<float>(*from);
  }
  static void store(float* to, Type value) { *to = value; }
  static Type multiply_add(Type value, float weight, Type sum) { return value * weight + sum; }
};

// Computes all channels of one head of one query.
template <class V, class Stored>
void head_of_query(const DeformableAttention& a, int64_t item, int64_t head) {
  const int64_t batch = item / a.queries, query = item % a.queries;
  const int64_t samples = a.levels * a.points, row = a.heads * a.size;
  float weights[kMaxSamples];
  Corners corners[kMaxSamples];
  const Stored* maps[kMaxSamples];
  softmax(a.attention_logits + (item * a.heads + head) * samples, samples, weights);

  const float* offset = a.sampling_offsets + (item * a.heads + head) * samples * 2;
  const float* reference = a.reference_points + item * a.levels * 2;
  const float* scale = a.offset_scale + batch * a.scale_batch_stride + query * a.scale_query_stride;
  const Stored* value = static_cast<const Stored*>(a.value) + batch * a.positions * row + head * a.size;
  int64_t found = 0;
  float inside = 0.0f;  // the sum of the weights of all positions inside
  for (int64_t level = 0; level < a.levels; level++) {
    const float width = static_cast<float>(a.width[level]), height = static_cast<float>(a.height[level]);
    for (int64_t point = 0; point < a.points; point++) {
      const int64_t sample = level * a.points + point;
      const float x = (reference[level * 2] + offset[sample * 2] * scale[level * 2]) * width - 0.5f;
      const float y = (reference[level * 2 + 1] + offset[sample * 2 + 1] * scale[level * 2 + 1]) * height - 0.5f;
      if (!find_corners(x, y, a.height[level], a.width[level], weights[sample], row, corners[found])) continue;
      for (int corner = 0; corner < 4; corner++) {
        corners[found].weight[corner] *= a.value_scale;
        inside += corners[found].weight[corner];
      }
      maps[found++] = value + a.start[level] * row;
    }
  }

  // Σ w · scale · (q − zero point) = Σ w · scale · q − zero point · Σ w · scale, so the zero point is subtracted once.
  const float start = 0.0f - a.value_zero_point * inside;
  float* out = a.output + item * row + head * a.size;
  int64_t channel = 0;
  const auto sum = [&](auto vectors, auto lanes) {
    using Lanes = decltype(lanes);
    constexpr int64_t kStep = decltype(vectors)::value * Lanes::Lanes;
    for (; channel + kStep <= a.size; channel += kStep)
      sum_channels<Lanes, decltype(vectors)::value>(corners, maps, found, channel, start, out);
  };
  sum(std::integral_constant<int, 4>{}, V{});
  sum(std::integral_constant<int, 2>{}, V{});
  sum(std::integral_constant<int, 1>{}, V{});
  sum(std::integral_constant<int, 1>{}, OneLane{});
}

template <class V, class Stored>
void query_range_of(const DeformableAttention& a, int64_t begin, int64_t end) {
  for (int64_t item = begin; item < end; item++)
    for (int64_t head = 0; head < a.heads; head++) head_of_query<V, Stored>(a, item, head);
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
