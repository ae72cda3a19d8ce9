"""Quantizes a model of one input with onnxruntime.quantization. usage: generic_ort.py MODEL FOLDER_OF_NPY OUT MODE

MODE `static`: as its documentation recommends for CPUs: the model is pre-processed (shape inference, optimization), then
Q/DQ pairs, uint8 activations, int8 weights per channel, minimum and maximum of FOLDER's arrays. `dynamic`: no calibration.
"""
import glob, logging, os, sys, tempfile
import numpy as np, onnxruntime as ort
from onnxruntime.quantization import (CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static)
from onnxruntime.quantization.shape_inference import quant_pre_process

logging.disable(logging.WARNING)
model, folder, out, mode = sys.argv[1:]


class Reader(CalibrationDataReader):
    def __init__(self, name):
        self.name, self.files = name, iter(sorted(glob.glob(os.path.join(folder, "*.npy"))))

    def get_next(self):
        path = next(self.files, None)
        return None if path is None else {self.name: np.load(path)}


with tempfile.TemporaryDirectory() as work:
    prepared = os.path.join(work, "prepared.onnx")
    quant_pre_process(model, prepared, skip_symbolic_shape=True)
    name = ort.InferenceSession(prepared, providers=["CPUExecutionProvider"]).get_inputs()[0].name
    if mode == "dynamic":
        quantize_dynamic(prepared, out, weight_type=QuantType.QUInt8)
    else:
        quantize_static(prepared, out, Reader(name), quant_format=QuantFormat.QDQ, per_channel=True,
                        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8)
