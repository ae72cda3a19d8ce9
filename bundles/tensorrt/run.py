#!/usr/bin/env python3
"""Finds the phrases of this bundle in pictures, with an engine that build.sh built. Needs tensorrt, numpy and Pillow.

  python3 run.py photo.jpg                        boxes as JSON, one line for each picture
  python3 run.py --engine 320x320 --threshold 0.3 photo.jpg
"""
import argparse
import ctypes
import json
import os
import sys

import numpy as np
from PIL import Image, ImageOps

FOLDER = os.path.dirname(os.path.abspath(__file__))


def read_json(name):
    with open(os.path.join(FOLDER, name), encoding="utf-8") as file:
        return json.load(file)


BUNDLE = read_json("bundle.json")

def prepare(image, settings, size):
    """A picture as the model's input, float32 [1, 3, height, width]."""
    stretched = image.convert("RGB").resize((size["width"], size["height"]), settings["resample"])
    scaled = np.asarray(stretched, dtype=np.float32) * np.float32(settings["scale"])
    normal = (scaled - np.float32(settings["mean"])) / np.float32(settings["deviation"])
    return np.ascontiguousarray(normal.transpose(2, 0, 1)[None])


def find(logits, boxes, phrases, threshold):
    """What the model's results say: boxes as left, top, width and height in parts of the picture, the best first."""
    probability = 1 / (1 + np.exp(-logits[0].astype(np.float64)))
    mean = np.stack([probability[:, each["begin"] : each["end"]].mean(1) for each in phrases], 1)
    highest = np.stack([probability[:, each["begin"] : each["end"]].max(1) for each in phrases], 1)
    best = mean.argmax(1)
    score = highest[np.arange(len(best)), best]
    found = []
    for query in np.argsort(-score, kind="stable"):
        if score[query] < threshold:
            break
        x, y, width, height = (float(value) for value in boxes[0, query])
        box = [x - width / 2, y - height / 2, width, height]
        found.append({"phrase": int(best[query]), "score": float(score[query]), "box": box})
    return found


def load_cuda():
    for name in ("libcudart.so", "/usr/local/cuda/lib64/libcudart.so", "libcudart.so.12", "libcudart.so.11.0"):
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    sys.exit("The CUDA runtime, libcudart.so, is not found; add its folder to LD_LIBRARY_PATH.")


class TensorRt:
    """An engine on the device. Memory is managed by the CUDA runtime, which JetPack installs."""

    def __init__(self, path):
        import tensorrt
        self.cuda = load_cuda()
        runtime = tensorrt.Runtime(tensorrt.Logger(tensorrt.Logger.WARNING))
        tensorrt.init_libnvinfer_plugins(None, "")
        if not os.path.exists(path):
            sys.exit(f"{path} does not exist; build it with build.sh.")
        with open(path, "rb") as file:
            self.engine = runtime.deserialize_cuda_engine(file.read())
        if self.engine is None:
            sys.exit(f"{path} is no engine for this device and version of TensorRT; build it here with build.sh.")
        self.context = self.engine.create_execution_context()
        self.output = tensorrt.TensorIOMode.OUTPUT

    def call(self, name, *arguments):
        status = getattr(self.cuda, name)(*arguments)
        if status:
            sys.exit(f"CUDA refused {name} with the error {status}; is the device out of memory?")

    def run(self, feeds):
        arrays = {name: np.ascontiguousarray(array) for name, array in feeds.items()}
        for name, array in arrays.items():
            self.context.set_input_shape(name, array.shape)
        names = [self.engine.get_tensor_name(index) for index in range(self.engine.num_io_tensors)]
        results = [name for name in names if self.engine.get_tensor_mode(name) == self.output]
        for name in results:
            arrays[name] = np.empty(tuple(self.context.get_tensor_shape(name)), np.float32)
        places = {name: ctypes.c_void_p() for name in arrays}
        for name, array in arrays.items():
            self.call("cudaMalloc", ctypes.byref(places[name]), ctypes.c_size_t(array.nbytes))
            if name in feeds:
                self.copy(places[name], array.ctypes.data_as(ctypes.c_void_p), array.nbytes, 1)
            self.context.set_tensor_address(name, places[name].value)
        if not self.context.execute_async_v3(0):
            sys.exit("TensorRT did not run the engine; the lines above say why.")
        self.call("cudaDeviceSynchronize")
        for name in results:
            self.copy(arrays[name].ctypes.data_as(ctypes.c_void_p), places[name], arrays[name].nbytes, 2)
        for place in places.values():
            self.call("cudaFree", place)
        return {name: arrays[name] for name in results}

    def copy(self, to, source, count, kind):
        self.call("cudaMemcpy", to, source, ctypes.c_size_t(count), kind)


def arguments(description):
    """A parser with the options by which a model is chosen."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [each["name"] for each in BUNDLE["engines"] if "size" in each]
    main_name = next(each["name"] for each in BUNDLE["engines"] if each["model"] == "model.onnx")
    parser.add_argument("--engine", choices=names, default=main_name, help=f"the engine (default: {main_name})")
    parser.add_argument("--engines", default=os.path.join(FOLDER, "engines"), help="the folder of the engines")
    return parser


def detector(model, engine):
    """A function from a picture and a threshold to boxes."""
    size = next(each["size"] for each in BUNDLE["engines"] if each["name"] == engine)

    def detect(image, threshold):
        results = model.run({BUNDLE["input"]: prepare(image, BUNDLE["preprocessing"], size)})
        logits, boxes = (results[BUNDLE["outputs"][name]] for name in ("logits", "boxes"))
        return find(logits, boxes, BUNDLE["postprocessing"]["phrases"], threshold)

    return detect


def main():
    parser = arguments(__doc__)
    parser.add_argument("pictures", nargs="+")
    parser.add_argument("--threshold", type=float, default=BUNDLE["postprocessing"]["threshold"])
    asked = parser.parse_args()
    detect = detector(TensorRt(os.path.join(asked.engines, f"{asked.engine}.engine")), asked.engine)
    for name in asked.pictures:
        image = ImageOps.exif_transpose(Image.open(name))
        found = detect(image, asked.threshold)
        for each in found:
            each["label"] = BUNDLE["postprocessing"]["phrases"][each["phrase"]]["label"]
            each["box"] = [side * image.size[index % 2] for index, side in enumerate(each["box"])]
        print(json.dumps({"picture": name, "detections": found}))


if __name__ == "__main__":
    main()
