// The part of ONNX Runtime's C ABI that a custom operator needs, declared here because the npm package that brings the
// shared library brings no headers. Source: onnxruntime_c_api.h, API version 24. The ABI is append-only: the function
// table and OrtCustomOp only ever grow at their ends.
#pragma once

#include <cstddef>
#include <cstdint>

struct OrtStatus;
struct OrtValue;
struct OrtKernelInfo;
struct OrtKernelContext;
struct OrtShapeInferContext;
struct OrtCustomOpDomain;
struct OrtSessionOptions;
struct OrtMemoryInfo;

struct OrtAllocator {
  uint32_t version;
  void* (*Alloc)(OrtAllocator*, size_t bytes);
  void (*Free)(OrtAllocator*, void* memory);
};

struct OrtApiBase {
  const void* const* (*GetApi)(uint32_t version);
  const char* (*GetVersionString)();
};

constexpr uint32_t kApiVersion = 24;       // the first with GetTensorElementTypeAndShapeDataReference
constexpr uint32_t kOperatorVersion = 18;  // the first with GetMayInplace
// ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT and others
constexpr int kFloatElement = 1, kUint8Element = 2, kInt8Element = 3, kInt32Element = 6, kInt64Element = 7,
              kBoolElement = 9;
constexpr int kFail = 1, kInvalidArgument = 2;  // ORT_FAIL, ORT_INVALID_ARGUMENT
constexpr int kRequired = 0, kOptional = 1;  // INPUT_OUTPUT_REQUIRED, INPUT_OUTPUT_OPTIONAL
constexpr int kMemTypeDefault = 0;   // OrtMemTypeDefault

struct OrtCustomOp {
  uint32_t version;
  void* (*CreateKernel)(const OrtCustomOp*, const void* api, const OrtKernelInfo*);
  const char* (*GetName)(const OrtCustomOp*);
  const char* (*GetExecutionProviderType)(const OrtCustomOp*);
  int (*GetInputType)(const OrtCustomOp*, size_t);
  size_t (*GetInputTypeCount)(const OrtCustomOp*);
  int (*GetOutputType)(const OrtCustomOp*, size_t);
  size_t (*GetOutputTypeCount)(const OrtCustomOp*);
  void (*KernelCompute)(void* kernel, OrtKernelContext*);
  void (*KernelDestroy)(void* kernel);
  int (*GetInputCharacteristic)(const OrtCustomOp*, size_t);
  int (*GetOutputCharacteristic)(const OrtCustomOp*, size_t);
  int (*GetInputMemoryType)(const OrtCustomOp*, size_t);
  int (*GetVariadicInputMinArity)(const OrtCustomOp*);
  int (*GetVariadicInputHomogeneity)(const OrtCustomOp*);
  int (*GetVariadicOutputMinArity)(const OrtCustomOp*);
  int (*GetVariadicOutputHomogeneity)(const OrtCustomOp*);
  OrtStatus* (*CreateKernelV2)(const OrtCustomOp*, const void* api, const OrtKernelInfo*, void** kernel);
  OrtStatus* (*KernelComputeV2)(void* kernel, OrtKernelContext*);
  OrtStatus* (*InferOutputShape)(const OrtCustomOp*, OrtShapeInferContext*);
  int (*GetStartVersion)(const OrtCustomOp*);
  int (*GetEndVersion)(const OrtCustomOp*);
  size_t (*GetMayInplace)(int** inputs, int** outputs);
  void (*ReleaseMayInplace)(int* inputs, int* outputs);
  size_t (*GetAliasMap)(int** inputs, int** outputs);
  void (*ReleaseAliasMap)(int* inputs, int* outputs);
};

// The functions used, by their position in the table.
struct OrtApi {
  const void* const* table;

  template <class Function>
  Function at(size_t index) const {
    return reinterpret_cast<Function>(const_cast<void*>(table[index]));
  }

  OrtStatus* createStatus(int code, const char* message) const {
    return at<OrtStatus* (*)(int, const char*)>(0)(code, message);
  }
  OrtStatus* createCustomOpDomain(const char* name, OrtCustomOpDomain** out) const {
    return at<OrtStatus* (*)(const char*, OrtCustomOpDomain**)>(26)(name, out);
  }
  OrtStatus* addOperator(OrtCustomOpDomain* domain, const OrtCustomOp* op) const {
    return at<OrtStatus* (*)(OrtCustomOpDomain*, const OrtCustomOp*)>(27)(domain, op);
  }
  OrtStatus* addDomain(OrtSessionOptions* options, OrtCustomOpDomain* domain) const {
    return at<OrtStatus* (*)(OrtSessionOptions*, OrtCustomOpDomain*)>(28)(options, domain);
  }
  OrtStatus* tensorData(OrtValue* value, void** out) const {
    return at<OrtStatus* (*)(OrtValue*, void**)>(51)(value, out);
  }
  OrtStatus* createCpuMemoryInfo(OrtMemoryInfo** out) const {
    constexpr int kArenaAllocator = 1, kDefault = 0;  // OrtArenaAllocator, OrtMemTypeDefault
    return at<OrtStatus* (*)(int, int, OrtMemoryInfo**)>(69)(kArenaAllocator, kDefault, out);
  }
  OrtStatus* floatAttribute(const OrtKernelInfo* info, const char* name, float* out) const {
    return at<OrtStatus* (*)(const OrtKernelInfo*, const char*, float*)>(85)(info, name, out);
  }
  OrtStatus* input(const OrtKernelContext* context, size_t index, const OrtValue** out) const {
    return at<OrtStatus* (*)(const OrtKernelContext*, size_t, const OrtValue**)>(90)(context, index, out);
  }
  OrtStatus* output(OrtKernelContext* context, size_t index, const int64_t* dims, size_t rank, OrtValue** out) const {
    return at<OrtStatus* (*)(OrtKernelContext*, size_t, const int64_t*, size_t, OrtValue**)>(91)(context, index, dims,
                                                                                                 rank, out);
  }
  void releaseStatus(OrtStatus* status) const { at<void (*)(OrtStatus*)>(93)(status); }
  void releaseAllocator(OrtAllocator* allocator) const { at<void (*)(OrtAllocator*)>(132)(allocator); }
  OrtStatus* hasConfigEntry(const OrtSessionOptions* options, const char* key, int* out) const {
    return at<OrtStatus* (*)(const OrtSessionOptions*, const char*, int*)>(237)(options, key, out);
  }
  OrtStatus* constantInput(const OrtKernelInfo* info, size_t index, int* is_constant, const OrtValue** out) const {
    return at<OrtStatus* (*)(const OrtKernelInfo*, size_t, int*, const OrtValue**)>(249)(info, index, is_constant, out);
  }
  OrtStatus* contextAllocator(const OrtKernelContext* context, const OrtMemoryInfo* memory, OrtAllocator** out) const {
    return at<OrtStatus* (*)(const OrtKernelContext*, const OrtMemoryInfo*, OrtAllocator**)>(253)(context, memory, out);
  }
  OrtStatus* parallelFor(const OrtKernelContext* context, void (*task)(void*, size_t), size_t total, void* data) const {
    constexpr size_t kAutomatic = 0;
    return at<OrtStatus* (*)(const OrtKernelContext*, void (*)(void*, size_t), size_t, size_t, void*)>(274)(
        context, task, total, kAutomatic, data);
  }
  // The dimensions belong to the value.
  OrtStatus* shape(const OrtValue* value, int* element_type, const int64_t** dims, size_t* rank) const {
    return at<OrtStatus* (*)(const OrtValue*, int*, const int64_t**, size_t*)>(414)(value, element_type, dims, rank);
  }
};
