"""AP of two groups of categories by pycocotools, for src/evaluate/open-vocabulary.test.ts.

  python bench/peers/make_group_golden.py test/fixtures/golden/coco
"""
import contextlib
import io
import json
import sys
from pathlib import Path

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

folder = Path(sys.argv[1])
expected = {}
with contextlib.redirect_stdout(io.StringIO()):
    for name in ("plain", "crowds", "missing", "many"):
        truth = COCO(str(folder / f"{name}_ground_truth.json"))
        found = truth.loadRes(str(folder / f"{name}_detections.json"))
        ids = sorted(truth.getCatIds())
        groups = {"seen": ids[::2], "unseen": ids[1::2]}
        expected[name] = {}
        for group, categories in groups.items():
            evaluation = COCOeval(truth, found, "bbox")
            evaluation.params.catIds = categories
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
            expected[name][group] = {"categories": categories, "AP": float(evaluation.stats[0])}
(folder / "groups_expected.json").write_text(json.dumps(expected, indent=1) + "\n")
