// Finds the phrases of this bundle in pictures, with an engine that build.sh built. Needs TensorRT 8.5 or later and the CUDA runtime.
//
//   detect engines/640x640.engine detect.txt picture.ppm ...
//
// Pictures are binary PPM files, which need no library: `convert photo.jpg photo.ppm` or `ffmpeg -i photo.jpg photo.ppm` makes one.
// Prints a line of JSON for each picture, as run.py does. detect.txt has pre- and post-processing as data.
#include <NvInfer.h>
#include <NvInferPlugin.h>
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

namespace {

[[noreturn]] void fail(const std::string &message) {
  std::cerr << "detect: " << message << "\n";
  std::exit(1);
}

// ---- data

struct Phrase {
  std::size_t begin, end;  // its tokens
  std::string label;       // as a JSON string
};

struct Settings {
  std::string input, logits, boxes;
  float scale = 1, mean[3] = {0, 0, 0}, deviation[3] = {1, 1, 1};
  double threshold = 0;
  std::vector<Phrase> phrases;
};

Settings readSettings(const std::string &path) {
  std::ifstream file(path);
  if (!file) fail(path + " cannot be read.");
  Settings settings;
  std::string line, word;
  while (std::getline(file, line)) {
    std::istringstream words(line);
    if (!(words >> word) || word[0] == '#') continue;
    if (word == "names") words >> settings.input >> settings.logits >> settings.boxes;
    else if (word == "scale") words >> settings.scale;
    else if (word == "mean") words >> settings.mean[0] >> settings.mean[1] >> settings.mean[2];
    else if (word == "deviation") words >> settings.deviation[0] >> settings.deviation[1] >> settings.deviation[2];
    else if (word == "threshold") words >> settings.threshold;
    else if (word == "phrase") {
      Phrase phrase;
      words >> phrase.begin >> phrase.end >> std::ws;
      std::getline(words, phrase.label);
      if (!words.fail() && phrase.begin < phrase.end) settings.phrases.push_back(phrase);
      else fail(path + " is damaged in the line: " + line);
      continue;
    } else fail(path + " has the unknown setting " + word + ".");
    if (words.fail()) fail(path + " is damaged in the line: " + line);
  }
  if (settings.input.empty() || settings.phrases.empty()) fail(path + " has no phrases.");
  return settings;
}

// ---- pictures

struct Picture {
  int width = 0, height = 0;
  std::vector<std::uint8_t> pixels;  // [height, width, 3]
};

int readNumber(std::istream &file) {
  while (file >> std::ws && file.peek() == '#') file.ignore(1 << 20, '\n');
  int number = 0;
  file >> number;
  return number;
}

Picture readPicture(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  char magic[2] = {};
  if (!file.read(magic, 2) || magic[0] != 'P' || magic[1] != '6') fail(path + " is no binary PPM file; convert it first.");
  Picture picture;
  picture.width = readNumber(file);
  picture.height = readNumber(file);
  const int highest = readNumber(file);
  const auto isSide = [](int side) { return side > 0 && side <= 1 << 15; };
  if (!file || !isSide(picture.width) || !isSide(picture.height) || highest != 255)
    fail(path + " has no sides of 1 to 32,768 pixels with 8 bits for each colour.");
  // As in dino8: a header of a few bytes may not ask for more memory than this.
  if (std::int64_t(picture.width) * picture.height > 1 << 26) fail(path + " has more than 67,108,864 pixels; make it smaller.");
  file.get();
  picture.pixels.resize(std::size_t(3) * picture.width * picture.height);
  if (!file.read(reinterpret_cast<char *>(picture.pixels.data()), std::streamsize(picture.pixels.size())))
    fail(path + " ends before its last pixel.");
  return picture;
}

// The weights of the source positions for each position of a resized line: a triangle as wide as the step between positions, so
// that shrinking averages, as Pillow does (https://pillow.readthedocs.io/en/stable/handbook/concepts.html#filters). Weights are
// integers, as there, so that sums round in the same way.
constexpr int FRACTION_BITS = 22;

struct Taps {
  int first;
  std::vector<std::int32_t> weights;
};

std::vector<Taps> taps(int from, int to) {
  const double step = double(from) / to, support = std::max(step, 1.0);
  std::vector<Taps> all;
  for (int at = 0; at < to; at++) {
    const double centre = (at + 0.5) * step;
    const int first = std::max(0, int(centre - support + 0.5)), end = std::min(from, int(centre + support + 0.5));
    std::vector<double> weights;
    double sum = 0;
    for (int x = first; x < end; x++) {
      weights.push_back(std::max(0.0, 1 - std::abs((x - centre + 0.5) / support)));
      sum += weights.back();
    }
    Taps one{first, {}};
    for (const double weight : weights) one.weights.push_back(std::int32_t(weight / sum * (1 << FRACTION_BITS) + 0.5));
    all.push_back(one);
  }
  return all;
}

// Resizes along one side. `stride` is the distance of neighbours on it, and `block` that of lines.
std::vector<std::uint8_t> resizeLines(const std::vector<std::uint8_t> &from, int length, int wanted, int stride) {
  if (length == wanted) return from;
  const std::size_t lines = from.size() / std::size_t(length) / stride;
  std::vector<std::uint8_t> to(lines * wanted * stride);
  const auto all = taps(length, wanted);
  for (std::size_t line = 0; line < lines; line++)
    for (int at = 0; at < wanted; at++)
      for (int inner = 0; inner < stride; inner++) {
        std::int32_t sum = 1 << (FRACTION_BITS - 1);
        const std::uint8_t *first = from.data() + (line * length + all[at].first) * stride + inner;
        for (std::size_t tap = 0; tap < all[at].weights.size(); tap++) sum += all[at].weights[tap] * first[tap * stride];
        to[(line * wanted + at) * stride + inner] = std::uint8_t(std::clamp(sum >> FRACTION_BITS, 0, 255));
      }
  return to;
}

// A picture as the model's input, [3, height, width].
std::vector<float> prepare(const Picture &picture, const Settings &settings, int height, int width) {
  const auto narrow = resizeLines(picture.pixels, picture.width, width, 3);
  const auto pixels = resizeLines(narrow, picture.height, height, 3 * width);
  std::vector<float> input(pixels.size());
  const std::size_t area = std::size_t(height) * width;
  for (std::size_t at = 0; at < area; at++)
    for (int channel = 0; channel < 3; channel++)
      input[channel * area + at] =
          (pixels[3 * at + channel] * settings.scale - settings.mean[channel]) / settings.deviation[channel];
  return input;
}

// ---- the engine

class Logger : public nvinfer1::ILogger {
  void log(Severity severity, const char *message) noexcept override {
    if (severity <= Severity::kWARNING) std::cerr << message << "\n";
  }
};

void check(cudaError_t status, const char *call) {
  if (status != cudaSuccess) fail(std::string(call) + ": " + cudaGetErrorString(status) + "; is the device out of memory?");
}

class Buffer {
 public:
  explicit Buffer(std::size_t count) : values(count) { check(cudaMalloc(&device_, bytes()), "cudaMalloc"); }
  ~Buffer() { cudaFree(device_); }
  Buffer(const Buffer &) = delete;
  Buffer &operator=(const Buffer &) = delete;
  void upload() { check(cudaMemcpy(device_, values.data(), bytes(), cudaMemcpyHostToDevice), "cudaMemcpy"); }
  void download() { check(cudaMemcpy(values.data(), device_, bytes(), cudaMemcpyDeviceToHost), "cudaMemcpy"); }
  void *device() { return device_; }
  std::vector<float> values;

 private:
  std::size_t bytes() const { return values.size() * sizeof(float); }
  void *device_ = nullptr;
};

std::size_t elements(const nvinfer1::Dims &shape, const std::string &name) {
  std::size_t count = 1;
  for (int axis = 0; axis < shape.nbDims; axis++) {
    if (shape.d[axis] < 1) fail("the engine is for several sizes in " + name + "; take one for a fixed size.");
    count *= std::size_t(shape.d[axis]);
  }
  return count;
}

// ---- boxes

struct Found {
  std::size_t phrase;
  float score;
  const float *box;
};

// Of each query the phrase with the highest mean probability of its tokens; its score is the highest probability among them.
std::vector<Found> find(const Buffer &logits, const Buffer &boxes, std::size_t queries, const Settings &settings) {
  const std::size_t tokens = logits.values.size() / queries;
  // Tokens that do not count have a logit of minus infinity.
  const bool areNumbers = std::none_of(logits.values.begin(), logits.values.end(), [](float value) { return std::isnan(value); }) &&
                          std::all_of(boxes.values.begin(), boxes.values.end(), [](float value) { return std::isfinite(value); });
  if (!areNumbers) fail("the engine computes values that are no numbers (NaN): do not use it. The README says what to try.");
  std::vector<Found> found;
  for (std::size_t query = 0; query < queries; query++) {
    Found best{0, 0, boxes.values.data() + 4 * query};
    float highestMean = -1;
    for (std::size_t phrase = 0; phrase < settings.phrases.size(); phrase++) {
      const auto &[begin, end, label] = settings.phrases[phrase];
      if (end > tokens) fail("the engine was built of another bundle: it has fewer tokens than detect.txt.");
      double sum = 0, highest = 0;
      for (std::size_t token = begin; token < end; token++) {
        const double probability = 1 / (1 + std::exp(-double(logits.values[query * tokens + token])));
        sum += probability;
        highest = std::max(highest, probability);
      }
      const float mean = float(sum / double(end - begin));
      if (mean > highestMean) {
        highestMean = mean;
        best.phrase = phrase;
        best.score = float(highest);
      }
    }
    if (double(best.score) >= settings.threshold) found.push_back(best);
  }
  std::stable_sort(found.begin(), found.end(), [](const Found &a, const Found &b) { return a.score > b.score; });
  return found;
}

std::string quoted(const std::string &text) {
  std::string result = "\"";
  for (const char letter : text) {
    if (letter == '"' || letter == '\\') result += '\\';
    if (static_cast<unsigned char>(letter) >= 0x20) result += letter;
  }
  return result + '"';
}

void print(const std::string &path, const Picture &picture, const std::vector<Found> &found, const Settings &settings) {
  std::cout << "{\"picture\": " << quoted(path) << ", \"detections\": [";
  for (std::size_t at = 0; at < found.size(); at++) {
    const auto &[phrase, score, box] = found[at];
    char text[200];
    std::snprintf(text, sizeof text, "\"phrase\": %zu, \"score\": %.6f, \"box\": [%.2f, %.2f, %.2f, %.2f]", phrase, double(score),
                  (box[0] - box[2] / 2) * picture.width, (box[1] - box[3] / 2) * picture.height, box[2] * picture.width,
                  box[3] * picture.height);
    std::cout << (at ? ", {" : "{") << text << ", \"label\": " << settings.phrases[phrase].label << "}";
  }
  std::cout << "]}" << std::endl;
}

}  // namespace

int main(int count, char **arguments) {
  if (count < 4) {
    std::cerr << "usage: detect ENGINE detect.txt PICTURE.ppm ...\n";
    return 2;
  }
  const std::string path = arguments[1];
  const Settings settings = readSettings(arguments[2]);
  std::ifstream file(path, std::ios::binary);
  if (!file) fail(path + " cannot be read; build it with build.sh.");
  const std::string plan{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};

  Logger logger;
  initLibNvInferPlugins(&logger, "");
  const std::unique_ptr<nvinfer1::IRuntime> runtime{nvinfer1::createInferRuntime(logger)};
  const std::unique_ptr<nvinfer1::ICudaEngine> engine{
      runtime ? runtime->deserializeCudaEngine(plan.data(), plan.size()) : nullptr};
  if (!engine) fail(path + " is no engine for this device and version of TensorRT; build it here with build.sh.");
  const std::unique_ptr<nvinfer1::IExecutionContext> context{engine->createExecutionContext()};
  if (!context) fail("TensorRT does not run the engine; is the device out of memory?");

  const auto bufferOf = [&](const std::string &name) {
    auto buffer = std::make_unique<Buffer>(elements(engine->getTensorShape(name.c_str()), name));
    if (engine->getTensorDataType(name.c_str()) != nvinfer1::DataType::kFLOAT)
      fail("the engine has " + name + " in another type than floats of 32 bits; build it with build.sh.");
    if (!context->setTensorAddress(name.c_str(), buffer->device())) fail("the engine has no " + name + "; it was built of another bundle.");
    return buffer;
  };
  const auto shape = engine->getTensorShape(settings.input.c_str());
  if (shape.nbDims != 4 || shape.d[0] != 1 || shape.d[1] != 3)
    fail("the engine has no input " + settings.input + " of one picture; it was built of another bundle.");
  const auto input = bufferOf(settings.input), logits = bufferOf(settings.logits), boxes = bufferOf(settings.boxes);
  for (int at = 3; at < count; at++) {
    const Picture picture = readPicture(arguments[at]);
    input->values = prepare(picture, settings, int(shape.d[2]), int(shape.d[3]));
    input->upload();
    if (!context->enqueueV3(nullptr)) fail("TensorRT did not run the engine; the lines above say why.");
    check(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
    logits->download();
    boxes->download();
    print(arguments[at], picture, find(*logits, *boxes, boxes->values.size() / 4, settings), settings);
  }
}
