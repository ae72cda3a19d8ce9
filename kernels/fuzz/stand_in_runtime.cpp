#include "stand_in_runtime.h"

#include <array>
#include <cstdio>
#include <cstring>

extern "C" OrtStatus* RegisterCustomOps(OrtSessionOptions* options, const OrtApiBase* base);

namespace dino8 {
namespace {

constexpr size_t kTableSize = 420;
std::vector<const OrtCustomOpDomain*> added_domains;

OrtStatus* create_status(int code, const char* message) { return new OrtStatus{code, message}; }

OrtStatus* create_domain(const char*, OrtCustomOpDomain** out) {
  *out = new OrtCustomOpDomain;
  return nullptr;
}

OrtStatus* add_operator(OrtCustomOpDomain* domain, const OrtCustomOp* op) {
  domain->operators.push_back(op);
  return nullptr;
}

OrtStatus* add_domain(OrtSessionOptions*, OrtCustomOpDomain* domain) {
  added_domains.push_back(domain);
  return nullptr;
}

OrtStatus* tensor_data(OrtValue* value, void** out) {
  *out = value->memory.get();
  return nullptr;
}

OrtStatus* shape(const OrtValue* value, int* element_type, const int64_t** dims, size_t* rank) {
  *element_type = value->element_type, *dims = value->dims.data(), *rank = value->dims.size();
  return nullptr;
}

OrtStatus* float_attribute(const OrtKernelInfo* info, const char* name, float* out) {
  const auto found = info->attributes.find(name);
  if (found == info->attributes.end()) return create_status(kFail, "the attribute is missing");
  *out = found->second;
  return nullptr;
}

OrtStatus* input(const OrtKernelContext* context, size_t index, const OrtValue** out) {
  *out = index < context->inputs.size() ? context->inputs[index] : nullptr;
  return nullptr;
}

OrtStatus* output(OrtKernelContext* context, size_t index, const int64_t* dims, size_t rank, OrtValue** out) {
  *out = nullptr;
  if (index >= context->outputs.size() || !context->is_output_wanted[index]) return nullptr;
  const std::vector<int64_t> shape(dims, dims + rank);
  if (!tensor_bytes(shape, context->output_types[index])) return create_status(kFail, "an output is too large");
  if (context->overwritten != nullptr && index == context->overwriting_output && context->overwritten->dims == shape) {
    *out = context->overwritten;
    return nullptr;
  }
  context->outputs[index] = make_tensor(context->output_types[index], shape, context->filling);
  *out = context->outputs[index].get();
  return nullptr;
}

OrtStatus* has_config_entry(const OrtSessionOptions* options, const char*, int* out) {
  *out = options->has_training_entry ? 1 : 0;
  return nullptr;
}

OrtStatus* constant_input(const OrtKernelInfo* info, size_t index, int* is_constant, const OrtValue** out) {
  *out = index < info->constants.size() ? info->constants[index] : nullptr;
  *is_constant = *out == nullptr ? 0 : 1;
  return nullptr;
}

OrtStatus* parallel_for(const OrtKernelContext*, void (*task)(void*, size_t), size_t total, size_t, void* data) {
  for (size_t part = 0; part < total; part++) task(data, part);
  return nullptr;
}

OrtStatus* create_memory_info(int, int, OrtMemoryInfo** out) {
  static char anything;
  *out = reinterpret_cast<OrtMemoryInfo*>(&anything);
  return nullptr;
}

OrtStatus* context_allocator(const OrtKernelContext*, const OrtMemoryInfo*, OrtAllocator** out) {
  *out = new OrtAllocator{kApiVersion, [](OrtAllocator*, size_t bytes) { return std::malloc(bytes); },
                          [](OrtAllocator*, void* memory) { std::free(memory); }};
  return nullptr;
}

void release_allocator(OrtAllocator* allocator) { delete allocator; }

void unexpected() {
  std::puts("An operator called a function of ONNX Runtime that the stand-in does not have.");
  std::abort();
}

template <class Function>
const void* address(Function* function) {
  return reinterpret_cast<const void*>(function);
}

// At the positions of ort_abi.h.
std::array<const void*, kTableSize> make_table() {
  std::array<const void*, kTableSize> table;
  table.fill(address(unexpected));
  table[0] = address(create_status);
  table[26] = address(create_domain);
  table[27] = address(add_operator);
  table[28] = address(add_domain);
  table[51] = address(tensor_data);
  table[69] = address(create_memory_info);
  table[85] = address(float_attribute);
  table[90] = address(input);
  table[91] = address(output);
  table[132] = address(release_allocator);
  table[237] = address(has_config_entry);
  table[249] = address(constant_input);
  table[253] = address(context_allocator);
  table[274] = address(parallel_for);
  table[414] = address(shape);
  return table;
}

}  // namespace

int64_t element_bytes(int element_type) {
  switch (element_type) {
    case kUint8Element:
    case kInt8Element:
    case kBoolElement:
      return 1;
    case kFloatElement:
    case kInt32Element:
      return 4;
    case kInt64Element:
      return 8;
    default:
      return 0;
  }
}

std::optional<int64_t> tensor_bytes(const std::vector<int64_t>& dims, int element_type) {
  bool is_empty = false;
  for (const int64_t size : dims) {
    if (size < 0) return std::nullopt;
    is_empty = is_empty || size == 0;
  }
  int64_t bytes = element_bytes(element_type);
  for (const int64_t size : dims) {
    if (is_empty) return 0;
    if (size > kMostBytes / bytes) return std::nullopt;
    bytes *= size;
  }
  return bytes;
}

std::unique_ptr<OrtValue> make_tensor(int element_type, const std::vector<int64_t>& dims, int filling) {
  auto value = std::make_unique<OrtValue>();
  value->element_type = element_type, value->dims = dims, value->bytes = *tensor_bytes(dims, element_type);
  if (value->bytes == 0) return value;  // an empty tensor may have no memory
  value->memory.reset(static_cast<char*>(std::malloc(static_cast<size_t>(value->bytes))));
  std::memset(value->memory.get(), filling, static_cast<size_t>(value->bytes));
  return value;
}

const void* const* stand_in_table() {
  static const std::array<const void*, kTableSize> table = make_table();
  return table.data();
}

const OrtApiBase* stand_in_base() {
  static const OrtApiBase base{[](uint32_t) { return stand_in_table(); }, []() -> const char* { return "stand-in"; }};
  return &base;
}

std::vector<const OrtCustomOp*> registered_operators(bool with_training) {
  OrtSessionOptions options{with_training};
  added_domains.clear();
  if (OrtStatus* status = RegisterCustomOps(&options, stand_in_base())) {
    std::printf("The operators were not registered: %s\n", status->message.c_str());
    std::abort();
  }
  return added_domains.back()->operators;
}

}  // namespace dino8
