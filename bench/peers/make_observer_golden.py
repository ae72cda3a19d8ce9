"""Golden file of the observers: what onnxruntime.quantization's collectors, and pytorch-quantization's definition written
with scipy, make of the same histograms. usage: make_observer_golden.py OUT.json"""
import json, sys
import numpy as np
from onnxruntime.quantization.calibrate import HistogramCollector
from scipy.stats import entropy

rng = np.random.default_rng(0)
shapes = {
    "normal": rng.normal(0, 1, 20000),
    "relu": np.maximum(rng.normal(0.2, 1, 20000), 0),
    "outliers": np.concatenate([rng.normal(0, 1, 20000), rng.normal(0, 20, 40)]),
    "skewed": rng.exponential(1, 20000) - 0.3,
}

def pytorch_quantization(hist, edges, levels=128):
    bins = hist.astype(np.int64).copy()
    bins[0] = bins[1]
    best = []
    for i in range(levels, len(bins) + 1):
        space = np.linspace(0, i, num=levels + 1)
        digitized = np.digitize(range(i), space) - 1
        counts = np.zeros(levels)
        filled = np.zeros(levels)
        for index in range(i):
            counts[digitized[index]] += bins[index]
            filled[digitized[index]] += bins[index] != 0
        density = np.where(bins[:i] == 0, 0, (counts / np.maximum(filled, 1))[digitized])
        reference = bins[:i].astype(float).copy()
        reference[-1] += bins[i:].sum()
        best.append(entropy(reference / reference.sum(), density / density.sum()))
    best = np.array(best)
    last = len(best) - 1 - np.argmin(best[::-1])
    return float(edges[last + levels])

golden = []
for name, data in shapes.items():
    data = data.astype(np.float32)
    most = float(np.abs(data).max())
    signed, signed_edges = np.histogram(data, bins=257, range=(-most, most))
    magnitudes, magnitude_edges = np.histogram(np.abs(data), bins=512, range=(0, most))
    entry = dict(name=name, signed=signed.tolist(), signedEdges=signed_edges.tolist(), magnitudes=magnitudes.tolist(),
                 magnitudeEdges=magnitude_edges.tolist(), min=float(data.min()), max=float(data.max()))
    collector = HistogramCollector("percentile", False, 257, 128, 99.9, "same")
    collector.histogram_dict = {"x": (signed, signed_edges, np.float64(data.min()), np.float64(data.max()), most)}
    entry["percentile"] = [float(value) for value in collector.compute_percentile()["x"][:2]]
    collector.symmetric = True
    collector.histogram_dict = {"x": (magnitudes, magnitude_edges, np.float64(-most), np.float64(most), most)}
    entry["symmetricPercentile"] = float(collector.compute_percentile()["x"][1])
    collector.histogram_dict = {"x": (signed, signed_edges, np.float64(data.min()), np.float64(data.max()), most)}
    entry["entropy"] = [float(value) for value in collector.compute_entropy()["x"][:2]]
    entry["magnitudeEntropy"] = pytorch_quantization(magnitudes, magnitude_edges)
    golden.append(entry)
json.dump(golden, open(sys.argv[1], "w"))
