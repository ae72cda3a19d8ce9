"""Runs an engine that build.sh built. Needs tensorrt and numpy."""
import ctypes
import os
import sys

import numpy as np

from detection import FOLDER
from packages import needed


def load_cuda():
    for name in ("libcudart.so", "/usr/local/cuda/lib64/libcudart.so", "libcudart.so.12", "libcudart.so.11.0"):
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    sys.exit("The CUDA runtime, libcudart.so, is not found; add its folder to LD_LIBRARY_PATH.")


# TensorRT 8 takes 64-bit integers as 32-bit ones, so an engine says which it takes.
TYPES = {"FLOAT": np.float32, "HALF": np.float16, "INT32": np.int32, "INT64": np.int64, "BOOL": np.bool_}


class TensorRt:
    """An engine on the device. Memory is managed by the CUDA runtime, which JetPack installs."""

    def __init__(self, path):
        tensorrt = needed("tensorrt", "JetPack installs it for the system's python3 (package python3-libnvinfer)")
        self.cuda = load_cuda()
        try:
            runtime = tensorrt.Runtime(tensorrt.Logger(tensorrt.Logger.WARNING))
        # What Python is told where TensorRT returns nothing, for instance without a GPU.
        except TypeError:
            sys.exit("TensorRT does not start; the lines above say why. Is there a GPU?")
        tensorrt.init_libnvinfer_plugins(None, "")
        if not os.path.exists(path):
            sys.exit(f"{path} does not exist; build it with build.sh.")
        with open(path, "rb") as file:
            self.engine = runtime.deserialize_cuda_engine(file.read())
        if self.engine is None:
            sys.exit(f"{path} is no engine for this device and version of TensorRT; build it here with build.sh.")
        self.context = self.engine.create_execution_context()
        if self.context is None:
            sys.exit(f"TensorRT does not run {path}; is the device out of memory?")
        self.path = path
        self.output = tensorrt.TensorIOMode.OUTPUT

    def call(self, name, *arguments):
        status = getattr(self.cuda, name)(*arguments)
        if status:
            sys.exit(f"CUDA refused {name} with the error {status}; is the device out of memory?")

    def type_of(self, name):
        found = self.engine.get_tensor_dtype(name).name
        if found not in TYPES:
            sys.exit(f"{self.path} has {name} in {found}, which the models of dino8 do not have; build it with build.sh.")
        return TYPES[found]

    def run(self, feeds):
        names = [self.engine.get_tensor_name(index) for index in range(self.engine.num_io_tensors)]
        results = [name for name in names if self.engine.get_tensor_mode(name) == self.output]
        if set(names) - set(results) != set(feeds):
            sys.exit(f"{self.path} was built of another bundle, which has other inputs; build it with build.sh.")
        arrays = {name: np.ascontiguousarray(array, self.type_of(name)) for name, array in feeds.items()}
        for name, array in arrays.items():
            if not self.context.set_input_shape(name, array.shape):
                size = "x".join(str(side) for side in array.shape)
                sys.exit(f"{self.path} does not take {name} of {size}, so it is of another size or bundle; build it with build.sh.")
        for name in results:
            arrays[name] = np.empty(tuple(self.context.get_tensor_shape(name)), self.type_of(name))
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


def add_options(parser):
    parser.add_argument("--engines", default=os.path.join(FOLDER, "engines"), help="the folder of the engines")


def load(asked, name):
    return TensorRt(os.path.join(asked.engines, f"{name}.engine"))
