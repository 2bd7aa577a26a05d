"""Where a loaded net looked in an image."""

import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.analysis.explanations import grad_cam
from cnn_jax.errors import UserError
from tests.support.random_net import random_net


@pytest.mark.heavy
def test_an_image_is_explained():
    """Grad-CAM of the named classes, equal to the tool's, as large as the image that was seen."""
    net = random_net("lenet5", 32, classes=8)
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (40, 40, *net.preparation.image_shape[2:]), np.uint8)
    found = net.explain(image, "C3", classes=("h", "e"))
    assert (found.stage, found.classes) == ("c3", ("h", "e"))
    assert found.maps.shape == (2, *found.image.shape[:2])
    twice = jnp.repeat(jnp.asarray(found.image, jnp.float32)[None], 2, 0)
    seen = net.preparation.normalise(twice)
    expected = grad_cam.grad_cam(net.model, net.variables, seen, jnp.array([7, 4]), "c3")
    expected = grad_cam.enlarge(expected, *found.image.shape[:2])
    np.testing.assert_allclose(found.maps, expected, atol=1e-5)
    likeliest = net.predict(image)
    best = net.explain(image)
    assert best.classes == (net.classes[int(likeliest.probabilities[0].argmax())],)
    np.testing.assert_allclose(best.probabilities, likeliest.probabilities[0].max(), rtol=1e-5)
    assert best._repr_html_().count("<img") == 2
    for arguments, words in [
        ((image, "c9"), "stage='c9' is no layer with maps"),
        (([image, image],), "2 were given, and one is explained at a time"),
        ((image, "", ("eight",)), "'eight' is unknown"),
        ((image, "", "h"), "classes='h': a list of names is wanted"),
        ((image, "", 3), "classes=3: a list of names is wanted"),
    ]:
        with pytest.raises(UserError, match=words):
            net.explain(*arguments)
