"""What a server replies: what the translator says, alone or among others, and in which batches."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from heedful.serve.limits import Limits
from heedful.tasks.decoding_options import DecodingOptions

from .clients import WARM, Paced, serving, until

SENTENCES = ["I love you.", "Where is Tom?", "She has a red car and two dogs.", "Go!", "We do not know what to say."]


def test_a_sentence_and_a_list_are_translated_as_the_translator_does(client, translator):
    one = client.translate(SENTENCES[0])
    assert (one.status, one.json["model"]) == (200, "small")
    expected = [found[0] for found in translator.translate(SENTENCES)]
    several = client.translate(SENTENCES).json["translations"]
    assert [said["text"] for said in several] == [found.text for found in expected]
    assert [said["score"] for said in several] == pytest.approx(
        [found.hypothesis.score for found in expected], abs=1e-5
    )
    assert one.json["translations"] == [pytest.approx(several[0], abs=1e-5)]
    assert set(several[0]) == {"text", "score", "finished"}


def test_n_best_lists_and_alignments_are_those_of_the_translator(client, translator):
    options = {"n_best": 3, "beam": 4, "alignments": True, "length_penalty": 0.9}
    (said,) = client.translate("Where\nis Tom?", **options).json["translations"]
    decoding = translator.recipe.decoding.model_copy(update={"beam": 4, "length_penalty": 0.9})
    (expected,) = translator.translate(["Where is Tom?"], decoding=decoding, nbest=3, need_weights=True)
    assert [one["text"] for one in said["n_best"]] == [one.text for one in expected]
    assert said["n_best"][0] == {key: value for key, value in said.items() if key != "n_best"}
    for one, found in zip(said["n_best"], expected, strict=True):
        assert (one["source_words"], one["words"]) == (found.source.words, found.target.words)
        assert one["tokens"] == found.target.pieces
        assert one["log_probs"] == pytest.approx(found.hypothesis.log_probs, abs=1e-5)
        for row, weights in zip(one["weights"], found.word_weights, strict=True):
            assert row == pytest.approx(weights, abs=1e-5)


def test_requests_that_come_together_are_decoded_together_and_as_if_alone(client):
    asked = [{"text": SENTENCES[place % 5], "beam": 1 + place % 2, "n_best": 1} for place in range(20)]
    alone = [client.ask("/translate", one).json["translations"][0] for one in asked]
    before = client.number("heedful_batch_sentences_count"), client.number("heedful_batch_sentences_sum")
    together = client.together(asked)
    batches = client.number("heedful_batch_sentences_count") - before[0]
    assert client.number("heedful_batch_sentences_sum") - before[1] == 20
    assert 2 <= batches <= 10
    for answer, one in zip(together, alone, strict=True):
        (said,) = answer.json["translations"]
        assert (answer.status, said["text"]) == (200, one["text"])
        assert said["score"] == pytest.approx(one["score"], abs=1e-5)


def test_a_batch_holds_the_oldest_and_what_is_like_it_up_to_its_tokens(translator, monkeypatch):
    paced = Paced(translator)
    monkeypatch.setattr("heedful.serve.batcher.TOKENS_PER_BATCH", 140)
    with serving(paced, Limits(window=0.0)) as client:
        until(lambda: paced.calls == [WARM])
        paced.go.clear()
        threads = [threading.Thread(target=client.translate, args=("first",))]
        threads[0].start()
        until(lambda: len(paced.calls) == 2)
        long = " ".join(["dog"] * 30)
        for text, beam, waiting in (("b", 2, 1), ("c", 1, 2), ("d", 2, 3), (long, 2, 4), ("e", 2, 5), (long, 2, 6)):
            threads.append(threading.Thread(target=client.translate, args=(text,), kwargs={"beam": beam}))
            threads[-1].start()
            until(lambda waiting=waiting: client.number("heedful_queue_sentences") == waiting)
        paced.go.set()
        for thread in threads:
            thread.join(20)
    assert [sorted(one) for one in paced.calls[1:]] == [["first"], ["b", "d", "e"], ["c"], [long, long]]


def test_two_batches_are_decoded_side_by_side_and_one_that_fails_holds_up_none(translator):
    paced = Paced(translator, workers=2)
    with serving(paced, Limits(window=0.0)) as client:
        until(lambda: paced.calls == [WARM])
        paced.go.clear()
        answers = {}

        def ask(text: str, beam: int) -> None:
            answers[text] = client.translate(text, beam=beam)

        threads = [threading.Thread(target=ask, args=one) for one in (("poison", 1), ("Go!", 2), ("Why?", 2))]
        for number, thread in enumerate(threads, start=1):
            thread.start()
            # the third waits until one of two threads is free
            until(lambda number=number: len(paced.calls) + client.number("heedful_queue_sentences") == number + 1)
        assert paced.calls[1:] == [["poison"], ["Go!"]]
        paced.go.set()
        for thread in threads:
            thread.join(20)
        assert {text: answer.status for text, answer in answers.items()} == {"poison": 500, "Go!": 200, "Why?": 200}


def test_what_waits_is_shared_out_among_idle_threads_but_not_into_small_batches(translator):
    paced = Paced(translator, workers=2)
    with serving(paced, Limits(window=0.0)) as client:
        until(lambda: paced.calls == [WARM])
        for size, shares in ((48, [24, 24]), (20, [4, 16]), (150, [22, 64, 64])):
            paced.calls.clear()
            answer = client.translate(["Go!"] * size)
            assert sorted(map(len, paced.calls)) == shares
            assert [said["text"] for said in answer.json["translations"]] == [
                translator.translate(["Go!"])[0][0].text
            ] * size


def test_a_batch_alone_has_all_threads_and_a_new_thread_too(translator):
    paced, seen = Paced(translator, workers=2), []
    paced.before = lambda: seen.append(torch.get_num_threads())
    whole = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with serving(paced, Limits(window=0.0)) as client:
            until(lambda: paced.calls == [WARM])
            client.translate("Go!")
            client.translate(["Go!"] * 128)
            with ThreadPoolExecutor(1) as pool:
                assert pool.submit(torch.get_num_threads).result() == 2
    finally:
        torch.set_num_threads(whole)
    assert seen == [2, 2, 1, 1]


def test_a_seed_draws_the_same_whatever_comes_beside_it(client):
    asked = {"text": SENTENCES, "sample": True, "seed": 7, "n_best": 2}
    alone = client.ask("/translate", asked).json
    beside = client.together([asked, {"text": SENTENCES, "sample": True}, asked])
    assert [beside[0].json, beside[2].json] == [alone, alone]
    assert client.ask("/translate", asked | {"seed": 8}).json != alone


def test_what_fails_fails_alone(translator):
    paced = Paced(translator)
    with serving(paced, Limits(window=0.1)) as client:
        answers = client.together([{"text": text} for text in ("I love you.", "poison", "Go!")])
        assert [answer.status for answer in answers] == [200, 500, 200]
        assert answers[1].json == {"detail": "The server failed with RuntimeError; its log says where."}
        assert client.translate("Go!").status == 200


def test_the_servers_own_options_hold_where_a_request_says_nothing(translator):
    from heedful.serve.app import create_app

    app = create_app(translator, decoding=DecodingOptions(beam=3, max_length=9))
    fields = app.openapi()["components"]["schemas"]["TranslateRequest"]["properties"]
    assert {"text", "n_best", "alignments", "seed", "beam", "top_p", "required"} <= set(fields)
    assert not {"ensemble", "ensemble_mean"} & set(fields)
    assert fields["beam"]["description"].startswith("Hypotheses kept")
