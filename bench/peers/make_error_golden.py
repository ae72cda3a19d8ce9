"""Writes test/fixtures/golden/coco/errors.json: the errors that tidecv 1.0.1 finds in the detections of the golden data sets, with
scores as they are and rounded, so that many are equal.

    python bench/peers/make_error_golden.py
"""
import json
import pathlib

from tidecv import TIDE
from tidecv.data import Data

FOLDER = pathlib.Path(__file__).parents[2] / "test/fixtures/golden/coco"
CAUSES = {
    "Cls": "classification",
    "Loc": "localization",
    "Both": "both",
    "Dupe": "duplicate",
    "Bkg": "background",
    "Miss": "missed",
}


def analyze(truth, detections, digits):
    # The loader of tidecv needs segmentations, which boxes alone do not have.
    objects, found = Data("truth"), Data("found")
    for image in truth["images"]:
        objects.add_image(image["id"], str(image["id"]))
    for category in truth["categories"]:
        objects.add_class(category["id"], category["name"])
    for annotation in truth["annotations"]:
        add = objects.add_ignore_region if annotation["iscrowd"] else objects.add_ground_truth
        add(annotation["image_id"], annotation["category_id"], annotation["bbox"])
    for detection in detections:
        score = detection["score"] if digits is None else round(detection["score"], digits)
        found.add_detection(detection["image_id"], detection["category_id"], score, detection["bbox"])
    tide = TIDE()
    run = tide.evaluate(objects, found, mode=TIDE.BOX)
    gains, counts = run.fix_main_errors(), run.count_errors()
    special = {kind.short_name: value for kind, value in run.fix_special_errors().items()}
    return {
        "digits": digits,
        "AP50": run.ap,
        "causes": {
            CAUSES[kind.short_name]: {"count": counts[kind], "gain": gain} for kind, gain in gains.items()
        },
        "falsePositives": special["FalsePos"],
        "falseNegatives": special["FalseNeg"],
    }


def main():
    names = [path.name.removesuffix("_ground_truth.json") for path in FOLDER.glob("*_ground_truth.json")]
    read = lambda name: json.loads((FOLDER / f"{name}.json").read_text())
    result = {
        name: [analyze(read(f"{name}_ground_truth"), read(f"{name}_detections"), digits) for digits in (None, 2, 1)]
        for name in sorted(names)
    }
    (FOLDER / "errors.json").write_text(json.dumps(result, indent=1) + "\n")


main()
