"""Why a trained net answers as it does, as a picture: where it looked, and what its units look for.

    python -m cnn_jax.tools.explain --workdir=RUN IMAGE|FOLDER ... --out=explain.png
    python -m cnn_jax.tools.explain --workdir=RUN --guided      (first images of the test split)
    python -m cnn_jax.tools.explain --workdir=RUN --kind=filters
    python -m cnn_jax.tools.explain --workdir=RUN --kind=maps IMAGE
    python -m cnn_jax.tools.explain --workdir=RUN --kind=patches --stage=c3

`classes`: Grad-CAM of the likeliest classes at --stage (the last one with maps), and what the first
loses where a patch occludes the image. With --guided also guided backpropagation; as it may draw
the image whatever was learnt, both methods are then held to the sanity check of Adebayo et al.
2018, and its verdict stands below the picture. `filters`: the first convolution's kernels. `maps`:
the maps of one image, stage by stage. `patches`: of the test images, what excites the maps of a
stage most.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from cnn_jax import cli
from cnn_jax.errors import UserError, printable

if TYPE_CHECKING:
    import numpy as np

    from cnn_jax.analysis.explanations.subject import Subject

DEFAULT_IMAGES = 4  # of the split, where none are named
MOST = {"classes": 50, "maps": 1, "filters": 0, "patches": 0}  # images that a picture takes


def main(argv: Sequence[str]) -> None:
    from cnn_jax.analysis.explanations.subject import load_subject

    out, kind = Path(OUT.value), KIND.value
    paths = find_paths(argv[1:], kind)
    subject = load_subject(CONFIG.value, WORKDIR.value, WEIGHTS.value)
    if kind == "filters":
        explain_filters(subject, out)
    elif kind == "patches":
        explain_patches(subject, out, STAGE.value, CHANNELS.value)
    else:
        number = 1 if kind == "maps" else DEFAULT_IMAGES
        images, names = subject.read(paths) if paths else subject.first(number)
        if kind == "maps":
            explain_maps(subject, images[0], names[0], out)
        else:
            explain_classes(subject, images, names, out, STAGE.value, TOP.value, GUIDED.value)
    print(f"\nthe picture is {out}")


def find_paths(words: Sequence[str], kind: str) -> list[str]:
    """The image files that are named, those of folders too; raises `UserError`."""
    from cnn_jax.inference.image_stream import files_at

    paths = [path for word in words for path in files_at(Path(word))]
    if len(paths) > (most := MOST[kind]):
        advice = f"name {most} at most" if most else "leave them out"
        raise UserError(f"--kind={kind} has no room for {len(paths)} image(s): {advice}")
    return paths


def explain_classes(
    subject: Subject,
    images: np.ndarray,
    names: Sequence[str],
    out: Path,
    stage: str = "",
    top: int = 2,
    guided: bool = False,
) -> None:
    """A row an image uint8 [H, W, C]: its maps for the likeliest classes."""
    import numpy as np

    from cnn_jax.analysis.explanations import grad_cam as cam
    from cnn_jax.analysis.explanations.input_gradients import guided_backpropagation
    from cnn_jax.analysis.explanations.occlusion import occlusion
    from cnn_jax.analysis.explanations.pictures import Panel, draw_panels
    from cnn_jax.analysis.explanations.sanity import as_maps, check
    from cnn_jax.runtime.progress import track

    model, variables, classes = subject.model, subject.variables, subject.classes
    stage = cam.choose_stage(cam.map_shapes(model, images.shape[1:]), stage, subject.net_name)
    seen, probabilities = subject.normalise(images), subject.probabilities(images)
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :top]
    grad_cam = cam.compiled(cam.grad_cam, stage)
    maps = [grad_cam(model, variables, seen, column) for column in order.T]
    maps = [cam.enlarge(values, *images.shape[1:3]) for values in maps]
    rows, notes = [], [f"Grad-CAM at {stage}"]
    named = [*zip(images, names, strict=True)]
    for i, (image, name) in enumerate(track(named, "explaining images")):
        answers = [(classes[c], probabilities[i, c]) for c in order[i]]
        print(f"{printable(name)}: " + ", ".join(f"{printable(c)} {p:.1%}" for c, p in answers))
        row = [Panel(image, shortened(name))]
        for values, (label, share) in zip(maps, answers, strict=True):
            nothing = "" if values[i].max() > 0 else ", nowhere"
            row.append(
                Panel(image, f"Grad-CAM: {shortened(label)} {share:.0%}{nothing}", values[i])
            )
        lost = occlusion(model, variables, seen[i], int(order[i, 0]))
        row.append(Panel(image, f"occluded: {shortened(answers[0][0])}", lost))
        rows.append(row)
    if guided:
        first = order[:, 0]
        method = cam.compiled(guided_backpropagation)
        values = as_maps(method(model, variables, seen, first))
        for image, row, value in zip(images, rows, values, strict=True):
            row.append(Panel(np.zeros_like(image), "guided backpropagation", value))
        for label, function in (("Grad-CAM", grad_cam), ("guided backpropagation", method)):
            verdict = check(function, model, variables, seen, first).verdict
            notes.append(f"sanity check, {label}: {verdict}")
            print(notes[-1])
    draw_panels(rows, out, notes)


def shortened(name: str, most: int = 22) -> str:
    return name if len(name) <= most else f"...{name[3 - most :]}"


def explain_filters(subject: Subject, out: Path) -> None:
    """The first convolution's kernels."""
    from cnn_jax.analysis.explanations.patches import first_filters
    from cnn_jax.analysis.explanations.pictures import draw_filters

    kernels = first_filters(subject.model, subject.variables, subject.image_shape)
    size = "x".join(map(str, kernels.shape[:3]))
    draw_filters(kernels, out, f"{subject.title}: {kernels.shape[-1]} filters of {size}")


def explain_maps(subject: Subject, image: np.ndarray, name: str, out: Path) -> None:
    """The maps of one image through the net."""
    from cnn_jax.analysis.explanations.patches import make_maps_of
    from cnn_jax.analysis.explanations.pictures import draw_maps

    stages = subject.map_stages()
    seen = subject.normalise(image[None])
    maps = make_maps_of(subject.model, stages)(subject.variables, seen)
    draw_maps(image, {s: maps[s][0] for s in stages}, out, f"{subject.title}: maps of {name}")


def explain_patches(subject: Subject, out: Path, stage: str, channels: int) -> None:
    """The patches of the split that excite each of a stage's first maps most."""
    from cnn_jax.analysis.explanations import grad_cam as cam
    from cnn_jax.analysis.explanations import patches
    from cnn_jax.analysis.explanations.pictures import draw_patches

    shapes = cam.map_shapes(subject.model, subject.image_shape)
    stage = cam.choose_stage(shapes, stage, subject.net_name)
    best = subject.best_patches(stage)
    windows = patches.windows_of_stage(subject.model, subject.image_shape, stage)
    groups: dict[int, list[Any]] = {}
    for channel in range(min(channels, len(best.values))):
        places = zip(best.images[channel], best.rows[channel], best.columns[channel], strict=True)
        groups[channel] = [
            patches.cut(subject.image(int(n)), windows, (int(y), int(x))) for n, y, x in places
        ]
    what = f"what excites the maps of {stage} most, of {subject.split}"
    draw_patches(groups, out, f"{subject.title}: {what}")


if __name__ == "__main__":  # flags only here, so that the tools can be imported side by side
    CONFIG = cli.define_config()
    WORKDIR = flags.DEFINE_string("workdir", None, "A run whose best checkpoint is explained.")
    WEIGHTS = flags.DEFINE_string("weights", None, "A folder of imported weights, with --config.")
    KIND = flags.DEFINE_enum("kind", "classes", [*MOST], "What to show.")
    STAGE = flags.DEFINE_string(
        "stage",
        "",
        "Whose maps, as we, torchvision, timm or the paper call it; default: the last with some.",
    )
    TOP = flags.DEFINE_integer("top", 2, "Classes to explain, the likeliest.", lower_bound=1)
    GUIDED = flags.DEFINE_bool("guided", False, "Guided backpropagation, and the sanity check.")
    CHANNELS = flags.DEFINE_integer("channels", 12, "Maps to find patches of.", lower_bound=1)
    OUT = cli.define_picture("out", "explain.png")
    cli.run(main, operands=sys.maxsize)
