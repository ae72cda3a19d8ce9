"""Peer: OpenVINO and NNCF. Reads the ONNX export, and writes OpenVINO's own format: OUT/fp32.xml, and OUT/int8.xml by NNCF's
post-training quantization with its settings for transformers. Prints one JSON line: the seconds of each.

usage: openvino_nncf.py MODEL.onnx IO.safetensors OUT
Calibration runs on IO and two variations of its picture: speed and memory do not depend on the ranges.
"""
import json, os, sys, time
import nncf, openvino as ov
from safetensors.numpy import load_file

model, io, out = sys.argv[1:4]
os.makedirs(out, exist_ok=True)
data = load_file(io)

t = time.perf_counter()
network = ov.Core().read_model(model)
# By default save_model rounds the weights to float16, which is a smaller file but not the FP32 model.
ov.save_model(network, os.path.join(out, "fp32.xml"), compress_to_fp16=False)
converted = time.perf_counter() - t

feeds = {i.any_name: data[i.any_name] for i in network.inputs}
variations = [feeds, {**feeds, "pixel_values": feeds["pixel_values"][..., ::-1].copy()}, {**feeds, "pixel_values": -feeds["pixel_values"]}]
t = time.perf_counter()
quantized = nncf.quantize(
    network, nncf.Dataset(variations), model_type=nncf.ModelType.TRANSFORMER, target_device=nncf.TargetDevice.CPU,
    subset_size=len(variations),
)
quantize = time.perf_counter() - t
ov.save_model(quantized, os.path.join(out, "int8.xml"), compress_to_fp16=False)
fakes = sum(op.get_type_name() == "FakeQuantize" for op in quantized.get_ops())
print(json.dumps(dict(convert_s=round(converted, 1), quantize_s=round(quantize, 1), fake_quantize=fakes, openvino=ov.__version__, nncf=nncf.__version__)))
