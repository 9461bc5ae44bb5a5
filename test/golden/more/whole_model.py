"""Expected outputs of methods that mergekit does not have, from their formulas over whole models: written with numpy alone, in float64.

Run in test/golden: python more/whole_model.py
Task vectors are differences of float32, as the comparison of their sizes wants them; all else is float64, rounded once in the end.
"""

import os
import re
from glob import glob

import numpy as np
from safetensors.numpy import load_file, save_file

BASE = load_file("models/base/model.safetensors")
NAMES = sorted(BASE)
MODELS = {m: {n: t for f in sorted(glob(f"models/{m}/*.safetensors")) for n, t in load_file(f).items()} for m in ("ft1", "ft2", "ft3", "ft4")}
SIZES = [BASE[n].size for n in NAMES]
LAYERS = 3


def delta(model):
    """A task vector, all tensors in one array."""
    return np.concatenate([(MODELS[model][n] - BASE[n]).ravel() for n in NAMES])


def split(flat):
    return {n: part.reshape(BASE[n].shape) for n, part in zip(NAMES, np.split(flat, np.cumsum(SIZES)[:-1]))}


def trimmed(d, density):
    """The largest of the whole model; what ties with the last one stays."""
    kept = max(1, int(density * d.size))
    cut = np.sort(np.abs(d))[d.size - kept]
    return np.where(np.abs(d) >= cut, d, 0)


def ties(models, normalize=True, rescale=False, factor=1.0):
    total = []
    for model, weight, density in models:
        whole = delta(model)
        kept = trimmed(whole, density).astype(np.float64)
        if rescale:
            kept *= np.abs(whole).sum(dtype=np.float64) / np.abs(kept).sum()
        total.append((kept * weight, weight))
    sign = np.where(sum(d for d, _ in total) >= 0, 1, -1)
    mixed = sum(np.where(np.sign(d) == sign, d, 0) for d, _ in total)
    voted = sum(np.where(np.sign(d) == sign, w, 0) for d, w in total)
    if normalize:
        mixed = mixed / np.where(voted == 0, 1, voted)
    return factor * mixed


def localize_stitch(models, density):
    kept = [trimmed(delta(m), density).astype(np.float64) for m in models]
    return sum(kept) / np.maximum(1, sum(k != 0 for k in kept))


def metagpt(models, factor):
    deltas = [delta(m).astype(np.float64) for m in models]
    norms = [(d * d).sum() for d in deltas]
    return factor * sum(d * n for d, n in zip(deltas, norms)) / sum(norms)


def pcb_of(deltas, densities):
    """The scores and the average of Du et al. 2024, of arrays."""
    n = deltas[0].size
    ranked = lambda x, share: np.sort(x)[n - max(1, int(np.floor(share * n)))]
    between = lambda x, low, high: (x - low) / (high - low if high > low else 1)
    total = sum(deltas)
    tops, scores = 0, 0
    for d, density in zip(deltas, densities):
        size = np.abs(d)
        low, high = ranked(size, 1 - 1e-4), ranked(size, 1e-4)
        clipped = np.clip(size, low, high)
        score = np.exp(len(deltas) * between(clipped, low, high) ** 2) * np.tanh(d * total)
        last, best = ranked(score, density), score.max()
        weight = between(np.maximum(score, last), last, best)
        tops, scores = tops + np.sign(d) * clipped * weight, scores + weight
    return tops / np.maximum(scores, 1e-12)


def pcb(models, densities, factor, whole):
    deltas = [delta(m).astype(np.float64) for m in models]
    if whole:
        return factor * pcb_of(deltas, densities)
    parts = [list(split(d).values()) for d in deltas]
    return factor * np.concatenate([pcb_of([p[i].ravel() for p in parts], densities) for i in range(len(NAMES))])


def lines(model, alpha, beta):
    out = split(delta(model).astype(np.float64))
    for name in out:
        layer = re.search(r"layers\.(\d+)\.", name)
        out[name] = out[name] * (alpha + beta * (int(layer[1]) / (LAYERS - 1) if layer else 0))
    return np.concatenate([out[n].ravel() for n in NAMES])


def entry(model, **parameters):
    return f"  - {{model: ./models/{model}, parameters: {{{', '.join(f'{k}: {v}' for k, v in parameters.items())}}}}}\n"


def recipe(method, models, parameters):
    return f"merge_method: {method}\nbase_model: ./models/base\ndtype: float32\nmodels:\n{''.join(models)}" + (f"parameters: {{{parameters}}}\n" if parameters else "")


def sliced(method, models, parameters, cuts):
    """The same in slices of layers."""
    text = f"merge_method: {method}\nbase_model: ./models/base\ndtype: float32\nparameters: {{{parameters}}}\nslices:\n"
    for start, end in cuts:
        text += "  - sources:\n"
        text += f"      - {{model: ./models/base, layer_range: [{start}, {end}]}}\n"
        for model, own in models:
            text += f"      - {{model: ./models/{model}, layer_range: [{start}, {end}], parameters: {{{own}}}}}\n"
    return text


def case(name, what, text, change, tolerance="1e-6"):
    folder = f"more/{name}"
    os.makedirs(f"{folder}/expected", exist_ok=True)
    open(f"{folder}/recipe.yml", "w").write(text)
    parts = split(change)
    save_file({n: (BASE[n].astype(np.float64) + parts[n]).astype(np.float32) for n in NAMES}, f"{folder}/expected/model.safetensors")
    open(f"{folder}/from.md", "w").write(
        f"""# {name}

{what}

Tool: more/whole_model.py, numpy {np.__version__} in float64, written from the formula; mergekit has no such method.

Command, run in `test/golden`:

    python more/whole_model.py

Tolerance: {tolerance} of the largest magnitude of each tensor.
"""
    )


THREE = [("ft1", 0.7, 0.2), ("ft2", 0.5, 0.35), ("ft3", -0.4, 0.5)]
entries = [entry(m, weight=w, density=d) for m, w, d in THREE]
case("ties-global", "Trimmed over whole models; a weight is negative.", recipe("ties", entries, "trim: global"), ties(THREE))
case(
    "ties-global-rescale",
    "Trimmed over whole models, and their norms over whole models restored.",
    recipe("ties", entries, "trim: global, rescale: true, normalize: false, lambda: 0.8"),
    ties(THREE, normalize=False, rescale=True, factor=0.8),
)
case(
    "ties-global-slices",
    "In slices that make up whole models: the largest entries are still those of the models, not of a slice.",
    sliced("ties", [(m, f"weight: {w}, density: {d}") for m, w, d in THREE], "trim: global", [(0, 1), (1, 3)]),
    ties(THREE),
)
case(
    "localize-stitch-global",
    "The largest entries of whole models.",
    recipe("localize_stitch", [entry(m, density=0.1) for m in ("ft1", "ft2", "ft4")], "trim: global"),
    localize_stitch(["ft1", "ft2", "ft4"], 0.1),
)
case("metagpt-four", "Weights by the squared norms of whole models.", recipe("metagpt", [f"  - model: ./models/{m}\n" for m in MODELS], "lambda: 1.5"), metagpt(MODELS, 1.5))
PCB = [("ft1", 0.1), ("ft2", 0.3), ("ft3", 0.2)]
for name, whole in (("pcb-tensor", False), ("pcb-global", True)):
    case(
        name,
        f"Scores within {'whole models' if whole else 'each tensor'}. They are exponentials of float32 numbers, hence the tolerance.",
        recipe("pcb", [entry(m, density=d) for m, d in PCB], "trim: global" if whole else ""),
        pcb([m for m, _ in PCB], [d for _, d in PCB], 1.2, whole),
        "1e-5",
    )
case("lines", "Three layers, and what lies outside of them.", recipe("lines", ["  - model: ./models/ft2\n"], "alpha: 0.25, beta: 0.5"), lines("ft2", 0.25, 0.5))
