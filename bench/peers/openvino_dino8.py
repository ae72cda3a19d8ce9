"""Peer: a model that dino8 wrote for OpenVINO, in OpenVINO and in ONNX Runtime. Prints one JSON line: whether it loads, how far the
results of both are apart, the CPU time of each, and the kinds of kernels that OpenVINO's products ran in.

usage: openvino_dino8.py MODEL.onnx GOLDEN.npz [RUNS] [THREADS]
GOLDEN.npz has the inputs as arrays named input.NAME. Queries that change places count as differences, since top-k orders them by
scores that are nearly equal.
"""
import collections, json, sys, time
import numpy as np, onnxruntime, openvino as ov

model, golden = sys.argv[1:3]
runs = int(sys.argv[3]) if len(sys.argv) > 3 else 5
threads = int(sys.argv[4]) if len(sys.argv) > 4 else 2
arrays = np.load(golden)
feeds = {name[len("input."):]: arrays[name] for name in arrays.files if name.startswith("input.")}

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = threads
session = onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])
names = [output.name for output in session.get_outputs()]


def cpu_seconds(run):
    run()
    start = time.process_time()
    for _ in range(runs):
        run()
    return round((time.process_time() - start) / runs, 4)


expected = dict(zip(names, session.run(names, feeds)))
result = dict(model=model, openvino=ov.__version__, onnxruntime=onnxruntime.__version__, threads=threads)
result["onnxruntime_cpu_s"] = cpu_seconds(lambda: session.run(names, feeds))
for precision in ("f32", "default"):
    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    if precision == "f32":
        settings["INFERENCE_PRECISION_HINT"] = "f32"
    compiled = ov.Core().compile_model(model, "CPU", settings)
    request = compiled.create_infer_request()
    found = request.infer(feeds)
    figures = {}
    for name in names:
        a, b = expected[name].astype(np.float64), np.asarray(found[name], np.float64)
        finite = np.isfinite(a) & np.isfinite(b)
        both = np.abs(a[finite] - b[finite])
        figures[name] = dict(
            same_infinities=bool((np.isfinite(a) == np.isfinite(b)).all()),
            largest=float(both.max()),
            mean=float(both.mean()),
        )
    kernels = collections.Counter(
        op.get_rt_info()["primitiveType"].astype(str)
        for op in compiled.get_runtime_model().get_ops()
        if op.get_rt_info()["layerType"].astype(str) in ("MatMul", "FullyConnected", "Convolution")
    )
    result[precision] = dict(cpu_s=cpu_seconds(lambda: request.infer(feeds)), differences=figures, products=dict(kernels))
print(json.dumps(result))
