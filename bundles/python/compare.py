#!/usr/bin/env python3
"""Compares the boxes that a model finds here with those that dino8 found in the picture of golden.json. Run it before you use a
model: a runtime can load it without a warning and compute something else.

  python3 compare.py                          the model of the main size
  python3 compare.py --size 320x320
  python3 compare.py --onnx                   ONNX Runtime in place of the runtime of this bundle
"""
import base64
import io
import os
import sys

from detection import FOLDER, MODELS, arguments, detector, prompts, read_json, reason
from packages import needed
from pictures import read_picture
from runtime import add_options, load


class OnnxRuntime:
    """The model itself, on the CPU."""

    def __init__(self, path):
        onnxruntime = needed("onnxruntime", "install it with pip install onnxruntime")
        if "plugin" in os.path.basename(path):
            sys.exit(f"ONNX Runtime does not have the plug-in of {path}; choose another model with --size.")
        try:
            self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        # ONNX Runtime has a class for each of its errors, and no other for all of them.
        except Exception as error:
            sys.exit(f"ONNX Runtime does not load {path} ({reason(error)}).")

    def run(self, feeds):
        try:
            return dict(zip((each.name for each in self.session.get_outputs()), self.session.run(None, feeds)))
        except Exception as error:
            sys.exit(f"ONNX Runtime does not run the model ({reason(error)}).")


def overlap(a, b):
    """The intersection over union of two boxes."""
    sides = [min(a[i] + a[i + 2], b[i] + b[i + 2]) - max(a[i], b[i]) for i in (0, 1)]
    shared = max(0, sides[0]) * max(0, sides[1])
    return shared / (a[2] * a[3] + b[2] * b[3] - shared) if shared else 0.0


def agreeing(expected, found, limits):
    """The expected boxes for which there is one of the same phrase within the limits. A box that was found is for one of them."""
    left = list(found)

    def is_same(wanted, other):
        is_near = abs(other["score"] - wanted["score"]) <= limits["score"]
        return other["phrase"] == wanted["phrase"] and is_near and overlap(other["box"], wanted["box"]) >= limits["overlap"]

    agreed = []
    for wanted in expected:
        place = next((at for at, other in enumerate(left) if is_same(wanted, other)), None)
        if place is not None:
            del left[place]
            agreed.append(wanted)
    return agreed


def main():
    parser = arguments(__doc__)
    add_options(parser)
    parser.add_argument("--onnx", action="store_true", help="run the model in ONNX Runtime")
    asked = parser.parse_args()
    golden = read_json("golden.json")
    expected = golden["boxes"][asked.size]
    if not expected:
        sys.exit("dino8 found nothing in the picture of golden.json, so that there is nothing to compare; export with another picture.")

    def open_model(name):
        return OnnxRuntime(os.path.join(FOLDER, MODELS[name])) if asked.onnx else load(asked, name)

    looked_for = prompts(None, open_model)
    detect = detector(open_model(asked.size), asked.size, looked_for)
    found = detect(read_picture(io.BytesIO(base64.b64decode(golden["picture"])), "The picture of golden.json"), 0)
    agreed = agreeing(expected, found, golden["limits"])
    share = sum(box["score"] for box in agreed) / sum(box["score"] for box in expected)
    print(f"{len(agreed)} of the {len(expected)} boxes that dino8 found are found by {MODELS[asked.size]}: {share:.0%} by their scores.")
    if share < golden["limits"]["share"]:
        sys.exit("This runtime computes something else than dino8: do not use it. The README says what to try.")


if __name__ == "__main__":
    main()
