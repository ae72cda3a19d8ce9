#include "deformable_attention_gradient.h"
#include "fake_quantize.h"
#include "row_gradients.h"

namespace dino8 {
namespace {
struct Tag {};
}  // namespace

const GradientKernels gradients_neon = {deformable_attention_gradient_head<Tag>, layer_normalization_gradient<Tag>,
                                        softmax_gradient<Tag>, fake_quantize<Tag>,
                                        fake_quantize_gradient<Tag>};

}  // namespace dino8
