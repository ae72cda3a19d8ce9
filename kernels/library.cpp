// The entry point that ONNX Runtime calls, and functions that tell which instruction sets there are and whether they serve
// for integer products.
#include "add_quantize_op.h"
#include "cpu_path.h"
#include "deformable_attention_op.h"
#include "export.h"
#include "fake_quantize_op.h"
#include "fusion_attention_op.h"
#include "group_norm_op.h"
#include "linear_block_op.h"
#include "multi_head_attention_op.h"
#include "observe_op.h"
#include "operator_names.h"
#include "patch_embedding_op.h"
#include "patch_merging_op.h"
#include "projected_deformable_attention_op.h"
#include "projection_feed_forward_op.h"
#include "proposal_scores_op.h"
#include "row_gradients_op.h"
#include "sine_embedding_op.h"
#include "window_attention_op.h"

namespace {

// The operators that a domain has beside those that every session has.
struct Contents {
  bool has_linear_blocks, has_training;
};

OrtStatus* make_domain(const OrtApi& api, Contents contents, OrtCustomOpDomain** domain) {
  const auto [has_linear_blocks, has_training] = contents;
  if (OrtStatus* status = api.createCustomOpDomain(dino8::kDomain, domain)) return status;
  if (OrtStatus* status = dino8::add_deformable_attention(api, *domain)) return status;
  if (OrtStatus* status = dino8::add_add_quantized(api, *domain)) return status;
  if (OrtStatus* status = dino8::add_multi_head_attention(api, *domain)) return status;
  if (OrtStatus* status = dino8::add_sine_embedding(api, *domain)) return status;
  if (OrtStatus* status = dino8::add_group_norm(api, *domain)) return status;
  if (has_linear_blocks) {
    if (OrtStatus* status = dino8::add_linear_blocks(api, *domain)) return status;
    if (OrtStatus* status = dino8::add_projection_feed_forward(api, *domain)) return status;
    if (OrtStatus* status = dino8::add_window_attention(api, *domain)) return status;
    if (OrtStatus* status = dino8::add_fusion_attention(api, *domain)) return status;
    if (OrtStatus* status = dino8::add_proposal_scores(api, *domain)) return status;
    if (OrtStatus* status = dino8::add_projected_deformable_attention(api, *domain)) return status;
    if (OrtStatus* status = dino8::add_patch_embedding(api, *domain)) return status;
    if (OrtStatus* status = dino8::add_patch_merging(api, *domain)) return status;
  }
  if (!has_training) return nullptr;
  if (OrtStatus* status = dino8::add_deformable_attention_gradient(api, *domain)) return status;
  if (OrtStatus* status = dino8::add_fake_quantize(api, *domain)) return status;
  if (OrtStatus* status = dino8::add_row_gradients(api, *domain)) return status;
  return dino8::add_observe(api, *domain);
}

// False where ONNX Runtime's own operators are faster and as exact, unless DINO8_KERNEL_PATH asks for an instruction set.
bool has_linear_blocks(const dino8::CpuPath& path) {
  return path.kernels->linear_block.is_preferred || dino8::is_path_named();
}

}  // namespace

// Sessions share domains, which are never released. Some have the operators of linear layers, for machines on which they are
// faster or more exact than the operators of their bodies, or if DINO8_KERNEL_PATH asks for an instruction set.
// Some have the operators of calibration and training, for sessions that ask for them by the entry kTrainingEntry of their
// configuration: a model of a stranger has no use for them. Fails if DINO8_KERNEL_PATH names an instruction set that this
// machine does not have.
DINO8_EXPORT OrtStatus* RegisterCustomOps(OrtSessionOptions* options, const OrtApiBase* base) {
  static OrtCustomOpDomain* domains[2][2] = {};
  const OrtApi api{base->GetApi(kApiVersion)};
  // An older ONNX Runtime runs models by the bodies of their functions.
  if (api.table == nullptr) return nullptr;
  const dino8::CpuPath* path = dino8::choose_cpu_path();
  if (path == nullptr) return api.createStatus(kInvalidArgument, dino8::bad_path_message());
  const bool has_blocks = has_linear_blocks(*path);
  int has_training = 0;
  if (OrtStatus* status = api.hasConfigEntry(options, dino8::kTrainingEntry, &has_training)) return status;
  OrtCustomOpDomain*& domain = domains[has_blocks ? 1 : 0][has_training != 0 ? 1 : 0];
  if (domain == nullptr)
    if (OrtStatus* status = make_domain(api, {has_blocks, has_training != 0}, &domain)) return status;
  return api.addDomain(options, domain);
}

// The name of the instruction set in use, one of those in cpu_path.h. Null if DINO8_KERNEL_PATH names one
// that this machine does not have.
DINO8_EXPORT const char* dino8_cpu_path() {
  const dino8::CpuPath* path = dino8::choose_cpu_path();
  return path == nullptr ? nullptr : path->name;
}

// The names of the instruction sets of this machine, separated by commas, the fastest one first.
DINO8_EXPORT const char* dino8_cpu_paths() { return dino8::cpu_path_names(); }

// True if sessions have the operators that are made of products of bytes; they run by their bodies if not.
DINO8_EXPORT bool dino8_has_integer_products() {
  const dino8::CpuPath* path = dino8::choose_cpu_path();
  return path != nullptr && has_linear_blocks(*path);
}
