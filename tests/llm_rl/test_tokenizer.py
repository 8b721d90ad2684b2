import json

import numpy as np
import pytest
import tokenizers
from tokenizers import AddedToken, decoders, models, pre_tokenizers, processors, trainers

from envs.text.parsing import TAGS
from llm_rl.tokenizer import CONFIG, FILE, CharTokenizer, FileTokenizer, load_tokenizer

ALPHABET = "0123456789+-*/=() \nabcxyz<>thinkanswer/é中\U0001f600"
SAID = "<think>478+356=\n4+3=7</think><answer>834</answer>"


def texts(n, seed=0):
    """Random texts of the alphabet, tags and pieces of tags among them."""
    rng = np.random.default_rng(seed)
    parts = [*ALPHABET, *TAGS, "<", "><", "<<", "/>", "<a"]
    return ["".join(rng.choice(parts, rng.integers(0, 30))) for _ in range(n)]


# -- a token a character -----------------------------------------------------------------------------------


def test_ids_are_pad_bos_eos_the_tags_and_the_characters_in_order():
    tokenizer = CharTokenizer("cab21cab")
    assert (tokenizer.pad, tokenizer.bos, tokenizer.eos) == (0, 1, 2)
    assert tokenizer.encode("".join(TAGS)).tolist() == [*range(3, 3 + len(TAGS))]
    assert tokenizer.encode("12abc").tolist() == [*range(3 + len(TAGS), 8 + len(TAGS))]
    assert tokenizer.size == 8 + len(TAGS)
    assert tokenizer.pieces() == ["", "", "", *TAGS, *"12abc"]


def test_each_digit_is_a_token_and_a_tag_is_one():
    tokenizer = CharTokenizer(ALPHABET)
    assert len(tokenizer.encode("1234567")) == 7
    assert len(tokenizer.encode(SAID)) == 4 + len("478+356=\n4+3=7834")


def test_texts_come_back_exactly():
    tokenizer, many = CharTokenizer(ALPHABET), texts(300)
    rows = tokenizer.encode_batch(many)
    assert [tokenizer.decode(row) for row in rows] == many
    assert all(row.min(initial=3) >= 3 for row in rows)
    lengths = np.array([len(row) for row in rows])
    tokens = np.full((300, lengths.max() + 2), tokenizer.encode("a")[0])  # past the ends stands anything
    for row, own in zip(tokens, rows):
        row[: len(own)] = own
    assert tokenizer.decode_batch(tokens, lengths) == many


def test_a_batch_is_encoded_as_each_alone():
    tokenizer = CharTokenizer(ALPHABET)
    many = [*texts(100), "<think", ">", "</answ", "er>", "", ""]  # no tag is made of two texts
    for row, text in zip(tokenizer.encode_batch(many), many, strict=True):
        np.testing.assert_array_equal(row, tokenizer.encode(text))
    assert tokenizer.encode_batch([]) == []
    assert tokenizer.encode("").tolist() == []


def test_a_character_that_is_not_there_is_named():
    tokenizer = CharTokenizer("0123+")
    for text in ("12x3", "x", "<think>x"):
        with pytest.raises(ValueError, match="the character 'x' is not in the vocabulary; it has: '\\+0123'"):
            tokenizer.encode(text)
    with pytest.raises(ValueError, match="'<'"):
        tokenizer.encode("<thin")
    for code in range(0x400):  # among them those that stand for tags on the way
        if chr(code) not in "0123+":
            with pytest.raises(ValueError, match="is not in the vocabulary"):
                tokenizer.encode_batch(["1", "2" + chr(code)])
    with pytest.raises(ValueError, match="is not in the vocabulary"):
        tokenizer.encode("\ud800")


def test_no_text_spells_the_tokens_of_padding_and_of_ends():
    tokenizer = CharTokenizer("<pad>bose/")
    ids = tokenizer.encode("<pad><bos><eos>")
    assert len(ids) == 15
    assert tokenizer.decode(ids) == "<pad><bos><eos>"


def test_any_ids_can_be_decoded():
    tokenizer, rng = CharTokenizer("01"), np.random.default_rng(0)
    for _ in range(50):
        assert isinstance(tokenizer.decode(rng.integers(-50, 50, 20)), str)
    first, second = tokenizer.encode("01")
    assert tokenizer.decode([0, first, 2, 1, second, 2]) == "01"
    assert tokenizer.decode([first, -1, 99, 2**40, second]) == "0\ufffd\ufffd\ufffd1"
    assert tokenizer.decode([]) == ""


def test_a_task_that_needs_other_characters_is_told_so():
    tokenizer = CharTokenizer("0123+")
    tokenizer.require("0+", "text/ChainSum-v0")
    with pytest.raises(ValueError, match=r"text/Sorting-v0 needs characters .* vocabulary lacks: 'ab'"):
        tokenizer.require("a0b+", "text/Sorting-v0")


def test_what_is_saved_is_what_the_library_reads(tmp_path):
    tokenizer, many = CharTokenizer(ALPHABET), texts(100, seed=1)
    tokenizer.save(tmp_path)
    theirs = tokenizers.Tokenizer.from_file(str(tmp_path / FILE))
    for text, row in zip(many, tokenizer.encode_batch(many)):
        assert theirs.encode(text).ids == [tokenizer.bos, *row]  # as the model reads it
        found = theirs.encode(text, add_special_tokens=False)
        assert found.ids == row.tolist()
        assert theirs.decode(found.ids) == text
    with pytest.raises(Exception, match="UNK"):
        theirs.encode("Q")


def test_a_saved_one_is_loaded_as_what_it_was(tmp_path):
    tokenizer = CharTokenizer(ALPHABET)
    tokenizer.save(tmp_path)
    again, by_file = load_tokenizer(tmp_path), FileTokenizer(tmp_path)
    assert isinstance(again, CharTokenizer)
    for other in (again, by_file):
        assert (other.size, other.pad, other.bos, other.ends) == (tokenizer.size, 0, 1, (2,))
        assert other.pieces() == tokenizer.pieces()
        np.testing.assert_array_equal(other.encode(SAID), tokenizer.encode(SAID))
        assert other.decode([1, *tokenizer.encode(SAID), 2]) == SAID
    with pytest.raises(ValueError, match="characters that are not in the vocabulary"):
        by_file.encode("Q")


# -- files -------------------------------------------------------------------------------------------------


def pieces_of_bytes(folder, config=None, **others):
    """A tokenizer of byte pairs in a folder, as Llama 3 and Qwen have, with `config` beside it."""
    made = tokenizers.Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=275,
        show_progress=False,
        special_tokens=["<|end|>", "<|turn|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    made.train_from_iterator(["one and one are two, the other one"] * 5, trainer)
    made.save(str(folder / FILE))
    for name, content in {CONFIG: config, **others}.items():
        if content is not None:
            (folder / name.replace("_json", ".json")).write_text(json.dumps(content))
    return made


def test_a_file_of_byte_pairs(tmp_path):
    made = pieces_of_bytes(tmp_path, {"eos_token": {"content": "<|end|>"}, "bos_token": "<|turn|>"})
    tokenizer = load_tokenizer(tmp_path)
    assert isinstance(tokenizer, FileTokenizer)
    assert (tokenizer.size, tokenizer.ends, tokenizer.bos) == (275, (0,), 1)
    for text in ("one and two", "thé 中 \U0001f600", " the\n", ""):
        ids = tokenizer.encode(text)
        assert ids.tolist() == made.encode(text).ids
        assert tokenizer.decode([1, *ids, 0, 5000, -3, 2**40]) == text
    assert len(tokenizer.encode(" one")) == 1
    pieces = tokenizer.pieces()
    assert pieces[tokenizer.encode(" one")[0]] == " one"
    assert pieces[0] == pieces[1] == ""
    tokenizer.require("aé中", "anything")
    (tmp_path / "copy").mkdir()
    tokenizer.save(tmp_path / "copy")
    again = load_tokenizer(tmp_path / "copy")
    assert (again.ends, again.bos) == ((0,), 1)
    np.testing.assert_array_equal(again.encode("one and two"), tokenizer.encode("one and two"))


def adds(begin, end):
    """A template with these tokens around every text."""
    named = [name for name in ("<|end|>", "<|turn|>") if name in (begin, end)]
    single = [name for name in (begin, "$A", end) if name]
    ids = {"<|end|>": 0, "<|turn|>": 1}
    return processors.TemplateProcessing(
        single=single, pair=[*single, "$B"], special_tokens=[(name, ids[name]) for name in named]
    )


@pytest.mark.parametrize("bos", [None, "<|turn|>"])
@pytest.mark.parametrize(
    "added", [(None, None), ("<|turn|>", None), (None, "<|end|>"), ("<|turn|>", "<|end|>")]
)
def test_the_usual_call_of_a_saved_file_gives_what_is_read_here(bos, added, tmp_path):
    made = pieces_of_bytes(tmp_path, {"eos_token": "<|end|>", "bos_token": bos})
    made.post_processor = adds(*added) if any(added) else processors.ByteLevel()
    made.save(str(tmp_path / FILE))
    tokenizer = load_tokenizer(tmp_path)
    (tmp_path / "copy").mkdir()
    tokenizer.save(tmp_path / "copy")
    begin = [] if bos is None else [1]
    theirs = tokenizers.Tokenizer.from_file(str(tmp_path / "copy" / FILE))
    assert theirs.encode(" one and two").ids == [*begin, *tokenizer.encode(" one and two")]
    as_it_was = (tmp_path / "copy" / FILE).read_text() == (tmp_path / FILE).read_text()
    assert as_it_was == (added == (bos, None))
    again = load_tokenizer(tmp_path / "copy")
    np.testing.assert_array_equal(again.encode(" one and two"), tokenizer.encode(" one and two"))


def test_ends_are_gathered_from_all_that_name_them(tmp_path):
    pieces_of_bytes(tmp_path, {"eos_token": "<|turn|>"}, generation_config_json={"eos_token_id": [0, 1, 999]})
    assert load_tokenizer(tmp_path).ends == (1, 0)
    (tmp_path / CONFIG).unlink()
    tokenizer = load_tokenizer(tmp_path)
    assert tokenizer.ends == (0, 1)
    (tmp_path / "copy").mkdir()
    tokenizer.save(tmp_path / "copy")
    assert load_tokenizer(tmp_path / "copy").ends == (0,)


def test_padding_is_never_an_end(tmp_path):
    pieces_of_bytes(tmp_path, {"eos_token": "<|end|>", "pad_token": "<|end|>"})
    tokenizer = load_tokenizer(tmp_path)
    assert tokenizer.pad not in tokenizer.ends
    for i in range(2, tokenizer.size):  # a token that stands in for padding still has its text
        assert tokenizer.decode([i]) or tokenizer.pieces()[i]


@pytest.mark.parametrize("config", [None, {}, {"eos_token": None}, {"eos_token": "<|nobody|>"}])
def test_a_tokenizer_without_an_end_is_refused(config, tmp_path):
    pieces_of_bytes(tmp_path, config)
    with pytest.raises(ValueError, match=f"{tmp_path}: the tokenizer has no token that ends a text"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "damaged"),
        ("[1]", "not a JSON object"),
        ('{"model": {"type": "Nonsense"}}', "not a tokenizer"),
        (None, "is missing"),
    ],
)
def test_a_damaged_file_is_named(content, words, tmp_path):
    if content is not None:
        (tmp_path / FILE).write_text(content)
    with pytest.raises(ValueError, match=f"{FILE}.*{words}"):
        load_tokenizer(tmp_path)


def test_a_character_without_a_token_is_refused_where_a_file_has_a_token_for_the_unknown(tmp_path):
    made = tokenizers.Tokenizer(
        models.WordLevel({"<unk>": 0, "<end>": 1, "a": 2, "bb": 3}, unk_token="<unk>")
    )
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.add_special_tokens([AddedToken("<end>", special=True)])
    made.save(str(tmp_path / FILE))
    (tmp_path / CONFIG).write_text(json.dumps({"eos_token": "<end>", "unk_token": "<unk>"}))
    tokenizer = load_tokenizer(tmp_path)
    assert tokenizer.encode("a bb").tolist() == [2, 3]
    with pytest.raises(ValueError, match="characters that are not in the vocabulary"):
        tokenizer.encode("a c")
    with pytest.raises(ValueError, match="lacks: 'c'"):
        tokenizer.require("ac", "the task")
