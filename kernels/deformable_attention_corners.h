// Where the samples of deformable attention read, and with which weights. All samples of a head are computed together, in
// blocks of fixed length, which compilers turn into vectors. Everything here is in an unnamed namespace; see
// paths/path_kernels.h.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "deformable_attention.h"
#include "exponential.h"

namespace dino8 {
namespace {

// Loops over samples go in steps of so many, so that arrays of samples are filled up to a multiple of it.
constexpr int64_t kBlock = 16;
static_assert(kMaxSamples % kBlock == 0);

inline int64_t whole_blocks(int64_t samples) { return (samples + kBlock - 1) / kBlock * kBlock; }

// The highest float that is below the highest integer of 32 bits by more than 1.
constexpr float kMostPlaces = 2147483520.0f;

// The levels as the samples of a head see them.
struct SampleLevels {
  float width[kMaxSamples], height[kMaxSamples];
  int32_t columns[kMaxSamples], rows[kMaxSamples], start[kMaxSamples];

  explicit SampleLevels(const DeformableAttention& a) {
    const int64_t samples = a.levels * a.points;
    for (int64_t sample = 0; sample < whole_blocks(samples); sample++) {
      const int64_t level = std::min(sample / a.points, a.levels - 1);
      columns[sample] = static_cast<int32_t>(a.width[level]), rows[sample] = static_cast<int32_t>(a.height[level]);
      width[sample] = std::min(static_cast<float>(a.width[level]), kMostPlaces);
      height[sample] = std::min(static_cast<float>(a.height[level]), kMostPlaces);
      start[sample] = static_cast<int32_t>(a.start[level]);
    }
  }
};

// The reference points of a query, and the length of a unit of its offsets, as its samples see them.
struct SampleReferences {
  float x[kMaxSamples], y[kMaxSamples], x_scale[kMaxSamples], y_scale[kMaxSamples];

  void set(const DeformableAttention& a, int64_t item) {
    const float* reference = a.reference_points + item * a.levels * 2;
    const float* scale =
        a.offset_scale + item / a.queries * a.scale_batch_stride + item % a.queries * a.scale_query_stride;
    int64_t sample = 0;
    for (int64_t level = 0; level < a.levels; level++)
      for (int64_t point = 0; point < a.points; point++, sample++) {
        x[sample] = reference[level * 2], y[sample] = reference[level * 2 + 1];
        x_scale[sample] = scale[level * 2], y_scale[sample] = scale[level * 2 + 1];
      }
    // The samples that fill up the last block are nowhere.
    for (; sample % kBlock != 0; sample++) x[sample] = y[sample] = x_scale[sample] = y_scale[sample] = NAN;
  }
};

// The four positions around each sample of a head, as offsets of elements from the first value of the head, and the
// weights of a sample's corners times the weight of the sample. A corner outside of the level has the weight 0 and the
// offset of the level's first position.
struct Corners {
  int32_t offset[4][kMaxSamples];
  float weight[4][kMaxSamples];
};

// Sets `weights` to e^(logit − highest logit). Returns their sum, which is not a number if the softmax is none.
inline float unscaled_softmax(const float* logits, int64_t samples, float* weights) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const int64_t whole = whole_blocks(samples);
  std::copy(logits, logits + samples, weights);
  std::fill(weights + samples, weights + whole, -kInfinity);
  float parts[kBlock];
  std::fill(parts, parts + kBlock, -kInfinity);
  // A NaN is never taken as the highest number, so that all differences below are at most 0.
  for (int64_t at = 0; at < whole; at += kBlock)
    for (int64_t lane = 0; lane < kBlock; lane++)
      parts[lane] = weights[at + lane] > parts[lane] ? weights[at + lane] : parts[lane];
  for (int64_t half = kBlock / 2; half > 0; half /= 2)
    for (int64_t lane = 0; lane < half; lane++)
      parts[lane] = parts[lane + half] > parts[lane] ? parts[lane + half] : parts[lane];
  const float highest = parts[0];
  std::fill(parts, parts + kBlock, 0.0f);
  for (int64_t at = 0; at < whole; at += kBlock)
    for (int64_t lane = 0; lane < kBlock; lane++) {
      // `exponential` takes numbers that are none for very small ones; here they must stay visible.
      const float shifted = weights[at + lane] - highest;
      weights[at + lane] = exponential(shifted);
      parts[lane] += shifted == shifted ? weights[at + lane] : NAN;
    }
  for (int64_t half = kBlock / 2; half > 0; half /= 2)
    for (int64_t lane = 0; lane < half; lane++) parts[lane] += parts[lane + half];
  return parts[0];
}

inline float is_inside(int32_t at, int32_t size) { return static_cast<float>((at >= 0) & (at < size)); }
inline int32_t nearest(int32_t at, int32_t size) { return std::min(std::max(at, 0), size - 1); }

// Finds the corners of one head's samples. `stride` is the distance of two positions in elements.
inline void find_corners(const SampleLevels& levels, const SampleReferences& references, const float* sampling_offsets,
                         const float* weights, int64_t samples, int32_t stride, Corners& out) {
  float x_offset[kMaxSamples], y_offset[kMaxSamples];
  for (int64_t sample = 0; sample < samples; sample++)
    x_offset[sample] = sampling_offsets[sample * 2], y_offset[sample] = sampling_offsets[sample * 2 + 1];
  const int64_t whole = whole_blocks(samples);
  std::fill(x_offset + samples, x_offset + whole, 0.0f);
  std::fill(y_offset + samples, y_offset + whole, 0.0f);
  for (int64_t at = 0; at < whole; at += kBlock)
    for (int64_t lane = 0; lane < kBlock; lane++) {
      const int64_t sample = at + lane;
      const float width = levels.width[sample], height = levels.height[sample], weight = weights[sample];
      const int32_t columns = levels.columns[sample], rows = levels.rows[sample];
      // In units of positions; the centre of the first position is at 0. What is further outside than −1 or the size, and
      // what is not a number, moves there, where all corners have the weight 0.
      const float x_place = (references.x[sample] + x_offset[sample] * references.x_scale[sample]) * width - 0.5f;
      const float y_place = (references.y[sample] + y_offset[sample] * references.y_scale[sample]) * height - 0.5f;
      const float x = std::min(width, std::max(-1.0f, x_place)), y = std::min(height, std::max(-1.0f, y_place));
      // Conversions round towards 0, and numbers between −1 and 0 belong to the position −1.
      const int32_t left = static_cast<int32_t>(x) - (x < 0), top = static_cast<int32_t>(y) - (y < 0);
      const float right_part = x - static_cast<float>(left), lower_part = y - static_cast<float>(top);
      const float left_weight = is_inside(left, columns) * (1.0f - right_part);
      const float right_weight = is_inside(left + 1, columns) * right_part;
      const float upper_weight = is_inside(top, rows) * (1.0f - lower_part) * weight;
      const float lower_weight = is_inside(top + 1, rows) * lower_part * weight;
      const int32_t start = levels.start[sample];
      const int32_t upper = start + nearest(top, rows) * columns, lower = start + nearest(top + 1, rows) * columns;
      const int32_t first = nearest(left, columns), second = nearest(left + 1, columns);
      out.offset[0][sample] = (upper + first) * stride, out.weight[0][sample] = upper_weight * left_weight;
      out.offset[1][sample] = (upper + second) * stride, out.weight[1][sample] = upper_weight * right_weight;
      out.offset[2][sample] = (lower + first) * stride, out.weight[2][sample] = lower_weight * left_weight;
      out.offset[3][sample] = (lower + second) * stride, out.weight[3][sample] = lower_weight * right_weight;
    }
}

}  // namespace
}  // namespace dino8
