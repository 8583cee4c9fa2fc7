"""The card says how good the model is on which class, and shows names from files as plain text."""

from __future__ import annotations

from lib.fit.card import card_text

REPORT = {
    "data_set": {
        "info": {"name": "a|b", "n_images": 80, "task": "classification", "classes": ["<script>", "hole"]},
        "test_part": "fold 5 of 5: 20 images",
    },
    "warnings": ["RANDOM WEIGHTS, never trained: net"],
    "chosen": {
        "pair": "net × linear",
        "reason": "the best on the folds",
        "validation": {"value": 0.9},
        "members": [
            {"backbone": "net", "head": "linear", "finetuned": False, "weights_licence": "MIT", "weights_source": "here", "parameters": 1234}
        ],
    },
    "test": {
        "metric": "accuracy",
        "value": 0.85,
        "low": 0.7,
        "high": 1.0,
        "n_test": 20,
        "per_class": {"<script>": {"recall": 0.5, "precision": 1.0, "n": 10}, "hole": {"recall": 1.0, "precision": 0.7, "n": 10}},
        "confusion": [[5, 5], [0, 10]],
        "classes": ["<script>", "hole"],
    },
    "costs": {"parameters": 1234, "model_bytes": 5e6, "latency_ms": 9.5, "seconds": 61.0},
    "commands": ["python scripts/fit.py predict OUT NEW"],
    "versions": {"project_version": "0.1.0", "device": "cpu", "versions": {"torch": "2"}},
}  # fmt: skip


def test_the_card_names_the_weak_class_and_what_it_is_taken_for() -> None:
    card = card_text(REPORT)
    assert "recall 0.50 of 10 test images" in card
    assert "taken for hole: 5 of 10" in card
    assert "**0.850** (95 % 0.700 to 1.000)" in card


def test_licence_random_weights_and_costs_are_told() -> None:
    card = card_text(REPORT)
    assert "| net | linear | no | MIT | here | 1,234 |" in card
    assert "> **RANDOM WEIGHTS, never trained: net**" in card
    assert "5.0 MB, 9.5 ms" in card


def test_names_from_files_are_neither_markup_nor_columns() -> None:
    card = card_text(REPORT)
    assert "<script>" not in card.replace("\\<script\\>", "")
    assert card.startswith("# a\\|b: net × linear")
