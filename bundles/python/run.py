#!/usr/bin/env python3
"""Finds the phrases of this bundle in pictures.

  python3 run.py photo.jpg                        boxes as JSON, one line for each picture
  python3 run.py --size 320x320 --threshold 0.3 photo.jpg
"""
import argparse
import functools
import json
import signal

from detection import BUNDLE, arguments, detector, prompts
from pictures import read_picture
from runtime import add_options, load


def probability(text):
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not from 0 to 1")
    return value


def main():
    # A reader such as `head` that stops reading ends the program, and so does Ctrl+C.
    for name in ("SIGPIPE", "SIGINT"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
    parser = arguments(__doc__)
    add_options(parser)
    parser.add_argument("pictures", nargs="+")
    usual = BUNDLE["postprocessing"]["threshold"]
    parser.add_argument("--threshold", type=probability, default=usual, help=f"the lowest score of a box, from 0 to 1 (default: {usual})")
    if "text" in BUNDLE:
        parser.add_argument("--phrase", action="append", help="what to find, in place of the bundle's own phrases; repeat it for more")
    asked = parser.parse_args()
    open_model = functools.partial(load, asked)
    looked_for = prompts(getattr(asked, "phrase", None), open_model)
    detect = detector(open_model(asked.size), asked.size, looked_for)
    for name in asked.pictures:
        image = read_picture(name, name)
        found = detect(image, asked.threshold)
        for each in found:
            each["box"] = [side * image.size[index % 2] for index, side in enumerate(each["box"])]
        print(json.dumps({"picture": name, "detections": found}))


if __name__ == "__main__":
    main()
