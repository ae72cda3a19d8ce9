// The gradient of deformable attention. The channels of a head are adjacent in memory, and the loops over them are
// plain loops that every compiler turns into vector instructions.
#pragma once

#include "deformable_attention_corners.h"
#include "gradients.h"

namespace dino8 {
namespace {

// The scalar product of two vectors, in lanes that are joined at the end.
float dot_product(const float* __restrict a, const float* __restrict b, int64_t size) {
  constexpr int64_t kLanes = 16;
  float lanes[kLanes] = {};
  int64_t c = 0;
  for (; c + kLanes <= size; c += kLanes)
    for (int64_t lane = 0; lane < kLanes; lane++) lanes[lane] += a[c + lane] * b[c + lane];
  float sum = 0.0f;
  for (; c < size; c++) sum += a[c] * b[c];
  for (float lane : lanes) sum += lane;
  return sum;
}

// Adds `weight` times `from` to `to`.
void add_scaled(float* __restrict to, const float* __restrict from, float weight, int64_t size) {
  for (int64_t c = 0; c < size; c++) to[c] += weight * from[c];
}

// The derivatives of one sample's part of the loss with respect to its weight and to its place, in units of positions.
struct SampleSlopes {
  float value, x, y;
};

// Computes the derivatives of one sample, and adds its share to the gradients of the four values around it.

SampleSlopes sample_gradient(const DeformableAttentionGradient& a, int64_t level, float x, float y, float weight,
                             const float* map, float* map_gradient, const float* gradient, float gradient_sum) {
  const DeformableAttention& f = a.forward;
  const int64_t height = f.height[level], width = f.width[level], stride = f.heads * f.size;
  SampleSlopes slopes{0.0f, 0.0f, 0.0f};
  if (!(x > -1.0f && y > -1.0f && x < static_cast<float>(width) && y < static_cast<float>(height))) return slopes;
  const float left = std::floor(x), top = std::floor(y);
  const float right_part = x - left, lower_part = y - top;
  for (int corner = 0; corner < 4; corner++) {
    const bool is_right = corner & 1, is_lower = corner >> 1;
    const int64_t column = static_cast<int64_t>(left) + is_right, line = static_cast<int64_t>(top) + is_lower;
    if (column < 0 || column >= width || line < 0 || line >= height) continue;
    const int64_t offset = (line * width + column) * stride;
    const float across = is_right ? right_part : 1.0f - right_part;
    const float down = is_lower ? lower_part : 1.0f - lower_part;
    const float along =
        f.value_scale * (dot_product(map + offset, gradient, f.size) - f.value_zero_point * gradient_sum);
    slopes.value += across * down * along;
    slopes.x += (is_right ? down : -down) * along;
    slopes.y += (is_lower ? across : -across) * along;
    add_scaled(map_gradient + offset, gradient, weight * across * down * f.value_scale, f.size);
  }
  return slopes;
}

// See `GradientKernels::deformable_attention_head`.
void deformable_attention_gradient_head(const DeformableAttentionGradient& a, int64_t image, int64_t head) {
  const DeformableAttention& f = a.forward;
  const int64_t row = f.heads * f.size, samples = f.levels * f.points, whole = whole_blocks(samples);
  const int64_t first = image * f.positions * row + head * f.size;
  const float* value = static_cast<const float*>(f.value) + first;
  float* value_gradient = a.value_gradient + first;
  for (int64_t position = 0; position < f.positions; position++)
    for (int64_t c = 0; c < f.size; c++) value_gradient[position * row + c] = 0.0f;

  float weights[kMaxSamples], by_weight[kMaxSamples];
  for (int64_t query = 0; query < f.queries; query++) {
    const int64_t item = image * f.queries + query, place = (item * f.heads + head) * samples;
    const float* gradient = a.output_gradient + item * row + head * f.size;
    const float* offset = f.sampling_offsets + place * 2;
    const float* reference = f.reference_points + item * f.levels * 2;
    const float* scale = f.offset_scale + image * f.scale_batch_stride + query * f.scale_query_stride;
    float gradient_sum = 0.0f;
    for (int64_t c = 0; c < f.size; c++) gradient_sum += gradient[c];
    fill_up(f.attention_logits + place, samples, weights);
    const float sum = unscaled_softmax(weights, whole, highest_logit(weights, whole), weights);
    for (int64_t sample = 0; sample < samples; sample++) weights[sample] /= sum;
    float mean = 0.0f;
    for (int64_t level = 0; level < f.levels; level++) {
      const float width = static_cast<float>(f.width[level]), height = static_cast<float>(f.height[level]);
      for (int64_t point = 0; point < f.points; point++) {
        const int64_t sample = level * f.points + point;
        const float x = (reference[level * 2] + offset[sample * 2] * scale[level * 2]) * width - 0.5f;
        const float y = (reference[level * 2 + 1] + offset[sample * 2 + 1] * scale[level * 2 + 1]) * height - 0.5f;
        const SampleSlopes slopes = sample_gradient(a, level, x, y, weights[sample], value + f.start[level] * row,
                                                    value_gradient + f.start[level] * row, gradient, gradient_sum);
        float* by_offset = a.offset_gradient + (place + sample) * 2;
        by_offset[0] = weights[sample] * slopes.x * width * scale[level * 2];
        by_offset[1] = weights[sample] * slopes.y * height * scale[level * 2 + 1];
        by_weight[sample] = slopes.value;
        mean += weights[sample] * slopes.value;
      }
    }
    for (int64_t sample = 0; sample < samples; sample++)
      a.logit_gradient[place + sample] = weights[sample] * (by_weight[sample] - mean);
  }
}

}  // namespace
}  // namespace dino8
