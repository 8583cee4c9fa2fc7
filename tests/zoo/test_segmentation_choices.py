"""What is chosen on validation: thresholds, smallest areas, and what a cascade lets through."""

import itertools

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from lib.errors import CvAutomlError
from lib.zoo.heads import HEADS
from lib.zoo.jobs import Standardisation
from lib.zoo.segmentation import cascade
from lib.zoo.segmentation.cascade import Switches
from lib.zoo.segmentation.post_processing import AREAS, THRESHOLDS, PostProcessing, best_post_processing
from tests.zoo.test_segmentation import job, made_up_set


def kaggle_dice(predicted, target):
    """The competition's own formula, image by image."""
    scores = [
        1.0 if not p.any() and not t.any() else 2 * (p & t).sum() / (p.sum() + t.sum())
        for p, t in zip(predicted, target, strict=True)
    ]
    return np.array(scores)


def noisy_answers(n=20, seed=0):
    generator = np.random.default_rng(seed)
    truth = np.zeros((n, 2, 20, 20), bool)
    truth[: n // 2, 0, 5:15, 5:15] = truth[n // 4 : n // 2, 1, :3, :4] = True
    noise = generator.random(truth.shape)
    probabilities = 0.6 * truth + 0.4 * noise
    probabilities[:, 1, 10, 10] = 0.95  # a false alarm of one pixel in every image
    return torch.tensor(probabilities, dtype=torch.float32), torch.tensor(truth)


@pytest.mark.parametrize("aim", ["dice", "defect_dice", "both"])
def test_threshold_and_area_are_the_best_of_the_whole_grid_for_each_class(aim):
    probabilities, truth = noisy_answers()
    found = best_post_processing(
        [(probabilities[:7], truth[:7]), (probabilities[7:], truth[7:])], 2, 0.5, aim
    )
    for k in range(2):
        target, present = truth[:, k].numpy(), truth[:, k].any(dim=(1, 2)).numpy()

        def score(threshold, area, k=k, target=target, present=present):
            masks = (probabilities[:, k] >= threshold).numpy()
            masks = masks & (masks.mean(axis=(1, 2)) >= area)[:, None, None]
            dice = kaggle_dice(masks, target)
            both = (dice.mean() + dice[present].mean()) / 2
            return {"dice": dice.mean(), "defect_dice": dice[present].mean(), "both": both}[aim]

        best = max(score(*point) for point in itertools.product(THRESHOLDS, AREAS))
        assert score(float(found.thresholds[k]), float(found.areas[k])) == pytest.approx(best)
    if aim == "both":
        assert found.areas[1] > 1 / 400, "the false alarm is emptied, the defect is not"


def test_where_nothing_can_be_chosen_the_plain_threshold_stays():
    for answers in ([], [(torch.rand(3, 1, 4, 4).round(), torch.zeros(3, 1, 4, 4, dtype=torch.bool))][:0]):
        assert best_post_processing(answers, 1, 0.3).chosen(["a"]) == {
            "threshold:a": 0.3,
            "smallest_area:a": 0,
        }
    perfect = torch.zeros(2, 1, 4, 4)
    perfect[0, :, :2] = 1
    assert best_post_processing([(perfect, perfect.bool())], 1, 0.4).thresholds.tolist() == pytest.approx(
        [0.4]
    )


def test_small_masks_are_emptied_class_by_class():
    probabilities = torch.zeros(1, 2, 10, 10)
    probabilities[0, :, 0, :5] = 0.7
    post = PostProcessing(torch.tensor([0.5, 0.5]), torch.tensor([0.05, 0.06]))
    assert post.masks(probabilities).sum(dim=(2, 3)).tolist() == [[5, 0]]
    assert not PostProcessing(torch.tensor([0.8, 0.8]), torch.zeros(2)).masks(probabilities).any()


def test_stages_of_a_cascade_are_scikit_learns_logistic_regressions():
    generator = np.random.default_rng(1)
    features = torch.tensor(generator.normal(size=(60, 5)), dtype=torch.float32)
    present = torch.tensor(generator.random((60, 2)) < 0.4)
    present[:, 1] = False
    switches = Switches(5, 2)
    switches.fit(features, present)
    scaled = Standardisation.of(features.numpy())(features.numpy())
    truth = present.any(dim=1).numpy()
    expected = LogisticRegression(C=cascade.PENALTY_C).fit(scaled, truth).predict_proba(scaled)[:, 1]
    scores = switches.scores(features).detach()
    np.testing.assert_allclose(scores[:, 0], expected, atol=1e-4)
    assert scores[:, 2].max() < 1e-3, "a kind that nobody has is never answered"


def test_a_cascade_switches_off_what_its_gate_is_sure_about():
    present = torch.tensor([[True], [True], [False], [False]])
    dice = torch.tensor(
        [[0.8], [0.7], [0.0], [0.0]], dtype=torch.float64
    )  # false alarms in both clean images
    scores = torch.tensor([[0.9, 0.9], [0.6, 0.9], [0.15, 0.9], [0.25, 0.9]])
    switches = Switches(3, 1)
    switches.choose(scores, dice, present, "dice")
    assert switches.on(scores).tolist() == present.tolist() and 0.25 < float(switches.gate) <= 0.6
    useless = torch.full((4, 2), 0.5)
    switches.choose(useless, torch.ones(4, 1, dtype=torch.float64), present, "dice")
    assert switches.chosen(("a",)) == {"gate": 0.0, "kind:a": 0.0}


def test_cascade_trains_and_its_kept_network_answers_as_it_did(unpretrained):
    given = job(unpretrained, made_up_set(n=40), epochs=3, learning_rate=5e-3)
    head = HEADS["cascade"]()
    result, single = head.train(given), HEADS["deeplabv3plus"]().train(given)
    assert {"gate", "kind:bright", "threshold:dark", "smallest_area:dark"} <= set(result.chosen)
    assert result.parameters > single.parameters and result.training_s > 0
    again = head.network(given.backbone, given.recipe, 2)
    again.load_state_dict(result.network().state_dict())
    images = np.stack([given.data_set.read_image(i) for i in range(3)])
    spec = given.backbone.input
    pixels = (torch.tensor(images / 255.0) - torch.tensor(spec.mean)) / torch.tensor(spec.std)
    with torch.no_grad():
        answered = again.eval()(pixels.movedim(-1, 1).float()).numpy()
    np.testing.assert_allclose(answered, result.predict(images), atol=0.02)  # maps are kept in half precision
    with pytest.raises(CvAutomlError, match="whole images"):
        head.train(job(unpretrained, options={"input": "tiles"}))
