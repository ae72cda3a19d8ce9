"""Writes test/fixtures/numpy: arrays in NumPy's formats, and the same arrays as safetensors, which say what they hold.

Run from the root of the repository with numpy and safetensors installed.
"""
import numpy as np
from safetensors.numpy import save_file

FOLDER = "test/fixtures/numpy"
rng = np.random.default_rng(0)

TYPES = ["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1"]
arrays = {f"array_{name}": (rng.normal(size=(2, 3, 5)) * 40).astype(name) for name in TYPES}
arrays["array_b1"] = rng.normal(size=(4, 7)) > 0
arrays["scalar"] = np.array(2.5, np.float32)
arrays["empty"] = np.zeros((0, 3), np.float32)
arrays["by_columns"] = np.asfortranarray(rng.normal(size=(3, 4, 5)).astype(np.float32))
arrays["vector_by_columns"] = np.asfortranarray(np.arange(5))

np.savez(f"{FOLDER}/stored.npz", **arrays)
np.savez_compressed(f"{FOLDER}/compressed.npz", **arrays)
np.save(f"{FOLDER}/by_columns.npy", arrays["by_columns"])
save_file({name: np.ascontiguousarray(value) for name, value in arrays.items()}, f"{FOLDER}/arrays.safetensors")
# 0-dimensional arrays become vectors of one in ascontiguousarray: the shape is the test's own business.

np.save(f"{FOLDER}/big_endian.npy", np.arange(6, dtype=">f4"))
np.save(f"{FOLDER}/objects.npy", np.array([{"a": 1}, None], dtype=object), allow_pickle=True)
np.save(f"{FOLDER}/texts.npy", np.array(["a", "bc"]))
np.save(f"{FOLDER}/complex.npy", np.zeros(3, np.complex64))
with open(f"{FOLDER}/version_2.npy", "wb") as file:
    np.lib.format.write_array(file, arrays["array_f4"], version=(2, 0))
with open(f"{FOLDER}/version_3.npy", "wb") as file:
    np.lib.format.write_array(file, arrays["array_f4"], version=(3, 0))

# A picture as PIL resizes it and NumPy normalises it, in both layouts and both orders of channels.
from PIL import Image  # noqa: E402

pixels = rng.integers(0, 256, size=(13, 17, 3)).astype(np.uint8)
Image.fromarray(pixels).save(f"{FOLDER}/picture.png")
resized = np.asarray(Image.fromarray(pixels).resize((9, 6), Image.BILINEAR)).astype(np.float32)
mean, std = np.array([0.4, 0.5, 0.6], np.float32), np.array([0.2, 0.3, 0.4], np.float32)
rgb = (resized / 255 - mean) / std
bgr = (resized[:, :, ::-1] / 255 - mean) / std
save_file(
    {
        "nchw_rgb": np.ascontiguousarray(rgb.transpose(2, 0, 1)[None].astype(np.float32)),
        "nhwc_bgr": np.ascontiguousarray(bgr[None].astype(np.float32)),
        "nhwc_bytes": np.ascontiguousarray(resized[None].astype(np.uint8)),
    },
    f"{FOLDER}/picture.safetensors",
)
