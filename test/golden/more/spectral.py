"""Makes the cases of spectral methods here from the papers' formulas: `python spectral.py`. NumPy, everything in float64 but for the task vectors, which
are float32 differences; the result is rounded once. What is a matrix: two dimensions, within the layers."""
import glob, json, os, platform
import numpy as np
import safetensors
from safetensors.numpy import load_file, save_file

HERE = os.path.dirname(os.path.abspath(__file__))
GOLDEN = os.path.dirname(HERE)
svd = lambda a: np.linalg.svd(a, full_matrices=False)

def polar(a):
    u, _, v = svd(a)
    return u @ v

def tsv_m(taus):
    k = min(taus[0].shape) // len(taus)
    parts = [svd(t) for t in taus]
    u = np.concatenate([p[0][:, :k] for p in parts], axis=1)
    s = np.concatenate([p[1][:k] for p in parts])
    v = np.concatenate([p[2][:k] for p in parts], axis=0)
    return polar(u) @ np.diag(s) @ polar(v)

def iso_c(taus):
    u, s, v = svd(sum(taus))
    return s.mean() * u @ v

def iso_cts(taus, common_space_fraction=0.8):
    r = min(taus[0].shape)
    own = (r - int(common_space_fraction * r)) // len(taus)
    common = r - own * len(taus)
    u, s, v = svd(sum(taus))
    u, s, v = u[:, :common], s[:common], v[:common]
    us, ss, vs = [u], [s], [v]
    for t in taus:
        a, b, c = svd(t - u @ (u.T @ t))
        us.append(a[:, :own]); ss.append(b[:own]); vs.append(c[:own])
    return np.concatenate(ss).mean() * polar(np.concatenate(us, axis=1)) @ polar(np.concatenate(vs, axis=0))

def swudi(taus, share=0.65):
    n = taus[0].shape[1]
    weights = [1 / (t ** 2).sum() for t in taus]
    values, q = np.linalg.eigh(sum(w * t.T @ t for w, t in zip(weights, taus)))
    values, q = np.maximum(values[::-1], 1e-8), q[:, ::-1]
    cubes = sum(w * t @ t.T @ t for w, t in zip(weights, taus))
    gate = np.where(np.arange(n) < int(share * n), 1 - np.exp(-300 * values), 0)
    total = sum(taus)
    return total - (total @ q * gate) @ q.T + (cubes @ q * (gate / values)) @ q.T

def star(taus, eta=0.4):
    parts = []
    for t in taus:
        u, s, v = svd(t)
        k = 1 + int(np.searchsorted(np.cumsum(s), eta * s.sum()))
        parts.append((u[:, :k] * (s[:k] * s.sum() / s[:k].sum())) @ v[:k])
    return sum(parts) / len(parts)

def case(name, what, method, models, lam=None, **parameters):
    folder = os.path.join(HERE, name)
    os.makedirs(os.path.join(folder, "expected"), exist_ok=True)
    load = lambda model: {k: v for file in sorted(glob.glob(os.path.join(GOLDEN, "models", model, "*.safetensors"))) for k, v in load_file(file).items()}
    base, others = load("base"), [load(m) for m in models]
    merged = {}
    for tensor, theta in base.items():
        taus = [(o[tensor] - theta).astype(np.float64) for o in others]
        delta = method(taus, **parameters) if theta.ndim == 2 and ".layers." in tensor else sum(taus) / len(taus)
        merged[tensor] = (theta + (1 if lam is None else lam) * delta).astype(np.float32)
    save_file(merged, os.path.join(folder, "expected", "model.safetensors"), metadata={"format": "pt"})
    set_ = {**parameters, **({} if lam is None else {"lambda": lam})}
    lines = [f"merge_method: {method.__name__}", "base_model: ./models/base", "dtype: float32", "models:", *[f"  - model: ./models/{m}" for m in models],
             *([f"parameters: {json.dumps(set_)}"] if set_ else [])]
    open(os.path.join(folder, "recipe.yml"), "w").write("\n".join(lines) + "\n")
    tolerance, why = ("2e-6", ": bases that are made orthogonal were rounded to float32, and nearly parallel ones multiply that") if method is iso_cts else ("1e-6", "")
    tool = f"numpy {np.__version__}, safetensors {safetensors.__version__}, Python {platform.python_version()}, CPU"
    open(os.path.join(folder, "from.md"), "w").write(
        f"# {name}\n\n{what}\n\nmergekit has no such method. Tool: {tool}.\n\nCommand, run in `test/golden/more`:\n\n    python spectral.py\n\nTolerance: {tolerance} of the largest magnitude of each tensor{why}.\n")

three, four = ["ft1", "ft2", "ft3"], ["ft1", "ft2", "ft3", "ft4"]
case("tsv-m-three", "Singular triplets of three models, some tall, some wide, by singular value decompositions in float64.", tsv_m, three)
case("tsv-m-four", "Four models, lambda 1.5.", tsv_m, four, 1.5)
case("iso-c-three", "The sum of three task vectors with equal singular values.", iso_c, three, 1.3)
case("iso-cts-three", "Three models; 32 · 0.8 is 25, and 7 directions are left, of which each model adds 2.", iso_cts, three)
case("iso-cts-half", "Four models and half of the space for all.", iso_cts, four, 1.2, common_space_fraction=0.5)
case("swudi-three", "The closed form of WUDI for three models.", swudi, three)
case("swudi-most", "Four models, and 0.85 of the directions.", swudi, four, 0.9, share=0.85)
case("star-three", "Truncated and rescaled singular values of three models.", star, three)
case("star-most", "Four models, 0.9 of the nuclear norm.", star, four, 0.7, eta=0.9)
