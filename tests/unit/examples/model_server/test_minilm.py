"""The real model: its vectors are those of the reference, and stay so in fewer bits."""

import numpy as np
import pytest
from model_server.minilm import MiniLM, _gelu
from model_server.precision import PRECISIONS, Stored

WEATHER = "The weather is lovely today."
SUN = "It's so sunny outside!"
STADIUM = "He drove to the stadium."
SENTENCES = [WEATHER, SUN, STADIUM, "This is an example sentence", "Each sentence is converted"]


@pytest.fixture(scope="module", params=PRECISIONS)
def any_model(request) -> MiniLM:
    return MiniLM.load(precision=request.param)


@pytest.fixture(scope="module")
def model() -> MiniLM:
    return MiniLM.load(precision="float32")


def vectors(model: MiniLM, *texts: str):
    return np.array([np.array(vector) for vector in model.encode(texts).vectors])


def test_similarities_are_those_that_the_library_of_the_model_documents(model):
    """See the quickstart of sentence-transformers, which runs this model on these sentences."""
    found = vectors(model, WEATHER, SUN, STADIUM)

    similarity = found @ found.T

    assert similarity[np.triu_indices(3, 1)] == pytest.approx([0.6660, 0.1046, 0.1411], abs=1e-4)


def test_a_vector_has_384_numbers_and_length_1(any_model):
    found = vectors(any_model, *SENTENCES)

    assert found.shape == (len(SENTENCES), 384)
    assert np.linalg.norm(found, axis=1) == pytest.approx(1, abs=1e-5)


def test_alike_sentences_are_nearer_than_others(any_model):
    weather, sun, stadium = vectors(any_model, WEATHER, SUN, STADIUM)

    assert weather @ sun > weather @ stadium + 0.4


def test_fewer_bits_give_nearly_the_same_vector(model, any_model):
    """What a swap to another precision promises to its users."""
    cosine = (vectors(model, *SENTENCES) * vectors(any_model, *SENTENCES)).sum(axis=1)

    assert cosine.min() > 0.99


def test_a_vector_does_not_depend_on_longer_neighbours_nor_on_the_batch(model):
    texts = [SENTENCES[number % 5] * (number % 3 + 1) for number in range(10)]

    together = vectors(model, *texts)
    alone = np.vstack([vectors(model, text) for text in texts])

    assert together == pytest.approx(alone, abs=1e-5)


def test_what_is_beyond_256_tokens_is_not_read(model):
    found = model.encode(["word " * 300, "word " * 254 + "storm " * 100])
    shorter = vectors(model, "word " * 253)

    first, second = (np.array(vector) for vector in found.vectors)
    assert found.tokens == 2 * 256
    assert first == pytest.approx(second, abs=1e-6)
    assert first @ shorter[0] < 1 - 1e-6


def test_the_tokens_of_a_text_include_its_two_marks(model):
    assert model.encode(["hello world"]).tokens == 4


def test_int8_is_off_by_half_a_step_of_its_row_at_most():
    matrix = np.random.default_rng(7).normal(size=(20, 30)).astype(np.float32)
    matrix[3] = 0

    off = np.abs(Stored.of(matrix, precision="int8").whole() - matrix)

    assert (off <= np.abs(matrix).max(axis=1, keepdims=True) / 254 + 1e-6).all()


@pytest.mark.parametrize("precision", PRECISIONS)
def test_rows_are_those_of_the_whole(precision):
    matrix = np.random.default_rng(7).normal(size=(20, 30)).astype(np.float32)
    stored = Stored.of(matrix, precision=precision)
    numbers = np.array([[3, 0], [19, 3]])

    assert (stored.rows(numbers) == stored.whole()[numbers]).all()


def test_gelu_takes_its_known_values():
    inputs = np.array([-3, -1, 0, 1, 3], dtype=np.float32)

    known = [-0.0040496, -0.1586553, 0, 0.8413447, 2.9959504]
    assert _gelu(inputs) == pytest.approx(known, abs=1e-6)
