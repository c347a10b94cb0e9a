"""Makes evaluation.json, what the figures of src/evaluation are checked against: scikit-learn and SciPy.

    python test/goldens/make_evaluation_goldens.py --out test/goldens

Scores come with ties on purpose. AUPRO follows the definition of MVTec AD: the mean, over connected defect
regions (8-connected), of the share of a region that is found, over the false positive rate, integrated up to
a rate of 0.3 and divided by it. Needs scikit-learn 1.9 and SciPy 1.17.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from scipy.ndimage import label
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score, roc_curve

PRO_LIMIT = 0.3


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out
    rng = np.random.default_rng(11)
    golden = {"rankings": [ranking(rng, *sizes) for sizes in [(5, 9), (40, 60), (200, 30)]], "maps": maps(rng)}
    (out / "evaluation.json").write_text(json.dumps(golden) + "\n")


def ranking(rng, positives, negatives):
    """Scores in steps of a sixteenth, which float32 holds exactly."""
    above = np.round(rng.normal(1, 1, positives) * 16) / 16
    below = np.round(rng.normal(0, 1, negatives) * 16) / 16
    scores = np.concatenate([above, below])
    labels = np.concatenate([np.ones(positives), np.zeros(negatives)])
    f1 = [f1_score(labels, scores >= threshold) for threshold in np.unique(scores)]
    return {
        "positives": above.tolist(),
        "negatives": below.tolist(),
        "auroc": roc_auc_score(labels, scores),
        "averagePrecision": average_precision_score(labels, scores),
        "bestF1": max(f1),
        "partialAuroc": partial(*roc_curve(labels, scores, drop_intermediate=False)[:2]),
    }


def maps(rng):
    size = 16
    images = []
    for kind, regions in [
        ("good", []),
        ("good", []),
        ("spot", [(2, 3, 4, 4)]),
        ("spot", [(1, 1, 2, 2), (3, 3, 2, 2), (10, 9, 3, 5)]),
        ("line", [(5, 0, 1, 16), (12, 4, 2, 2)]),
    ]:
        mask = np.zeros((size, size), int)
        for top, left, height, width in regions:
            mask[top : top + height, left : left + width] = 1
        values = np.round(np.abs(rng.normal(0, 1, (size, size)) + 1.2 * mask) * 8) / 8
        images.append({"kind": kind, "mask": mask, "values": values})
    masks = np.stack([image["mask"] for image in images])
    values = np.stack([image["values"] for image in images])
    defective = masks.any((1, 2))
    return {
        "size": size,
        "images": [
            {"kind": i["kind"], "mask": i["mask"].ravel().tolist(), "values": i["values"].ravel().tolist()}
            for i in images
        ],
        "pixelAuroc": roc_auc_score(masks.ravel(), values.ravel()),
        "pixelAurocDefectiveOnly": roc_auc_score(masks[defective].ravel(), values[defective].ravel()),
        "pixelAveragePrecision": average_precision_score(masks.ravel(), values.ravel()),
        "aupro": aupro(masks, values),
        "regions": int(sum(label(mask, np.ones((3, 3)))[1] for mask in masks)),
    }


def aupro(masks, values):
    clean = values[masks == 0]
    areas = []
    for mask, image in zip(masks, values):
        labels, count = label(mask, np.ones((3, 3)))
        for region in range(1, count + 1):
            found = image[labels == region]
            truth = np.concatenate([np.ones(len(found)), np.zeros(len(clean))])
            areas.append(partial(*roc_curve(truth, np.concatenate([found, clean]), drop_intermediate=False)[:2]))
    return float(np.mean(areas))


def partial(fpr, tpr):
    """Area under the curve up to PRO_LIMIT, over PRO_LIMIT."""
    inside = fpr <= PRO_LIMIT
    x = np.append(fpr[inside], PRO_LIMIT)
    y = np.append(tpr[inside], np.interp(PRO_LIMIT, fpr, tpr))
    return float(np.trapezoid(y, x) / PRO_LIMIT)


if __name__ == "__main__":
    main()
