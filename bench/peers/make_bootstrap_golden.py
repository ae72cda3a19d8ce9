"""Writes test/fixtures/golden/coco/resamples.json: the figures that pycocotools gives for resamples of the images of the golden
data sets. An image that is drawn twice is two images with ids of their own, in the order of the data set.

    python bench/peers/make_bootstrap_golden.py
"""
import contextlib
import copy
import io
import json
import pathlib

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

FOLDER = pathlib.Path(__file__).parents[2] / "test/fixtures/golden/coco"
RESAMPLES = 6


def evaluate(truth, detections):
    with contextlib.redirect_stdout(io.StringIO()):
        data = COCO()
        data.dataset = truth
        data.createIndex()
        found = COCO()
        found.dataset = {"images": truth["images"], "categories": truth["categories"], "annotations": detections}
        found.createIndex()
        score = COCOeval(data, found, "bbox")
        score.evaluate()
        score.accumulate()
        score.summarize()
    precision = score.eval["precision"][:, :, :, 0, 2]
    of = {}
    for index, category in enumerate(score.params.catIds):
        values = precision[:, :, index]
        values = values[values > -1]
        of[str(category)] = float(values.mean()) if values.size else -1.0
    return {"stats": [float(value) for value in score.stats], "per_category_ap": of}


def resample(truth, detections, draws):
    images, objects, found = [], [], []
    objects_of, found_of = {}, {}
    for annotation in truth["annotations"]:
        objects_of.setdefault(annotation["image_id"], []).append(annotation)
    for detection in detections:
        found_of.setdefault(detection["image_id"], []).append(detection)
    for image, count in zip(sorted(truth["images"], key=lambda image: image["id"]), draws):
        for _ in range(count):
            new = {**image, "id": len(images) + 1}
            images.append(new)
            for annotation in objects_of.get(image["id"], []):
                # The id 0 has a meaning of its own in pycocotools, so that it must not be given away.
                objects.append({**copy.deepcopy(annotation), "image_id": new["id"], "id": len(objects) + 1})
            for detection in found_of.get(image["id"], []):
                area = detection["bbox"][2] * detection["bbox"][3]
                found.append({**detection, "image_id": new["id"], "id": len(found) + 1, "area": area, "iscrowd": 0})
    return {**truth, "images": images, "annotations": objects}, found


def main():
    random = np.random.default_rng(0)
    result = {}
    for name in ["plain", "crowds", "ties", "missing", "many"]:
        truth = json.loads((FOLDER / f"{name}_ground_truth.json").read_text())
        detections = json.loads((FOLDER / f"{name}_detections.json").read_text())
        count = len(truth["images"])
        rows = []
        for index in range(RESAMPLES):
            # In half of them few images are drawn often, so that there are many copies. In the others scores are rounded, so
            # that many are equal, within an image too.
            draws = np.bincount(random.integers(0, count if index % 2 else max(count // 3, 1), count), minlength=count)
            digits = None if index < RESAMPLES // 2 else 1
            rounded = [
                {**each, "score": round(each["score"], digits)} if digits else each for each in detections
            ]
            expected = evaluate(*resample(truth, rounded, draws))
            rows.append({"draws": draws.tolist(), "digits": digits, **expected})
        result[name] = rows
    (FOLDER / "resamples.json").write_text(json.dumps(result) + "\n")


main()
