"""Metrics against counts made by hand and against scikit-learn's words for the same thing."""

from __future__ import annotations

import math

import numpy as np
import pytest

from npnn.train.metrics import accuracy, class_accuracy, confusion_matrix, top_k_accuracy

SCORES = np.array([[2.0, 1.0, 0.0], [0.0, 3.0, 1.0], [5.0, 4.0, 3.0], [0.0, 1.0, 2.0]], np.float32)
LABELS = np.array([0, 1, 2, 2])


def test_accuracy_counts_right_rows():
    assert accuracy(SCORES, LABELS) == 0.75
    assert type(accuracy(SCORES, LABELS)) is float


def test_confusion_matrix_has_right_classes_in_rows():
    expected = [[1, 0, 0], [0, 1, 0], [1, 0, 1]]
    assert confusion_matrix(SCORES, LABELS).tolist() == expected


def test_class_accuracy_is_recall_and_nan_for_an_absent_class():
    np.testing.assert_array_equal(class_accuracy(SCORES, LABELS), [1.0, 1.0, 0.5])
    np.testing.assert_array_equal(class_accuracy(SCORES[:2], LABELS[:2]), [1.0, 1.0, np.nan])


@pytest.mark.parametrize(("k", "expected"), [(1, 0.75), (2, 0.75), (3, 1.0)])
def test_top_k(k, expected):
    assert top_k_accuracy(SCORES, LABELS, k=k) == expected


def test_equal_scores_are_not_a_right_answer():
    assert top_k_accuracy(np.zeros((4, 10)), np.arange(4), k=5) == 0.0
    assert top_k_accuracy(np.full((4, 10), np.nan), np.arange(4), k=10) == 0.0


@pytest.mark.parametrize("k", [0, 4])
def test_top_k_refuses_a_k_that_means_nothing(k):
    with pytest.raises(ValueError, match="k must be between 1 and the number of classes"):
        top_k_accuracy(SCORES, LABELS, k=k)


@pytest.mark.parametrize("shape", [(6,), (6, 1)])
def test_one_logit_per_question(shape):
    logits = np.array([-2.0, -0.1, 0.1, 2.0, 3.0, -1.0]).reshape(shape)
    answers = np.array([0.0, 1.0, 1.0, 1.0, 0.0, 0.0]).reshape(shape)
    assert accuracy(logits, answers) == pytest.approx(4 / 6)
    assert confusion_matrix(logits, answers).tolist() == [[2, 1], [1, 2]]


def test_rows_of_probabilities_as_targets():
    assert accuracy(SCORES, np.eye(3, dtype=np.float32)[LABELS]) == 0.75


def test_a_label_per_time_step():
    scores = np.stack([SCORES, SCORES[::-1]], axis=2)  # (N, C, T)
    labels = np.stack([LABELS, LABELS], axis=1)  # (N, T)
    assert accuracy(scores, labels) == 3 / 8
    assert confusion_matrix(scores, labels).sum() == 8
    assert top_k_accuracy(scores, labels, k=3) == 1.0


def test_no_examples():
    assert math.isnan(accuracy(np.zeros((0, 3)), np.zeros(0, int)))
    assert math.isnan(top_k_accuracy(np.zeros((0, 3)), np.zeros(0, int), k=1))
    assert confusion_matrix(np.zeros((0, 3)), np.zeros(0, int)).tolist() == np.zeros((3, 3), int).tolist()


@pytest.mark.parametrize("labels", [np.zeros(3, int), np.zeros((4, 2), int), np.zeros((4, 1), int)])
def test_shapes_that_do_not_belong_together(labels):
    with pytest.raises(ValueError, match=r"expected outputs of shape \(N, classes, ...\)"):
        accuracy(SCORES, labels)


def test_one_column_against_plain_labels_is_no_answer():
    with pytest.raises(ValueError, match="two classes or more"):
        accuracy(np.zeros((4, 1)), LABELS)


@pytest.mark.parametrize("bad", [-1, 3])
def test_a_class_that_does_not_exist(bad):
    with pytest.raises(IndexError, match=r"targets must lie in 0..2"):
        confusion_matrix(SCORES, np.array([0, 1, 2, bad]))


def test_against_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    scores, labels = rng.standard_normal((500, 7)), rng.integers(0, 7, 500)
    predicted = scores.argmax(1)
    np.testing.assert_array_equal(confusion_matrix(scores, labels), metrics.confusion_matrix(labels, predicted))
    np.testing.assert_allclose(class_accuracy(scores, labels), metrics.recall_score(labels, predicted, average=None))
    for k in range(1, 7):
        expected = metrics.top_k_accuracy_score(labels, scores, k=k)
        assert top_k_accuracy(scores, labels, k=k) == pytest.approx(expected)
