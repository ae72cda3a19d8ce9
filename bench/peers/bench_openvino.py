"""Peer: time a model on OpenVINO's CPU plug-in, in a process of its own.
usage: bench_openvino.py MODEL.xml IO.safetensors [RUNS] [THREADS] [f32|default]

`f32` keeps what is not quantized in float32; `default` lets OpenVINO choose, which on processors with AMX is bfloat16.
Prints one JSON line in the format of bench_ort.py, with the precision that OpenVINO chose and the number of its nodes by the
precision and the kind of kernel that ran.
"""
import collections, json, resource, statistics, sys, time
import openvino as ov
from safetensors.numpy import load_file

model, io = sys.argv[1:3]
runs = int(sys.argv[3]) if len(sys.argv) > 3 else 5
threads = int(sys.argv[4]) if len(sys.argv) > 4 else 2
precision = sys.argv[5] if len(sys.argv) > 5 else "default"
settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
if precision == "f32":
    settings["INFERENCE_PRECISION_HINT"] = "f32"
data = load_file(io)
t = time.perf_counter(); compiled = ov.Core().compile_model(model, "CPU", settings); load = time.perf_counter() - t
chosen = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
feeds = {i.any_name: data[i.any_name] for i in compiled.inputs}
request = compiled.create_infer_request()
request.infer(feeds, share_inputs=True); ts = []
for _ in range(runs):
    t = time.perf_counter(); request.infer(feeds, share_inputs=True); ts.append(time.perf_counter() - t)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
kernels = collections.Counter(n.get_rt_info()["primitiveType"].astype(str) for n in compiled.get_runtime_model().get_ops() if n.get_rt_info()["layerType"].astype(str) in ("MatMul", "FullyConnected", "Convolution"))
print(json.dumps(dict(model=model, load_s=round(load, 2), run_s=[round(x, 3) for x in ts], median_s=round(statistics.median(ts), 3), peak_rss_mb=peak, precision=chosen, products=dict(kernels))))
