// The operators of dino8's kernel library in the engine: they are written for ONNX Runtime's C interface (../ort_abi.h), so that the
// engine is an ONNX Runtime to them.
#include <cstdlib>
#include <cstring>
#include <vector>

#include "../add_quantize_op.h"
#include "../deformable_attention_op.h"
#include "../fusion_attention_op.h"
#include "../group_norm_op.h"
#include "../linear_block_op.h"
#include "../multi_head_attention_op.h"
#include "../operator_names.h"
#include "../ort_abi.h"
#include "../patch_embedding_op.h"
#include "../patch_merging_op.h"
#include "../projected_deformable_attention_op.h"
#include "../projection_feed_forward_op.h"
#include "../proposal_scores_op.h"
#include "../sine_embedding_op.h"
#include "../window_attention_op.h"
#include "operators.h"

// The types of ONNX Runtime's interface, as the engine defines them. An OrtValue is a Tensor.
struct OrtStatus {
  std::string message;
};
struct OrtCustomOpDomain {
  std::vector<const OrtCustomOp*> operators;
};
struct OrtKernelInfo {
  const dino8::engine::Node* node;
};
struct OrtKernelContext {
  dino8::engine::Run* run;
  const OrtCustomOp* op;
};

namespace dino8::engine {
namespace {

OrtValue* value_of(const Tensor* tensor) { return reinterpret_cast<OrtValue*>(const_cast<Tensor*>(tensor)); }
const Tensor* tensor_of(const OrtValue* value) { return reinterpret_cast<const Tensor*>(value); }

OrtStatus* create_status(int, const char* message) { return new OrtStatus{message}; }
void release_status(OrtStatus* status) { delete status; }

OrtStatus* create_domain(const char*, OrtCustomOpDomain** out) {
  *out = new OrtCustomOpDomain;
  return nullptr;
}

OrtStatus* add_operator(OrtCustomOpDomain* domain, const OrtCustomOp* op) {
  domain->operators.push_back(op);
  return nullptr;
}

OrtStatus* tensor_data(OrtValue* value, void** out) {
  *out = const_cast<char*>(tensor_of(value)->memory.get());
  return nullptr;
}

OrtStatus* tensor_shape(const OrtValue* value, int* element, const int64_t** dims, size_t* rank) {
  const Tensor* tensor = tensor_of(value);
  *element = static_cast<int>(tensor->element), *dims = tensor->shape.dims, *rank = tensor->shape.rank;
  return nullptr;
}

OrtStatus* float_attribute(const OrtKernelInfo* info, const char* name, float* out) {
  const Attribute* found = info->node->find(name);
  if (found == nullptr || found->floats.size() != 1) return create_status(kInvalidArgument, "an attribute is missing");
  *out = found->floats[0];
  return nullptr;
}

OrtStatus* constant_input(const OrtKernelInfo* info, size_t index, int* is_constant, const OrtValue** out) {
  const auto& constants = info->node->constants;
  const Tensor* constant = index < constants.size() ? constants[index] : nullptr;
  *is_constant = constant != nullptr, *out = value_of(constant);
  return nullptr;
}

OrtStatus* get_input(const OrtKernelContext* context, size_t index, const OrtValue** out) {
  *out = value_of(context->run->input(index));
  return nullptr;
}

OrtStatus* get_output(OrtKernelContext* context, size_t index, const int64_t* dims, size_t rank, OrtValue** out) {
  *out = nullptr;
  if (index > 0 && !context->run->has_output(index)) return nullptr;
  if (rank > kMaxRank) return create_status(kFail, "an output has too many dimensions");
  Shape shape;
  shape.rank = rank;
  std::memcpy(shape.dims, dims, rank * sizeof *dims);
  Tensor* made = nullptr;
  const auto element = static_cast<Element>(context->op->GetOutputType(context->op, index));
  if (const Problem problem = context->run->make_output(index, element, shape, made)) return create_status(kFail, problem);
  *out = value_of(made);
  return nullptr;
}

// The memory of a run: what one operator gives back, the next one takes again.
OrtAllocator run_allocator{1, [](OrtAllocator*, size_t bytes) { return std::malloc(bytes); },
                           [](OrtAllocator*, void* memory) { std::free(memory); }};

OrtStatus* create_memory_info(int, int, OrtMemoryInfo** out) {
  *out = reinterpret_cast<OrtMemoryInfo*>(&run_allocator);
  return nullptr;
}
OrtStatus* context_allocator(const OrtKernelContext*, const OrtMemoryInfo*, OrtAllocator** out) {
  *out = &run_allocator;
  return nullptr;
}
void release_allocator(OrtAllocator*) {}

OrtStatus* run_parallel(const OrtKernelContext* context, void (*task)(void*, size_t), size_t total, size_t, void* data) {
  context->run->parallel_for(total, task, data);
  return nullptr;
}

// The table of functions, by the positions of ort_abi.h.
class Functions {
 public:
  Functions() {
    set(0, create_status);
    set(26, create_domain);
    set(27, add_operator);
    set(51, tensor_data);
    set(69, create_memory_info);
    set(85, float_attribute);
    set(90, get_input);
    set(91, get_output);
    set(93, release_status);
    set(132, release_allocator);
    set(249, constant_input);
    set(253, context_allocator);
    set(274, run_parallel);
    set(414, tensor_shape);
  }

  OrtApi api() const { return OrtApi{table_}; }

 private:
  template <class Function>
  void set(size_t index, Function* function) {
    table_[index] = reinterpret_cast<const void*>(function);
  }

  const void* table_[415] = {};
};

const OrtApi& own_api() {
  static const Functions functions;
  static const OrtApi api = functions.api();
  return api;
}

const std::vector<const OrtCustomOp*>& library() {
  static const OrtCustomOpDomain* const domain = [] {
    OrtCustomOpDomain* made = nullptr;
    create_domain(kDomain, &made);
    // They only add to the list, which cannot fail.
    for (const auto add : {add_deformable_attention, add_add_quantized, add_multi_head_attention, add_linear_blocks,
                           add_window_attention, add_fusion_attention, add_sine_embedding, add_proposal_scores,
                           add_projected_deformable_attention, add_group_norm, add_projection_feed_forward,
                           add_patch_embedding, add_patch_merging})
      add(own_api(), made);
    return made;
  }();
  return domain->operators;
}

std::vector<const OrtCustomOp*> find_ops(const std::string& type) {
  std::vector<const OrtCustomOp*> found;
  for (const OrtCustomOp* op : library())
    if (type == op->GetName(op)) found.push_back(op);
  return found;
}

// A node that an operator of the library computes. Of operators with the same name the types of the inputs choose one, at each run.
class LibraryOperator : public Operator {
 public:
  ~LibraryOperator() override {
    for (const Candidate& candidate : candidates_) candidate.op->KernelDestroy(candidate.kernel);
  }

  Problem start(const Node& node) {
    const OrtKernelInfo info{&node};
    for (const OrtCustomOp* op : find_ops(node.type)) {
      void* kernel = nullptr;
      if (const Problem problem = take(op->CreateKernelV2(op, own_api().table, &info, &kernel))) return problem;
      candidates_.push_back({op, kernel});
    }
    return candidates_.empty() ? "there is no such operator" : nullptr;
  }

  Problem run(Run& run) override {
    Problem problem = nullptr;
    for (const Candidate& candidate : candidates_) {
      problem = check_inputs(run, candidate.op);
      if (problem != nullptr) continue;
      OrtKernelContext context{&run, candidate.op};
      return take(candidate.op->KernelComputeV2(candidate.kernel, &context));
    }
    return problem;
  }

 private:
  struct Candidate {
    const OrtCustomOp* op;
    void* kernel;
  };

  // ONNX Runtime promises an operator that its inputs have the types that it asks for.
  static Problem check_inputs(const Run& run, const OrtCustomOp* op) {
    const size_t wanted = op->GetInputTypeCount(op);
    if (run.inputs() != wanted) return "it has another number of inputs than its operator";
    for (size_t index = 0; index < wanted; index++) {
      const Tensor* input = run.input(index);
      if (input == nullptr) return kMissingInput;
      if (static_cast<int>(input->element) != op->GetInputType(op, index)) return kWrongType;
    }
    return nullptr;
  }

  Problem take(OrtStatus* status) {
    if (status == nullptr) return nullptr;
    message_ = std::move(status->message);
    release_status(status);
    return message_.c_str();
  }

  std::vector<Candidate> candidates_;
  std::string message_;
};

}  // namespace

MakeOperator find_library_operator(const std::string& type) {
  return find_ops(type).empty() ? nullptr : make_operator<LibraryOperator>;
}

}  // namespace dino8::engine
