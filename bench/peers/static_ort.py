"""Peer: onnxruntime.quantization static QDQ INT8, calibrated by min/max.

usage: static_ort.py IN.onnx OUT.onnx FEEDS_DIR all|products    (FEEDS_DIR/*.safetensors: one set of inputs each)
"""
import glob, sys, tempfile, time
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from safetensors.numpy import load_file

source, target, folder, what = sys.argv[1:5]

class Reader(CalibrationDataReader):
    def __init__(self): self.files = iter(sorted(glob.glob(folder + "/*.safetensors")))
    def get_next(self):
        path = next(self.files, None)
        return load_file(path) if path else None

t = time.perf_counter()
prepared = tempfile.mktemp(suffix=".onnx")
quant_pre_process(source, prepared, skip_symbolic_shape=True)
quantize_static(
    prepared, target, Reader(), quant_format=QuantFormat.QDQ, per_channel=True, activation_type=QuantType.QUInt8,
    weight_type=QuantType.QInt8, calibrate_method=CalibrationMethod.MinMax,
    op_types_to_quantize=None if what == "all" else ["MatMul", "Gemm", "Conv"],
    extra_options={"CalibMaxIntermediateOutputs": 9},
)
print(f"quantize_static_s {time.perf_counter() - t:.2f}")
