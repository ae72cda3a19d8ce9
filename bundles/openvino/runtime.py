"""Runs a model in OpenVINO. Needs openvino and numpy."""
import os
import sys

from detection import FOLDER, MODELS, reason
from packages import needed


class OpenVino:
    """A model on a device of OpenVINO."""

    def __init__(self, path, device, precision):
        openvino = needed("openvino", "install it with pip install openvino")
        settings = {"INFERENCE_PRECISION_HINT": "f32"} if precision == "f32" else {}
        devices = openvino.Core().available_devices
        if device.split(".")[0] not in {each.split(".")[0] for each in devices}:
            sys.exit(f"OpenVINO has no device {device} here; it has {', '.join(devices)}.")
        try:
            self.model = openvino.Core().compile_model(path, device, settings)
        # OpenVINO throws RuntimeError, and others where a plug-in fails.
        except Exception as error:
            sys.exit(f"OpenVINO does not load {path} on {device} ({reason(error)}).")

    def run(self, feeds):
        try:
            found = self.model(feeds)
        except Exception as error:
            sys.exit(f"OpenVINO does not run the model ({reason(error)}).")
        return {name: found[port] for port in self.model.outputs for name in port.names}


def add_options(parser):
    parser.add_argument("--device", default="CPU", help="a device of OpenVINO, such as CPU or GPU (default: CPU)")
    parser.add_argument(
        "--precision",
        choices=["default", "f32"],
        default="default",
        help="what is not in INT8: as OpenVINO chooses, which is bfloat16 on processors that have it (AMX, or AVX-512 with bf16) and float16 on GPUs, or float32",
    )


def load(asked, name):
    return OpenVino(os.path.join(FOLDER, MODELS[name]), asked.device, asked.precision)
