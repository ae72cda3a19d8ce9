// Integer tiles by VPDPBUSD of AVX-512 VNNI, which adds 64 products of bytes to 16 sums of 32 bits.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "../float_vector.h"
#include "../packed_weight.h"

#if defined(__SANITIZE_ADDRESS__)
#define DINO8_IS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define DINO8_IS_SANITIZED 1
#endif
#endif

namespace dino8 {
namespace {

struct Avx512VnniTile {
  static constexpr int kRows = 6;
  static constexpr int kPanels = 4;
  static constexpr int32_t kOffset = 0;
  static constexpr bool kIsPreferred = true;
  static constexpr bool kKeepsSums = true;

  // Named variables in place of an array: GCC 12 keeps arrays of vectors in memory (half of the speed, measured).
  struct Vectors {
    __m512i panel0, panel1, panel2, panel3;
  };

  // A vector of each panel, `panel_bytes` apart.
  template <int Panels>
  static Vectors load(const void* first, int64_t panel_bytes) {
    const auto* const from = static_cast<const char*>(first);
    Vectors vectors{};
    vectors.panel0 = _mm512_loadu_si512(from);
    if constexpr (Panels > 1) vectors.panel1 = _mm512_loadu_si512(from + panel_bytes);
    if constexpr (Panels > 2) vectors.panel2 = _mm512_loadu_si512(from + 2 * panel_bytes);
    if constexpr (Panels > 3) vectors.panel3 = _mm512_loadu_si512(from + 3 * panel_bytes);
    return vectors;
  }

  template <int Panels>
  static void add(Vectors& sums, const uint8_t* bytes, const Vectors& step) {
    int32_t four;
    std::memcpy(&four, bytes, sizeof four);
    const __m512i row = _mm512_set1_epi32(four);
    sums.panel0 = _mm512_dpbusd_epi32(sums.panel0, row, step.panel0);
    if constexpr (Panels > 1) sums.panel1 = _mm512_dpbusd_epi32(sums.panel1, row, step.panel1);
    if constexpr (Panels > 2) sums.panel2 = _mm512_dpbusd_epi32(sums.panel2, row, step.panel2);
    if constexpr (Panels > 3) sums.panel3 = _mm512_dpbusd_epi32(sums.panel3, row, step.panel3);
  }

  template <int Panels>
  static void store(int32_t* out, const Vectors& sums) {
    _mm512_storeu_si512(out, sums.panel0);
    if constexpr (Panels > 1) _mm512_storeu_si512(out + 16, sums.panel1);
    if constexpr (Panels > 2) _mm512_storeu_si512(out + 32, sums.panel2);
    if constexpr (Panels > 3) _mm512_storeu_si512(out + 48, sums.panel3);
  }

  template <int Rows, int Panels>
  static void multiply(const uint8_t* a, int64_t stride, const int8_t* weight, int64_t panel_bytes, int64_t steps,
                       const int32_t* initial, int32_t* out, int64_t step_stride) {
    Vectors row0 = load<Panels>(initial, sizeof(__m512i)), row1 = row0, row2 = row0, row3 = row0, row4 = row0, row5 = row0;
    for (int64_t at = 0; at < steps; at++, a += step_stride, weight += kStepBytes) {
      const Vectors step = load<Panels>(weight, panel_bytes);
      add<Panels>(row0, a, step);
      if constexpr (Rows > 1) add<Panels>(row1, a + stride, step);
      if constexpr (Rows > 2) add<Panels>(row2, a + 2 * stride, step);
      if constexpr (Rows > 3) add<Panels>(row3, a + 3 * stride, step);
      if constexpr (Rows > 4) add<Panels>(row4, a + 4 * stride, step);
      if constexpr (Rows > 5) add<Panels>(row5, a + 5 * stride, step);
    }
    constexpr int kWidth = Panels * kPanelColumns;
    store<Panels>(out, row0);
    if constexpr (Rows > 1) store<Panels>(out + kWidth, row1);
    if constexpr (Rows > 2) store<Panels>(out + 2 * kWidth, row2);
    if constexpr (Rows > 3) store<Panels>(out + 3 * kWidth, row3);
    if constexpr (Rows > 4) store<Panels>(out + 4 * kWidth, row4);
    if constexpr (Rows > 5) store<Panels>(out + 5 * kWidth, row5);
  }

  // The sums of a row of kPanels panels.
  struct RowSums {
    __m512i panel0, panel1, panel2, panel3;

    static constexpr bool kAreWhole = true;
    static constexpr int64_t width() { return kPanels * kPanelColumns; }
    IntVector operator()(int64_t at) const {
      return (IntVector)(at < 16 ? panel0 : at < 32 ? panel1 : at < 48 ? panel2 : panel3);
    }
  };

  // The operands of multiply_rows. Its assembly finds each of them by its distance in bytes from the first, as the assertion
  // below states them.
  struct Operands {
    const uint8_t* a;
    int64_t stride;
    const int8_t* weight;
    int64_t panel_bytes, steps;
    const int32_t* initial;
  };
  static_assert(offsetof(Operands, stride) == 8 && offsetof(Operands, weight) == 16 && offsetof(Operands, panel_bytes) == 24 &&
                offsetof(Operands, steps) == 32 && offsetof(Operands, initial) == 40);

#if DINO8_IS_SANITIZED
  // Sanitizers do not see what assembly reads, so that the same is read and computed without it.
  static void check_sums(const Operands& o, const RowSums (&rows)[kRows]) {
    alignas(64) int32_t expected[kRows * kPanels * kPanelColumns];
    static_assert(sizeof expected == sizeof rows);
    multiply<kRows, kPanels>(o.a, o.stride, o.weight, o.panel_bytes, o.steps, o.initial, expected, kStepDepth);
    if (std::memcmp(rows, expected, sizeof rows) != 0) __builtin_trap();
  }
#endif

  // See integer_tile.h. The loop is written in assembly, because compilers move the sums between registers, or to memory and back,
  // in each of its rounds if something else than stores follows (GCC 12, measured: a quarter of the speed). All that `take` calls
  // is inlined: a call would move all sums to memory.
  template <class Take>
  __attribute__((noinline, flatten)) static void multiply_rows(const Operands& operands, const Take& take) {
    __m512i weight0, weight1, weight2, weight3, row;
    RowSums row0, row1, row2, row3, row4, row5;
#define DINO8_ADD_ROW(place, p0, p1, p2, p3) \
  "vpbroadcastd " place ", %[row]\n"        \
  "vpdpbusd %[weight0], %[row], %[" p0 "]\n" \
  "vpdpbusd %[weight1], %[row], %[" p1 "]\n" \
  "vpdpbusd %[weight2], %[row], %[" p2 "]\n" \
  "vpdpbusd %[weight3], %[row], %[" p3 "]\n"
#define DINO8_BEGIN_ROW(p0, p1, p2, p3)                                                                  \
  "vmovdqa64 %[sum00], %[" p0 "]\n vmovdqa64 %[sum01], %[" p1 "]\n vmovdqa64 %[sum02], %[" p2 "]\n" \
  "vmovdqa64 %[sum03], %[" p3 "]\n"
    asm volatile(
        "movq 40(%[operands]), %%rax\n"
        "vmovdqu64 (%%rax), %[sum00]\n vmovdqu64 64(%%rax), %[sum01]\n"
        "vmovdqu64 128(%%rax), %[sum02]\n vmovdqu64 192(%%rax), %[sum03]\n"
        DINO8_BEGIN_ROW("sum10", "sum11", "sum12", "sum13") DINO8_BEGIN_ROW("sum20", "sum21", "sum22", "sum23")
        DINO8_BEGIN_ROW("sum30", "sum31", "sum32", "sum33") DINO8_BEGIN_ROW("sum40", "sum41", "sum42", "sum43")
        DINO8_BEGIN_ROW("sum50", "sum51", "sum52", "sum53")
        // rax: the step of the first row; rcx, rdx and rsi: one, three and five strides; r8: the step of the first panel; r9 and r10:
        // one and three distances of panels; r11: the steps that are left.
        "movq 0(%[operands]), %%rax\n movq 8(%[operands]), %%rcx\n movq 16(%[operands]), %%r8\n"
        "movq 24(%[operands]), %%r9\n movq 32(%[operands]), %%r11\n"
        "leaq (%%rcx,%%rcx,2), %%rdx\n leaq (%%rcx,%%rcx,4), %%rsi\n leaq (%%r9,%%r9,2), %%r10\n"
        ".p2align 6\n"
        "0:\n"
        "vmovdqu64 (%%r8), %[weight0]\n vmovdqu64 (%%r8,%%r9), %[weight1]\n"
        "vmovdqu64 (%%r8,%%r9,2), %[weight2]\n vmovdqu64 (%%r8,%%r10), %[weight3]\n"
        DINO8_ADD_ROW("(%%rax)", "sum00", "sum01", "sum02", "sum03")
        DINO8_ADD_ROW("(%%rax,%%rcx)", "sum10", "sum11", "sum12", "sum13")
        DINO8_ADD_ROW("(%%rax,%%rcx,2)", "sum20", "sum21", "sum22", "sum23")
        DINO8_ADD_ROW("(%%rax,%%rdx)", "sum30", "sum31", "sum32", "sum33")
        DINO8_ADD_ROW("(%%rax,%%rcx,4)", "sum40", "sum41", "sum42", "sum43")
        DINO8_ADD_ROW("(%%rax,%%rsi)", "sum50", "sum51", "sum52", "sum53")
        "addq $64, %%r8\n addq $4, %%rax\n decq %%r11\n jnz 0b\n"
        : [sum00] "=&v"(row0.panel0), [sum01] "=&v"(row0.panel1), [sum02] "=&v"(row0.panel2), [sum03] "=&v"(row0.panel3),
          [sum10] "=&v"(row1.panel0), [sum11] "=&v"(row1.panel1), [sum12] "=&v"(row1.panel2), [sum13] "=&v"(row1.panel3),
          [sum20] "=&v"(row2.panel0), [sum21] "=&v"(row2.panel1), [sum22] "=&v"(row2.panel2), [sum23] "=&v"(row2.panel3),
          [sum30] "=&v"(row3.panel0), [sum31] "=&v"(row3.panel1), [sum32] "=&v"(row3.panel2), [sum33] "=&v"(row3.panel3),
          [sum40] "=&v"(row4.panel0), [sum41] "=&v"(row4.panel1), [sum42] "=&v"(row4.panel2), [sum43] "=&v"(row4.panel3),
          [sum50] "=&v"(row5.panel0), [sum51] "=&v"(row5.panel1), [sum52] "=&v"(row5.panel2), [sum53] "=&v"(row5.panel3),
          [weight0] "=&v"(weight0), [weight1] "=&v"(weight1), [weight2] "=&v"(weight2), [weight3] "=&v"(weight3), [row] "=&v"(row)
        : [operands] "r"(&operands)
        : "rax", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "cc", "memory");
#undef DINO8_ADD_ROW
#undef DINO8_BEGIN_ROW
#if DINO8_IS_SANITIZED
    const RowSums rows[] = {row0, row1, row2, row3, row4, row5};
    check_sums(operands, rows);
#endif
    take(0, row0), take(1, row1), take(2, row2), take(3, row3), take(4, row4), take(5, row5);
  }
};

}  // namespace
}  // namespace dino8
