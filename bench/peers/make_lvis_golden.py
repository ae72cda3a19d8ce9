"""Writes test/fixtures/golden/coco/federated.json: a small federated data set, detections in it, and the figures of the package
lvis 0.5.3.

    python bench/peers/make_lvis_golden.py
"""
import json
import pathlib
import random
import tempfile

import numpy as np

np.float = float  # The package uses a name that numpy has dropped.
from lvis import LVIS, LVISEval, LVISResults

IMAGES, CATEGORIES = 30, 12
random.seed(7)


def box():
    width, height = 6 + random.random() ** 2 * 250, 6 + random.random() ** 2 * 200
    return [round(v, 2) for v in (random.random() * (640 - width), random.random() * (480 - height), width, height)]


def near(x, y, width, height):
    jitter = lambda: (random.random() - 0.5) * 0.3
    moved = (x + jitter() * width, y + jitter() * height, width * (1 + jitter()), height * (1 + jitter()))
    return [round(v, 2) for v in moved]


categories = [
    {"id": index + 1, "name": f"c{index}", "synset": "", "frequency": "rcf"[index % 3]} for index in range(CATEGORIES)
]
# One category has neither objects nor detections that count.
shown = list(range(1, CATEGORIES))
images, annotations, detections = [], [], []
for image in range(1, IMAGES + 1):
    positive = random.sample(shown, random.randrange(4))
    negative = random.sample([each for each in shown if each not in positive], 3)
    partial = [each for each in positive if random.random() < 0.3]
    images.append(
        {
            "id": image,
            "width": 640,
            "height": 480,
            "coco_url": f"http://images.cocodataset.org/val2017/{image}.jpg",
            "neg_category_ids": negative,
            "not_exhaustive_category_ids": partial,
        }
    )
    here = []
    for category in positive:
        for _ in range(1 + random.randrange(4)):
            bounds = box()
            here.append((category, bounds))
            area = round(bounds[2] * bounds[3] * 0.7, 2)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": category,
                    "bbox": bounds,
                    "area": area,
                    "segmentation": [],
                }
            )
    # More than the 300 that count in one image, many of one category in another.
    for index in range(340 if image == 3 else 150 if image == 5 else 12):
        if here and random.random() < 0.5:
            category, bounds = random.choice(here)
            detection = {"category_id": category, "bbox": near(*bounds), "score": round(0.2 + 0.8 * random.random(), 2)}
        else:
            category = (positive + negative)[0] if image == 5 else random.choice(shown)
            detection = {"category_id": category, "bbox": box(), "score": round(random.random() ** 2, 2)}
        detections.append({"image_id": image, **detection})

truth = {"images": images, "annotations": annotations, "categories": categories}
with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
    json.dump(truth, file)
    file.flush()
    labels = LVIS(file.name)
run = LVISEval(labels, LVISResults(labels, json.loads(json.dumps(detections))), "bbox")
run.run()
precision = run.eval["precision"][:, :, :, 0].mean(axis=(0, 1))
result = {
    "truth": truth,
    "detections": detections,
    "figures": list(run.results.values()),
    "averagePrecision": {str(each): float(value) for each, value in zip(run.params.cat_ids, precision)},
}
path = pathlib.Path(__file__).parents[2] / "test/fixtures/golden/coco/federated.json"
path.write_text(json.dumps(result) + "\n")
