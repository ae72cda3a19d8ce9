#include "run_memory.h"

#include "cache_line.h"

namespace dino8 {
namespace {

// The description of the processor's memory in ONNX Runtime's arena, made once for the process. Null if that failed.
const OrtMemoryInfo* processor_memory(const OrtApi& api) {
  static const OrtMemoryInfo* const memory = [&] {
    OrtMemoryInfo* made = nullptr;
    if (OrtStatus* status = api.createCpuMemoryInfo(&made)) api.releaseStatus(status);
    return made;
  }();
  return memory;
}

}  // namespace

RunMemory::RunMemory(const OrtApi& api, const OrtKernelContext* context) : api_(api) {
  const OrtMemoryInfo* memory = processor_memory(api);
  if (memory == nullptr) return;
  if (OrtStatus* status = api.contextAllocator(context, memory, &allocator_)) api.releaseStatus(status);
}

RunMemory::~RunMemory() {
  if (allocator_ != nullptr) api_.releaseAllocator(allocator_);
}

RunMemory::Piece::Piece(const RunMemory& memory, int64_t bytes) : allocator_(memory.allocator_) {
  constexpr size_t kLine = sizeof(CacheLine);
  if (allocator_ == nullptr) return;
  taken_ = allocator_->Alloc(allocator_, static_cast<size_t>(bytes) + kLine);
  if (taken_ == nullptr) return;
  const auto address = reinterpret_cast<uintptr_t>(taken_);
  begin_ = static_cast<char*>(taken_) + (kLine - address % kLine) % kLine;
}

RunMemory::Piece::~Piece() {
  if (taken_ != nullptr) allocator_->Free(allocator_, taken_);
}

}  // namespace dino8
