#!/usr/bin/env python3
"""Finds the phrases of this bundle in pictures.

  python3 run.py photo.jpg                        boxes as JSON, one line for each picture
  python3 run.py --size 320x320 --threshold 0.3 photo.jpg
"""
import functools
import json

from PIL import Image, ImageOps

from detection import BUNDLE, arguments, detector, prompts
from runtime import add_options, load


def main():
    parser = arguments(__doc__)
    add_options(parser)
    parser.add_argument("pictures", nargs="+")
    parser.add_argument("--threshold", type=float, default=BUNDLE["postprocessing"]["threshold"])
    if "text" in BUNDLE:
        parser.add_argument("--phrase", action="append", help="what to find, in place of the bundle's own phrases; repeat it for more")
    asked = parser.parse_args()
    open_model = functools.partial(load, asked)
    looked_for = prompts(getattr(asked, "phrase", None), open_model)
    detect = detector(open_model(asked.size), asked.size, looked_for)
    for name in asked.pictures:
        image = ImageOps.exif_transpose(Image.open(name))
        found = detect(image, asked.threshold)
        for each in found:
            each["box"] = [side * image.size[index % 2] for index, side in enumerate(each["box"])]
        print(json.dumps({"picture": name, "detections": found}))


if __name__ == "__main__":
    main()
