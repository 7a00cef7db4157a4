"""What the demo compares of two versions of a model, and how it goes on from an earlier demo."""

import json
import math
from pathlib import Path

import pytest
import yaml
from examples.demo.shell import DemoError
from examples.demo.swap import (
    EMBEDDINGS,
    MEANING,
    Embedding,
    compare,
    cosine,
    embedding_in,
    other_version,
    policies,
)
from hypothesis import assume, given
from hypothesis import strategies as st

MODEL = Path(__file__).parents[3] / "examples" / "model.yaml"
NUMBERS = st.floats(min_value=-1, max_value=1, width=32)


def embedding(by: str, *vector: float) -> Embedding:
    return Embedding(by=by, vector=vector)


def test_an_answer_has_a_vector_and_the_version_it_is_from():
    answer = {"object": "list", "data": [{"embedding": [0.6, 0.8]}], "version": "int8"}

    assert embedding_in(json.dumps(answer)) == embedding("int8", 0.6, 0.8)


def test_of_a_vector_only_the_first_numbers_are_shown():
    shown = str(embedding("int8", *[0.25] * 384))

    assert shown == "int8 answers with 384 numbers: 0.2500, 0.2500, 0.2500, 0.2500, …"


@pytest.mark.parametrize(
    ("other", "similarity"), [((2, 0), 1), ((0, 3), 0), ((-1, 0), -1), ((1, 1), math.sqrt(0.5))]
)
def test_the_similarity_is_the_cosine_of_the_angle(other, similarity):
    assert cosine((1, 0), other) == pytest.approx(similarity)


@given(vector=st.lists(NUMBERS, min_size=2, max_size=8), length=st.floats(0.1, 10))
def test_the_similarity_knows_nothing_of_lengths(vector, length):
    assume(math.hypot(*vector) > 1e-3)

    assert cosine(vector, [length * number for number in vector]) == pytest.approx(1)


def test_vectors_that_point_nearly_the_same_way_are_those_of_two_versions():
    before, after = embedding("float32", 1, 0), embedding("int8", 1, 0.01)

    assert compare(before, after, old="float32", new="int8") == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (embedding("float32", 1, 0.01), "float32 and float32 have answered"),
        (embedding("int8", 1, 0, 0), "2 numbers have become 3"),
        (embedding("int8", 1, 0), "give the same vector"),
        (embedding("int8", 0.6, 0.8), "cosine similarity is 0.6000, less than 0.99"),
    ],
    ids=["the-old-one-answers", "another-size", "the-same-model", "another-meaning"],
)
def test_what_another_version_of_the_same_model_would_not_say_ends_the_demo(after, said):
    with pytest.raises(DemoError, match=said):
        compare(embedding("float32", 1, 0), after, old="float32", new="int8")


def test_the_demo_swaps_to_the_version_that_does_not_serve():
    names = ["float32", "int8"]

    assert [other_version(names, serving) for serving in names] == ["int8", "float32"]


def test_a_model_without_another_version_ends_the_demo():
    with pytest.raises(DemoError, match="no other version than float32"):
        other_version(["float32"], "float32")


@pytest.mark.parametrize("swaps", ["", '[{"from": "float32", "to": "float16"}]'])
def test_a_version_that_never_served_takes_its_steps_by_itself(swaps):
    assert policies("int8", swaps) == ({}, {})


@pytest.mark.parametrize("swaps", ['[{"to": "int8"}]', '[{"from": "int8", "to": "float32"}]'])
def test_one_that_served_is_told_to_take_them_and_the_way_back_is_not(swaps):
    steps, no_steps = policies("int8", swaps)

    assert steps == {"upgradePolicy": {"rollbackWindow": 0}}
    assert no_steps == {"upgradePolicy": {"rollbackWindow": None}}


def test_the_model_of_the_demo_can_answer_and_be_gone_back_to():
    spec = yaml.safe_load(MODEL.read_text(encoding="utf-8"))["spec"]

    assert MEANING.path == spec["warmUp"]["path"]
    assert spec["keepWarm"] is True


def test_each_step_of_the_demo_sees_as_many_requests_as_it_has_to():
    policy = yaml.safe_load(MODEL.read_text(encoding="utf-8"))["spec"]["upgradePolicy"]

    for step in policy["canary"]["steps"]:
        seen = EMBEDDINGS.rate * step["weight"] / 100 * step["pause"]["seconds"]
        assert seen >= policy["analysis"]["minimumRequests"]
