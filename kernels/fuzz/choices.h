// The choices of a case of a fuzzer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>

namespace dino8 {

// Where the choices of a case come from: bytes of libFuzzer, or a generator (SplitMix64) where these are used up.
class Choices {
 public:
  explicit Choices(uint64_t seed, const uint8_t* bytes = nullptr, size_t count = 0)
      : state_(seed), bytes_(bytes), count_(count) {}

  int64_t whole(int64_t lowest, int64_t highest) {
    return lowest + static_cast<int64_t>(next() % static_cast<uint64_t>(highest - lowest + 1));
  }
  bool once_in(int64_t times) { return whole(1, times) == 1; }
  template <class Item>
  Item one_of(std::initializer_list<Item> items) {
    return items.begin()[whole(0, static_cast<int64_t>(items.size()) - 1)];
  }
  uint64_t number() { return next() ^ next() << 32; }

 private:
  uint64_t next() {
    if (count_ > 0) {
      count_--;
      return *bytes_++;
    }
    uint64_t mixed = state_ += 0x9e3779b97f4a7c15;
    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111eb;
    return (mixed ^ mixed >> 31) & 0x7fffffff;
  }

  uint64_t state_;
  const uint8_t* bytes_;
  size_t count_;
};

}  // namespace dino8
