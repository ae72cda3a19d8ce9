// What the shared library exports: the entry point that ONNX Runtime calls, and what `dino8 doctor` asks.
#include "cpu_path.h"
#include "deformable_attention_op.h"
#include "fake_quantize_op.h"
#include "observe_op.h"
#include "row_gradients_op.h"

namespace {

OrtStatus* make_domain(const OrtApi& api, OrtCustomOpDomain** domain) {
  if (OrtStatus* status = api.createCustomOpDomain("ai.dino8", domain)) return status;
  if (OrtStatus* status = dino8::add_deformable_attention(api, *domain)) return status;
  if (OrtStatus* status = dino8::add_deformable_attention_gradient(api, *domain)) return status;
  if (OrtStatus* status = dino8::add_fake_quantize(api, *domain)) return status;
  if (OrtStatus* status = dino8::add_row_gradients(api, *domain)) return status;
  return dino8::add_observe(api, *domain);
}

}  // namespace

#if defined(_WIN32)
#define DINO8_EXPORT extern "C" __declspec(dllexport)
#else
#define DINO8_EXPORT extern "C" __attribute__((visibility("default")))
#endif

// The domain outlives every session, so it is made once and kept.
DINO8_EXPORT OrtStatus* RegisterCustomOps(OrtSessionOptions* options, const OrtApiBase* base) {
  static OrtCustomOpDomain* domain = nullptr;
  const OrtApi api{base->GetApi(kApiVersion)};
  if (domain == nullptr)
    if (OrtStatus* status = make_domain(api, &domain)) return status;
  return api.addDomain(options, domain);
}

// The instruction set in use: "avx512", "avx2", "neon" or "scalar".
DINO8_EXPORT const char* dino8_cpu_path() { return dino8::choose_cpu_path().name; }
