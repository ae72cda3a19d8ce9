// Where the samples of deformable attention read, and with which weights. All samples of a head are computed together, by
// blocks, a vector at a time. Everything here is in an unnamed namespace; see
// paths/path_kernels.h.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>

#include "deformable_attention.h"
#include "exponential.h"
#include "float_vector.h"

namespace dino8 {
namespace {

// Loops over samples go in steps of so many, so that arrays of samples are filled up to a multiple of it.
constexpr int64_t kBlock = 16;
static_assert(kMaxSamples % kBlock == 0);

inline int64_t whole_blocks(int64_t samples) { return (samples + kBlock - 1) / kBlock * kBlock; }

// The highest float that is below the highest integer of 32 bits by more than 1.
constexpr float kMostPlaces = 2147483520.0f;

// The samples of a head by blocks. What belongs to a block is side by side: arrays of all samples would have the numbers of
// a block in the same places of pages, which the processor takes for the same place of memory.
inline int64_t blocks_of(int64_t samples) { return whole_blocks(samples) / kBlock; }

// The levels as the samples of a head see them.
struct SampleLevels {
  struct alignas(64) Block {
    float width[kBlock], height[kBlock];
    int32_t columns[kBlock], rows[kBlock];
    int32_t start[kBlock], row_stride[kBlock];  // in elements
  };
  const std::unique_ptr<Block[]> blocks;
  const int32_t stride;  // the distance of two positions in elements

  explicit SampleLevels(const DeformableAttention& a)
      : blocks(new Block[static_cast<size_t>(blocks_of(a.levels * a.points))]), stride(static_cast<int32_t>(a.heads * a.size)) {
    const int64_t samples = a.levels * a.points;
    for (int64_t sample = 0; sample < whole_blocks(samples); sample++) {
      const int64_t level = std::min(sample / a.points, a.levels - 1), lane = sample % kBlock;
      Block& block = blocks[sample / kBlock];
      block.columns[lane] = static_cast<int32_t>(a.width[level]), block.rows[lane] = static_cast<int32_t>(a.height[level]);
      block.width[lane] = std::min(static_cast<float>(a.width[level]), kMostPlaces);
      block.height[lane] = std::min(static_cast<float>(a.height[level]), kMostPlaces);
      block.start[lane] = static_cast<int32_t>(a.start[level]) * stride;
      block.row_stride[lane] = block.columns[lane] * stride;
    }
  }
};

// The reference points of a query, and the length of a unit of its offsets, as its samples see them.
struct SampleReferences {
  struct alignas(64) Block {
    float x[kBlock], y[kBlock], x_scale[kBlock], y_scale[kBlock];
  };
  const std::unique_ptr<Block[]> blocks;

  explicit SampleReferences(const DeformableAttention& a)
      : blocks(new Block[static_cast<size_t>(blocks_of(a.levels * a.points))]) {}

  void set(const DeformableAttention& a, int64_t item) {
    const float* reference = a.reference_points + item * a.levels * 2;
    const float* scale =
        a.offset_scale + item / a.queries * a.scale_batch_stride + item % a.queries * a.scale_query_stride;
    int64_t sample = 0;
    for (int64_t level = 0; level < a.levels; level++, reference += 2, scale += 2)
      for (int64_t point = 0; point < a.points; point++) set(sample++, reference[0], reference[1], scale[0], scale[1]);
    // The samples that fill up the last block are nowhere.
    while (sample % kBlock != 0) set(sample++, NAN, NAN, NAN, NAN);
  }

 private:
  void set(int64_t sample, float x, float y, float x_scale, float y_scale) {
    Block& block = blocks[sample / kBlock];
    const int64_t lane = sample % kBlock;
    block.x[lane] = x, block.y[lane] = y, block.x_scale[lane] = x_scale, block.y_scale[lane] = y_scale;
  }
};

// The four positions around each sample of a block, as offsets of elements from the first value of the head, and the
// weights of a sample's corners times the weight of the sample: those of the upper and of the lower corners, from left to
// right. A corner outside of the level has the weight 0 and the offset of the nearest position.
struct alignas(64) FloatCorners {
  int32_t offset[4][kBlock];
  float weight[4][kBlock];
};

// The same with weights of 15 bits: the one on the left in the lower 16 bits of a pair, the one on the right in the upper.
struct alignas(64) PairCorners {
  int32_t offset[4][kBlock];
  int32_t pair[2][kBlock];
};

// The highest of the logits of a head, which are filled up to whole blocks. A NaN is never taken for it, so that the differences
// from it are at most 0.
inline float highest_logit(const float* logits, int64_t whole) {
  FloatVector highest = all_floats(-std::numeric_limits<float>::infinity());
  for (int64_t at = 0; at < whole; at += kFloatLanes) highest = larger(load_floats(logits + at), highest);
  return largest_of(highest);
}

// Sets `weights` to e^(logit − highest). Returns their sum, which is not a number if the softmax is none.
__attribute__((always_inline)) inline float unscaled_softmax(const float* logits, int64_t whole, float highest, float* weights) {
  FloatVector parts[kBlock / kFloatLanes] = {};
  for (int64_t at = 0; at < whole; at += kBlock)
    for (int64_t lane = 0; lane < kBlock; lane += kFloatLanes) {
      const FloatVector shifted = load_floats(logits + at + lane) - highest, weight = exponentials(shifted);
      store_floats(weights + at + lane, weight);
      // `exponentials` takes numbers that are none for very small ones; in the sum they must stay visible.
      parts[lane / kFloatLanes] += shifted == shifted ? weight : all_floats(NAN);
    }
  FloatVector sum = parts[0];
  for (int64_t part = 1; part < kBlock / kFloatLanes; part++) sum += parts[part];
  return sum_of(sum);
}

// Copies logits, and fills them up to whole blocks with those of the weight 0.
inline void fill_up(const float* logits, int64_t samples, float* to) {
  std::copy(logits, logits + samples, to);
  std::fill(to + samples, to + whole_blocks(samples), -std::numeric_limits<float>::infinity());
}

// `value` where a position is one of a level of so many, and 0 elsewhere.
inline FloatVector where_inside(IntVector at, IntVector size, FloatVector value) {
  return ((at >= 0) & (at < size)) ? value : all_floats(0);
}
inline IntVector nearest(IntVector at, IntVector size) {
  const IntVector raised = at > 0 ? at : IntVector{};
  return raised < size ? raised : size - 1;
}
#if defined(__wasm_relaxed_simd__)
inline IntVector to_ints(FloatVector value) { return wasm_i32x4_relaxed_trunc_f32x4(value); }
#else
inline IntVector to_ints(FloatVector value) { return __builtin_convertvector(value, IntVector); }
#endif

// Where a vector of samples lies along one side of their levels.
struct Sides {
  IntVector first, second;        // the positions on both sides, or the nearest ones
  FloatVector weight0, weight1;  // 0 if a position is outside of the level

  // `place` is in units of positions; the centre of the first position is at 0. What is further outside than −1 or the size,
  // and what is not a number, moves there, where both weights are 0.
  Sides(FloatVector place, FloatVector length, IntVector size) {
    const FloatVector at = smaller(larger(place, all_floats(-1)), length);
    // Conversions round towards 0, and numbers between −1 and 0 belong to the position −1. A comparison gives −1 where it is
    // true.
    const IntVector before = to_ints(at) + (at < 0), after = before + 1;
    const FloatVector part = at - to_floats(before);
    first = nearest(before, size), second = nearest(after, size);
    weight0 = where_inside(before, size, 1 - part), weight1 = where_inside(after, size, part);
  }
};

// Finds the corners of a block of samples from their offsets [16, 2] and weights [16]. Calls set(lane, weights of the four
// corners) for each vector of samples, which begins at `lane`.
template <class Set>
__attribute__((always_inline)) inline void find_corners(const SampleLevels::Block& levels,
                                                        const SampleReferences::Block& references, int32_t stride,
                                                        const float* sampling_offsets, const float* weights,
                                                        int32_t (&offset)[4][kBlock], Set set) {
  float x_offset[kBlock], y_offset[kBlock];
  for (int64_t lane = 0; lane < kBlock; lane++)
    x_offset[lane] = sampling_offsets[lane * 2], y_offset[lane] = sampling_offsets[lane * 2 + 1];
  for (int64_t lane = 0; lane < kBlock; lane += kFloatLanes) {
    const auto floats = [lane](const float* from) { return load_floats(from + lane); };
    const auto ints = [lane](const int32_t* from) { return load_ints(from + lane); };
    const FloatVector x = floats(references.x) + floats(x_offset) * floats(references.x_scale);
    const FloatVector y = floats(references.y) + floats(y_offset) * floats(references.y_scale);
    const FloatVector width = floats(levels.width), height = floats(levels.height), weight = floats(weights);
    const Sides across(x * width - 0.5f, width, ints(levels.columns)), down(y * height - 0.5f, height, ints(levels.rows));
    const IntVector upper = ints(levels.start) + down.first * ints(levels.row_stride);
    const IntVector lower = ints(levels.start) + down.second * ints(levels.row_stride);
    const IntVector left = across.first * stride, right = across.second * stride;
    store_ints(offset[0] + lane, upper + left), store_ints(offset[1] + lane, upper + right);
    store_ints(offset[2] + lane, lower + left), store_ints(offset[3] + lane, lower + right);
    const FloatVector upper_weight = down.weight0 * weight, lower_weight = down.weight1 * weight;
    set(lane, upper_weight * across.weight0, upper_weight * across.weight1, lower_weight * across.weight0,
        lower_weight * across.weight1);
  }
}

// Sets the corners of a block. Returns the sum of their weights.
__attribute__((always_inline)) inline float find_corners(const SampleLevels::Block& levels, const SampleReferences::Block& references, int32_t stride,
                          const float* sampling_offsets, const float* weights, float, FloatCorners& out) {
  FloatVector sum = all_floats(0);
  find_corners(levels, references, stride, sampling_offsets, weights, out.offset,
               [&](int64_t lane, FloatVector upper0, FloatVector upper1, FloatVector lower0, FloatVector lower1) {
                 store_floats(out.weight[0] + lane, upper0), store_floats(out.weight[1] + lane, upper1);
                 store_floats(out.weight[2] + lane, lower0), store_floats(out.weight[3] + lane, lower1);
                 sum += (upper0 + upper1) + (lower0 + lower1);
               });
  return sum_of(sum);
}

// The same with weights that are multiples of 1 / `one`. Returns the sum of the multiples.
__attribute__((always_inline)) inline int32_t find_corners(const SampleLevels::Block& levels, const SampleReferences::Block& references, int32_t stride,
                            const float* sampling_offsets, const float* weights, float one, PairCorners& out) {
  IntVector sum{};
  const auto multiple = [one](FloatVector weight) { return to_ints(weight * one + 0.5f); };
  find_corners(levels, references, stride, sampling_offsets, weights, out.offset,
               [&](int64_t lane, FloatVector upper0, FloatVector upper1, FloatVector lower0, FloatVector lower1) {
                 const IntVector upper[2] = {multiple(upper0), multiple(upper1)};
                 const IntVector lower[2] = {multiple(lower0), multiple(lower1)};
                 store_ints(out.pair[0] + lane, upper[0] | upper[1] << 16);
                 store_ints(out.pair[1] + lane, lower[0] | lower[1] << 16);
                 sum += (upper[0] + upper[1]) + (lower[0] + lower[1]);
               });
  return sum_of(sum);
}

// Sets the corners of all samples of a head, of as many blocks as there are. Returns the sum of their weights.
template <class Corners>
__attribute__((always_inline)) inline float find_corners(const SampleLevels& levels, const SampleReferences& references, const float* sampling_offsets,
                   const float* weights, int64_t samples, float one, Corners* out) {
  const auto find = [&](int64_t block, const float* offsets) {
    return find_corners(levels.blocks[block], references.blocks[block], levels.stride, offsets, weights + block * kBlock,
                        one, out[block]);
  };
  decltype(find(0, sampling_offsets)) sum = 0;
  int64_t block = 0;
  for (; (block + 1) * kBlock <= samples; block++) sum += find(block, sampling_offsets + block * kBlock * 2);
  if (block * kBlock < samples) {
    float rest[kBlock * 2] = {};
    std::copy(sampling_offsets + block * kBlock * 2, sampling_offsets + samples * 2, rest);
    sum += find(block, rest);
  }
  return static_cast<float>(sum) / one;
}

}  // namespace
}  // namespace dino8
