"""Peer: runs a model on OpenVINO's CPU plug-in for another program, one request after the other.

usage: openvino_serve.py MODEL.onnx [f32|default] [THREADS]
`f32` keeps what is not quantized in float32; `default` lets OpenVINO choose, which on processors with AMX is bfloat16.

Prints one line of JSON when the model is loaded: the names of its inputs, the precision that OpenVINO chose, and the number of its
products by the kind of kernel and the precision. Then it reads requests from standard input: a line of JSON, which lists inputs with
name, dtype, shape and number of bytes, and the bytes of all of them. It answers with a line of the same form, and the results' bytes.
"""
import collections, json, sys
import numpy as np, openvino as ov

model = sys.argv[1]
precision = sys.argv[2] if len(sys.argv) > 2 else "f32"
settings = {"INFERENCE_NUM_THREADS": int(sys.argv[3]) if len(sys.argv) > 3 else 2}
if precision == "f32":
    settings["INFERENCE_PRECISION_HINT"] = "f32"
source, sink = sys.stdin.buffer, sys.stdout.buffer


def answer(head, arrays=()):
    sink.write(json.dumps(head).encode() + b"\n")
    for array in arrays:
        sink.write(array.tobytes())
    sink.flush()


compiled = ov.Core().compile_model(model, "CPU", settings)
request = compiled.create_infer_request()
run_in = [op.get_rt_info() for op in compiled.get_runtime_model().get_ops()]
products = collections.Counter(
    info["primitiveType"].astype(str) for info in run_in if info["layerType"].astype(str) in ("MatMul", "FullyConnected", "Convolution")
)
answer(dict(
    openvino=ov.__version__,
    precision=compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name(),
    inputs=[each.any_name for each in compiled.inputs],
    products=dict(products),
))
for line in source:
    feeds = {}
    for each in json.loads(line):
        feeds[each["name"]] = np.frombuffer(source.read(each["bytes"]), each["dtype"]).reshape(each["shape"])
    found = request.infer(feeds)
    # A result can have other names beside that of the ONNX file, if an operator before it gives out the same value.
    results = [(list(port.names), np.ascontiguousarray(found[port])) for port in compiled.outputs]
    heads = [dict(names=names, dtype=array.dtype.str, shape=array.shape, bytes=array.nbytes) for names, array in results]
    answer(heads, [array for _, array in results])
