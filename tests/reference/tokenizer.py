"""Writes tests/goldens/tokenizer: small tokenizers, the ids that the `tokenizers` library gives for many texts, and cleaned prompts.

    python tests/reference/tokenizer.py [umt5_tokenizer.json]

With the real UMT5 tokenizer as argument its ids are written too (the tokenizer itself is too large to be kept).
Needs ftfy 6.3.1, sentencepiece 0.2.3, tokenizers 0.23.3, transformers 5.23.0, diffusers 0.42.1.
"""

import json
import sys
import tempfile
from pathlib import Path

import sentencepiece
from diffusers.pipelines.wan.pipeline_wan_animate import prompt_clean
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import T5Tokenizer

FOLDER = Path(__file__).parent.parent / "goldens" / "tokenizer"

PHRASES = """
视频中的人在做动作
色调艳丽，过曝，静态，细节模糊不清，字幕，风格，作品，画作，画面，静止，整体发灰，最差质量，低质量
A woman in a red dress walks along the beach at sunset, cinematic lighting, 4k
The quick brown fox jumps over the lazy dog.
Ein Mann läuft über die Straße und grüßt freundlich
Une élève déçue regarde l'œuvre d'art à côté du château
El niño pequeño corre detrás del perro, ¡qué alegría!
Человек идёт по улице и улыбается прохожим
Ο άνθρωπος περπατάει στον δρόμο
人が道を歩いている。カメラはゆっくり動く
한 남자가 길을 걷고 있다
رجل يمشي في الشارع
אדם הולך ברחוב
एक आदमी सड़क पर चल रहा है
ชายคนหนึ่งเดินอยู่บนถนน
Một người đàn ông đi bộ trên đường phố
Człowiek idzie ulicą, żółć, gęślą jaźń
Adam sokakta yürüyor, ığüşöç İ
மனிதன் தெருவில் நடக்கிறான்
კაცი ქუჩაში მიდის
1234567890 3.14159 1,000,000 50% $19.99 €20 £5 ±0.5 ½
snake_case camelCase kebab-case https://example.com/a?b=c&d=e user@example.com
(masterpiece:1.2), [best quality], {detailed}, <lora:foo:0.8>
👍 😀 👩‍👩‍👧‍👦 🇩🇪 🏳️‍🌈 ❤️ ✨ emoji
ℌello ①②③ ﬁne ﬂow ｆｕｌｌ　ｗｉｄｔｈ ㌔ ㎏ Ⅳ
e\u0301 o\u0308 x\u030c a\u0323\u0302 combining
""".strip().splitlines()

ODD = [
    "", " ", "  ", "a", "▁", "▁▁", " ▁ ", "▁a", "a▁b", "a ▁ b", " a", "a ", "  a  b  ", "a\tb", "a\nb", "a\r\nb", "\u00a0a\u00a0b", "\u3000a\u3000",
    "</s>", "<pad>", "<unk>", "<s>", "a</s>b", "a </s> b", " </s> ", "</s></s>", "<extra_id_0>", "<extra_id_99>", "x<extra_id_7>y", "< /s>", "<extra_id_100>",
    "<", "</", "<extra", "\u200b", "a\u200bb", "\ufeffa", "\u0000", "a\u0000b", "\u0301", "\u0301a", "\U0010ffff", "\ue000\ue001", "𠀀𠀁𠀂", "ꙮ", "𒀀 𒀁", "𓀀",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "....................", "!!!???", "- - - -", "--------", "==", "\\n", "'\"`´",
    "A", "AB", "Ab", "aB", "É", "ß", "ẞ", "İ", "ŉ", "ſ", "µ", "Å", "ﬀ", "ｱｲｳ", "㍿", "…", "“quoted”", "‘single’", "«guillemets»", "–—", "•", "™", "©®",
]

MIXED = [f"{a} {b}" for a, b in zip(PHRASES, PHRASES[7:])] + [a[::-1] for a in PHRASES] + [a.replace(" ", "  ") for a in PHRASES[2:12]]
LONG = ["word " * 700, "视频中的人在做动作" * 200, "</s>" * 520, "a</s> b " * 300, "\ue000" * 600 + " end", "x" * 3000]
TEXTS = ODD + PHRASES + MIXED

RAW = PHRASES + ODD + [
    "“Curly” ‘quotes’ don’t", "  many   spaces\n\nand\tlines \u2028 here \u2029 there\x85now", "&lt;b&gt; &amp;amp; &quot;x&quot; &hellip; &eacute;&EACUTE; &NTILDE;",
    "this&not that &notin; &copy &copy; &copyx &nbsp;x &#39; &#x27; &#X41; &#0; &#128; &#150; &#xD800; &#x110000; &#99999999999; &#1; &#xfdd0; &#x1fffe;",
    "&#59; &#x3b;quot; &amp;lt; &amp;amp;lt;", "&; &# &#; &#x; &#xg; &a; &unknown; && &&amp;", "<b>&lt;</b> &eacute;", "a &lt; b\n<i> &eacute;\n&eacute;", "&ampamp; &AMP &LT&GT &gt",
    "ﬁne ﬂow oﬀ aﬃne ĳs ŉ ǆ ﬅ", "ｆｕｌｌ　ｗｉｄｔｈ！？ ﾊﾝｶｸ ￥", "\x1b[31mred\x1b[0m \x1b[1;32mgreen \x1b[x \x1b[ \x1b[;", "a\x00b\x07c\x7fd\ufeffe\u206af\ufffcg\x0bh\x0ci",
    "e\u0301 A\u030a \u1100\u1161 \u0958", "㌔ ㍿ ① stays", "cafÃ©", "Ã©lÃ¨ve dÃ©Ã§ue", "â€œquotedâ€\x9d", "itâ€™s", "â€” dash â€“", "è§\x86é¢\x91ä¸\xadç\x9a\x84äºº",
    "è§†é¢‘ä¸­çš„äººåœ¨åšåŠ¨ä½œ", "voilÃ le travail", "Ã la mode", "naÃ¯ve cafÃ© mixed with 视频 Ã©", "señor niño año", "CAFÉ®", "schön über ÄÖÜ ß", "Â© 2024 Â°C", "10 Â€", "Ã", "Â ",
    "été à la plage", "ÀÉÎ", "naïve façade", "¿Qué? ¡Sí!", "½ cup ± 3°", "x² + y³ × 2", "£5 €20 ¥100 §3 ¶", "œuvre Œuvre œ", "Ð Ñ Þ ð þ", "â‚¬ 20", "Ã¼ber", "ÃƒÂ©", "ðŸ˜€ face", "ÄŸ", "à² à²µ",
    "\x91quoted\x92 \x93x\x94 \x85 \x96", "Ã\xa0 votre", "1Â\xa0000", "abc Ã quele", "Â«test Â»", "Ø§Ù„Ø³Ù„Ø§Ù…", "Ð¿Ñ€Ð¸Ð²ÐµÑ‚", "Î±Î²Î³", "ä½\xa0å¥½", "©®™ «x» „y“ ‹z›", "a\u00adb", "l’été “là”",
    "Tom &amp; Jerry &mdash; &#8220;hi&#8221;", "&amp" * 5, "\u00e9\u0301", "½″ 5′ 3‰ †", "Ã¢â‚¬â„¢", "São Paulo – “Água”", "¨ ´ ¸ ˆ ˜", "ñ™ É” ü©1",
]


def train(folder, vocab_size):
    """A sentencepiece model trained on the phrases, with a small character map of its own and UMT5's special tokens."""
    rules = folder / "rules.tsv"
    table = {"ﬁ": "fi", "　": " ", "ｱ": "ア", "\t": " ", "\n": " ", "\r": " ", "\u00a0": " ", "e\u0301": "é", "…": "...", "㍿": "株式会社", "\u200b": "", "\u0301": "", "ª": "a"}
    hexes = lambda text: " ".join(f"{ord(c):X}" for c in text)
    rules.write_text("".join(f"{hexes(a)}\t{hexes(b)}\n" for a, b in table.items()))
    prefix = str(folder / "spiece")
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(PHRASES * 4), model_prefix=prefix, model_type="unigram", vocab_size=vocab_size, normalization_rule_tsv=str(rules),
        character_coverage=0.99, pad_id=0, eos_id=1, bos_id=-1, unk_id=2, hard_vocab_limit=False, user_defined_symbols=["<extra_id_1>", "<extra_id_0>"],
        num_threads=1, minloglevel=2,
    )
    return Path(prefix + ".model")


def variants(base):
    """Tokenizers of the same vocabulary as several versions and converters write them."""
    model = json.loads(base.to_str())["model"]
    scored = [tuple(piece) for piece in model["vocab"]]
    charsmap = base.normalizer
    metaspace = lambda scheme, split=True: pre_tokenizers.Metaspace(replacement="▁", prepend_scheme=scheme, split=split)
    stripped = normalizers.Sequence([charsmap, normalizers.Strip(left=False, right=True), normalizers.Replace(Regex(" {2,}"), "▁")])
    template = lambda single: processors.TemplateProcessing(single=single, special_tokens=[("</s>", 1), ("<pad>", 0)])
    plain = [AddedToken(token, special=True, normalized=False) for token in ("<pad>", "</s>", "<unk>")]
    loose = [
        AddedToken("<extra_id_0>", lstrip=True, rstrip=True, normalized=False), AddedToken("<extra_id_1>", rstrip=True, normalized=False),
        AddedToken("dog", single_word=True, normalized=False), AddedToken("lazy dog", normalized=False), AddedToken("ﬁne", normalized=True), AddedToken("new", normalized=True, lstrip=True),
    ]
    for name, normalizer, splitter, single, added in [
        ("converted", stripped, metaspace("always"), ["$A", "</s>"], plain),
        ("umt5", normalizers.Sequence([normalizers.Replace(Regex(" {2,}"), " ")]), metaspace("always"), ["$A", "</s>"], plain),
        ("first", normalizers.Sequence([normalizers.NFKC(), normalizers.Replace("o", "0")]), metaspace("first"), ["<pad>", "$A", "</s>", "</s>"], plain + loose),
        ("never", normalizers.NFC(), metaspace("never", False), ["$A", "</s>"], plain + loose),
        ("spaced", normalizers.Replace(" ", "▁"), None, ["$A", "</s>"], plain),
    ]:
        tokenizer = Tokenizer(models.Unigram(scored, model["unk_id"], False))
        tokenizer.normalizer, tokenizer.post_processor = normalizer, template(single)
        if splitter is not None:
            tokenizer.pre_tokenizer = splitter
        tokenizer.add_tokens(added)
        yield name, tokenizer


def ids(tokenizer, texts):
    tokenizer.no_truncation()
    whole = [tokenizer.encode(text).ids for text in texts]
    tokenizer.enable_truncation(max_length=512)
    return [[text, ids] for text, ids in zip(texts, whole)] + [[text, tokenizer.encode(text).ids] for text in LONG]


def write(name, value):
    """One case a line, so that differences can be read; texts as plain ASCII."""
    lines = ",\n".join(json.dumps(item, separators=(",", ":")) for item in value)
    (FOLDER / name).write_text(f"[\n{lines}\n]\n")


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        model = train(Path(scratch), 420)
        (FOLDER / "spiece.model").write_bytes(model.read_bytes())
        saved = Path(scratch) / "t5"
        T5Tokenizer.from_pretrained(scratch, extra_ids=0).save_pretrained(saved)
        base = Tokenizer.from_file(str(saved / "tokenizer.json"))
    cases = {"t5": base} | dict(variants(base))
    for name, tokenizer in cases.items():
        tokenizer.save(str(FOLDER / f"{name}.json"), pretty=False)
        write(f"{name}.ids.json", ids(tokenizer, TEXTS))
    if len(sys.argv) > 1:
        real = ids(Tokenizer.from_file(sys.argv[1]), TEXTS + [prompt_clean(text) for text in RAW])
        write("real.ids.json", real)
    write("cleaned.json", [[text, prompt_clean(text)] for text in RAW])


if __name__ == "__main__":
    main()
