"""Writes what llama.cpp and jinja2 make of texts and conversations, for crates/text/tests/golden.rs to compare with.

Needs `llama-cpp-python`, `gguf` and `jinja2`, and SmolLM2-135M-Instruct as a GGUF file of any quantisation (only its metadata is read):

    python tests/python/make_text_golden.py SmolLM2-135M-Instruct.gguf crates/text/tests/golden

It writes `smollm2.json` (texts and ids, conversations and renderings), `spm.json` (the same for a small sentencepiece vocabulary made here) and
`smollm2-spec.zip` (the model's text specification, compressed). Other pre-tokenisers are compared with SmolLM2's vocabulary under their
name. Remaking the files with another llama.cpp approves what has changed in it.
"""

import ctypes
import json
import struct
import sys
import tempfile
import zipfile
from pathlib import Path

import gguf
import jinja2
import jinja2.ext
import jinja2.sandbox
import llama_cpp

FAMILIES = ["gpt-2", "default", "llama-bpe", "qwen2", "qwen35", "falcon"]

WORDS = r"""
Hello world¦hello¦Hello, world!¦ leading¦trailing ¦  two  spaces  ¦The quick brown fox jumps over the lazy dog.¦I'm you're he'd we'll they've it's don't
I'M YOU'RE HE'D WE'LL THEY'VE IT'S DON'T¦'s't're've'm'll'd¦' s ' t¦''s¦x's y'S¦can't've¦o'clock 'tis rock'n'roll¦O’Neil’s
1¦12¦123¦1234¦12345¦1234567890¦3.14159¦1,000,000.50¦-17¦1e-9¦0x1F¦v1.2.3¦2024-02-29T12:34:56Z¦٣٤٥¦१२३¦½ ² Ⅷ ①¦1st 2nd 3rd¦100%¦$5¦€10¦a1b2c3
!¦!!¦?!¦...¦…¦--¦—¦«quoted»¦“smart”¦(parens)[brackets]{braces}¦a.b.c¦a/b\\c¦foo_bar¦@user #tag¦a&b¦x=y+z¦x<y>z¦^~¦`¦$+<=>^~|¦;:,.¦¿qué?¦+++¦>>> import this
café¦naïve¦Zürich¦Ångström¦e\u0301a\u0300¦\u0301¦ÀÉÎÕÜ¦straße¦İstanbul¦ſ's 'ſ¦'K
Привет, мир!¦Добрый день¦Γειά σου Κόσμε¦שלום עולם¦مرحبا بالعالم¦السَّلَامُ عَلَيْكُمْ¦नमस्ते दुनिया¦สวัสดีชาวโลก¦გამარჯობა¦Բարեւ¦ሰላም ልዑል
你好，世界！¦日本語のテキスト¦カタカナ ひらがな 漢字¦안녕하세요 세계¦中文 mixed with English 123¦。、「」¦ﾊﾝｶｸ¦繁體中文測試
🙂¦😀😃😄¦👨‍👩‍👧‍👦¦🏳️‍🌈¦👍🏽¦🇩🇪🇫🇷¦emoji 🎉 in text¦☃️¦✓✗¦♠♥¦🂡¦🀄¦𝕳𝖊𝖑𝖑𝖔¦𝟙𝟚𝟛¦\U0001F9FF
def f(x):\n    return x + 1\n¦for (int i = 0; i < n; ++i) { a[i] = b[i]; }¦fn main() {\n\tprintln!("hi");\n}¦SELECT * FROM t WHERE a = 'b';¦<div class="x">y</div>
{"a": [1, 2, null], "b": "c\\n"}¦# Title\n\n- item\n- item\n\n```rust\nlet x = 1;\n```\n¦https://example.org/a?b=c&d=e#f¦user@example.com¦C:\\Users\\x¦$HOME/.config¦a\tb\tc¦if x:\r\n\ty()\r\n
<|im_start|>user\nhi<|im_end|>\n¦<|endoftext|>¦<|im_end|><|im_end|>¦<|im_start|>¦<| im_start |>¦<|im_start|><|im_start|>assistant¦a<|im_end|>b¦<|im_endoftext|>¦<|im_|im_end|>¦</s><s>
<repo_name>x<reponame>y¦<file_sep>¦<filename>a.py¦<gh_stars>100¦<issue_start><issue_comment><issue_closed>¦<jupyter_start><jupyter_text>a<jupyter_code>b<jupyter_output>c<jupyter_script>¦<empty_output>
aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa¦abababababababab¦antidisestablishmentarianism¦supercalifragilisticexpialidocious¦Donaudampfschifffahrtsgesellschaftskapitän¦ALLCAPS¦CamelCaseWord¦snake_case_word¦kebab-case-word¦x¦q¦ß¦the the the
\u00a0nbsp\u00a0¦\u2003em\u2003¦\u200bzero\u200b¦\ufeffbom¦\u2028line\u2028¦\u0085nel\u0085¦\u3000全角\u3000¦\u180e¦a\u00adb¦\u0378¦\ue000¦\ufffd¦\U000e0001¦\u0000¦\u0001\u0002\u0003¦\u0004¦\u0006\u0013\u001d¦\u007f¦\u001f¦\x1b[31mred\x1b[0m
a \u00a0b¦1\u00a02¦\u00a0\u00a0x¦\u2003\u2003¦.\u00a0.¦𠀀𠀁¦\U0003fffd¦\U0010ffff¦\U00040000¦𞤀𞤁¦ǅ ʰ ª¦ᾳ¦①②¦৳¦﷼¦₿¦∑∫√¦a∑b¦≠≤¦“a” ‘b’¦1½¦x²+y²¦㎏¦Ⅻ
"""
SPACES = ["", " ", "  ", "   ", "\n", "\n\n", "\n\n\n", " \n", "\n ", "\t", "\t\t", " \t ", "\r", "\r\n", "\r\n\r\n", "\n\r", "a\n", "a\n\n", "\na", "\n\na", " a", "  a", "   a", "a ", "a  ",
          "a\n b", "a \n b", "a \n\n  b", "a\t\tb", "   \n   x", "x   \n   ", "\t x", " \tx", "1 ", " 1", "  1", "! ", " !", "  !", ".\n", ".\n\n x", "...\r\n\r\n", " .\r\n", "\r\n .", "x" + " " * 40 + "y", " " * 70, "\n" * 20, "' ", " '", " 's", "  's"]
TEXTS = list(dict.fromkeys([text.encode("latin-1", "backslashreplace").decode("unicode_escape") for line in WORDS.strip().split("\n") for text in line.split("¦")]
                           + ["<|im_start|>system\nYou are helpful.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n", "<|im_start|>", "<|im_end|>", "<|endoftext|>", "a <|im_end|> b", "<|endoftext|>\n\n<|endoftext|>", "x<file_sep>y", " <repo_name> "] + SPACES))

CONVERSATIONS = [
    {"messages": [{"role": "user", "content": "Hi"}], "add_generation_prompt": True},
    {"messages": [{"role": "user", "content": "Hi"}], "add_generation_prompt": False},
    {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "4"}, {"role": "user", "content": "  <b>&\"'\n"}], "add_generation_prompt": True},
    {"messages": [{"role": "user", "content": "é 你好 🙂"}, {"role": "assistant", "content": ""}], "add_generation_prompt": True},
]
# Constructs that templates of published models use, one or two each.
TEMPLATES = [
    "{{ bos_token }}{% for m in messages %}{{ '[INST] ' + m['content'].strip() + ' [/INST]' if m['role'] == 'user' else m.content | trim + eos_token }}{% endfor %}\n",
    "{%- set ns = namespace(n=0, last='') -%}\n{%- for m in messages %}\n  {%- if m.role == 'user' %}\n    {%- set ns.n = ns.n + 1 %}\n  {%- endif %}\n  {%- set ns.last = m.content %}\n{%- endfor %}\n{{- ns.n ~ ':' ~ ns.last }}",
    "{% macro turn(role, text='none') %}<{{ role }}>{{ text }}</{{ role }}>{% endmacro %}{% for m in messages %}{{ turn(m.role, text=m.content) }}{{ turn(m.role) }}\n{% endfor %}",
    "{% for m in messages %}{{ loop.index0 }}/{{ loop.length }}{{ ',' if not loop.last }}{% if loop.index == 2 %}{% break %}{% endif %}{% endfor %}{{ undefined_name }}|{{ messages[0].nothing is defined }}|{{ messages[-1]['role'] }}|{{ messages[1:]|length }}",
    "{{ messages | tojson }}\n{{ messages | tojson(indent=4) }}{{ [] | tojson }}{{ {} | tojson(indent=2) }}{{ tools is none }}",
    "{% for k, v in {'a': 1, 'b': [1.5, none, true, 'x\\'y']}.items() %}{{ k }}={{ v }};{% endfor %}{{ none }}{{ true }}{{ ['a', \"b'c\"] }}{{ 7 // 2 }} {{ 7 / 2 }} {{ 2 ** 3 }} {{ 'abc'[::-1] }} {{ 'a,b'.split(',') | join('+') }}",
    "{% if messages[0].role == 'user' and 'H' in messages[0].content %}yes{% elif messages is string %}no{% else %}{{ 'X'.lower() ~ 'y'.upper() }}{% endif %}\n  {% set x %}captured {{ messages|length }}{% endset %}\n{{ x }} {{ messages | map(attribute='role') | list | unique | sort | join(',') }} {{ (messages | selectattr('role', 'equalto', 'user') | list)[0].content | replace('H', 'h') }}",
    "{%- if add_generation_prompt is defined and add_generation_prompt -%}\n  gen\n{%- endif -%}\n   \n{% for m in messages if m.role != 'system' %}{{ m.content.startswith('H') }}{{ m.content|length }}{% else %}none{% endfor %}{{ 'a\nb' | indent(2) }}{{ messages[0].get('x', 'dflt') }}{{ ' z '.rstrip() }}|{{ 'abc'.find('c') }}",
    "{% if messages[0].role != 'system' %}{{ raise_exception('Conversation must begin with a system message') }}{% endif %}ok",
]


# Kept for as long as llama.cpp may call it.
SILENT = llama_cpp.llama_log_callback(lambda *_: None)


def python_spec(path):
    fields = gguf.GGUFReader(path).fields
    get = lambda key, default=None: fields[key].contents() if key in fields else default
    special = {name: get(f"tokenizer.ggml.{key}_token_id") for name, key in [("bos", "bos"), ("eos", "eos"), ("eot", "eot"), ("unk", "unknown"), ("pad", "padding")]}
    spec = {
        "version": 1,
        "kind": {"gpt2": "bpe", "llama": "spm"}[get("tokenizer.ggml.model")],
        "tokens": get("tokenizer.ggml.tokens"),
        "types": get("tokenizer.ggml.token_type"),
        "special": {name: value for name, value in special.items() if value is not None},
        "add_bos": get("tokenizer.ggml.add_bos_token", get("tokenizer.ggml.model") == "llama"),
        "add_eos": get("tokenizer.ggml.add_eos_token", False),
        "add_space_prefix": get("tokenizer.ggml.add_space_prefix", get("tokenizer.ggml.model") == "llama"),
        "ends": [],
    }
    if spec["kind"] == "bpe":
        spec["pre"], spec["merges"] = get("tokenizer.ggml.pre"), get("tokenizer.ggml.merges")
    else:
        spec["scores"] = [struct.unpack("<I", struct.pack("<f", score))[0] for score in get("tokenizer.ggml.scores")]
    if "tokenizer.chat_template" in fields:
        spec["chat_template"] = get("tokenizer.chat_template")
    return spec


def write_gguf(path, spec, pre=None):
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model({"bpe": "gpt2", "spm": "llama"}[spec["kind"]])
    writer.add_token_list(spec["tokens"])
    writer.add_token_types(spec["types"])
    if spec["kind"] == "bpe":
        writer.add_tokenizer_pre(pre)
        writer.add_token_merges(spec["merges"])
    else:
        writer.add_token_scores([struct.unpack("<f", struct.pack("<I", score))[0] for score in spec["scores"]])
    for name, add in [("bos", writer.add_bos_token_id), ("eos", writer.add_eos_token_id), ("unk", writer.add_unk_token_id)]:
        if name in spec["special"]:
            add(spec["special"][name])
    writer.add_add_bos_token(spec["add_bos"])
    writer.add_add_eos_token(spec["add_eos"])
    writer.add_add_space_prefix(spec["add_space_prefix"])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


class Vocab:
    def __init__(self, path):
        params = llama_cpp.llama_model_default_params()
        params.vocab_only = True
        self.model = llama_cpp.llama_model_load_from_file(str(path).encode(), params)
        assert self.model, path
        self.vocab = llama_cpp.llama_model_get_vocab(self.model)

    def tokenise(self, text, parse, begin):
        raw = text.encode()
        room = len(raw) * 4 + 16
        ids = (llama_cpp.llama_token * room)()
        count = llama_cpp.llama_tokenize(self.vocab, raw, len(raw), ids, room, begin, parse)
        assert count >= 0
        return list(ids[:count])

    def ends(self):
        return [id for id in range(llama_cpp.llama_vocab_n_tokens(self.vocab)) if llama_cpp.llama_vocab_is_eog(self.vocab, id)]

    def piece(self, id):
        room = (ctypes.c_char * 2048)()
        count = llama_cpp.llama_token_to_piece(self.vocab, id, room, 2048, 0, True)
        return bytes(room[:count])


def spm_spec():
    """A small vocabulary with ties, long joins, tokens that no pair reaches, and specials of each type."""
    words = ["▁", "▁▁", "▁▁▁▁", "e", "t", "a", "o", "h", "l", "w", "r", "d", "i", "n", "s", "H", ",", "!", "th", "he", "the", "▁the", "▁t", "▁th", "▁a", "an", "and", "▁and", "▁an", "ll", "lo", "llo", "Hello", "He", "▁Hello", "▁He", "wor", "▁wor", "or", "ld",
             "world", "▁world", "▁w", "in", "ing", "▁in", "is", "▁is", "es", "st", "est", "é", "caf", "café", "日", "本", "日本", "語", "aa", "aaa", "aaaa", "ab", "ba", "aba", "unreachable", "\n", "1", "2", "12", "🙂"]
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)] + words + ["<tool>", "<tool", "<|user|>", "▁gap"]
    types = [2, 3, 3] + [6] * 256 + [1] * len(words) + [4, 4, 3, 5]
    scores = [0.0] * 259 + [-float(index // 3) * 0.5 + (0.25 if len(word) > 3 else 0.0) for index, word in enumerate(words)] + [0.0, 0.0, -1.0, 0.0]
    spec = {"version": 1, "kind": "spm", "tokens": tokens, "types": types, "scores": [struct.unpack("<I", struct.pack("<f", score))[0] for score in scores],
            "special": {"bos": 1, "eos": 2, "unk": 0}, "add_bos": True, "add_eos": False, "add_space_prefix": True, "ends": []}
    return spec


SPM_TEXTS = ["", " ", "  ", "Hello", " Hello", "Hello world", "Hello, world!", "the theatre", "aaaaaaa", "ababab", "abaaba", "and an and", "  the   the    x", "\n\nthe", "日本語", "日本語 語", "café cafe\u0301", "🙂🙃", "zzz", "\u0000\u0001", "unreachable", "12121", "<s>the</s>",
             "<tool>the<tool the", "<|user|>the <|user|> the", "a<|user|>", "<unk>", "<0x0A>", "▁the", "the▁", "▁gap gap", "<s><s>", "\t", "estesting", "worldworldworld", "thethethethe", "ﬀ\u2028é", " <s> ", "nesting is in the ending"]


def environment():
    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=True)

    env = jinja2.sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    return env


def render(template, conversation):
    sorted_keys = json.loads(json.dumps(conversation, sort_keys=True))
    values = {"tools": None, "bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "unk_token": "<|endoftext|>", "pad_token": "<|im_end|>", **sorted_keys}
    try:
        return {"text": environment().from_string(template).render(**values)}
    except jinja2.exceptions.TemplateError as error:
        return {"raised": str(error)}


def write(path, value):
    path.write_text(json.dumps(value, ensure_ascii=True, sort_keys=True, separators=(",", ":")) + "\n")


def main(model, folder):
    folder = Path(folder)
    llama_cpp.llama_log_set(SILENT, None)
    spec = python_spec(model)
    vocab = Vocab(model)
    golden = {
        "llama_cpp_python": llama_cpp.__version__,
        "jinja2": jinja2.__version__,
        "texts": TEXTS,
        "parse": [vocab.tokenise(text, True, True) for text in TEXTS],
        "plain": [vocab.tokenise(text, False, True) for text in TEXTS],
        "ends": vocab.ends(),
        "pieces": {str(id): vocab.piece(id).hex() for id in [*range(300), *range(300, len(spec["tokens"]), 97)]},
        "families": {},
        "conversations": [{"conversation": one, "rendered": render(spec["chat_template"], one)} for one in CONVERSATIONS],
        "templates": [{"template": template, "rendered": [render(template, one) for one in CONVERSATIONS]} for template in TEMPLATES],
    }
    with tempfile.TemporaryDirectory() as temporary:
        for pre in FAMILIES:
            path = Path(temporary) / "vocab.gguf"
            write_gguf(path, spec, pre)
            family = Vocab(path)
            golden["families"][pre] = [family.tokenise(text, False, False) for text in TEXTS]
        small = spm_spec()
        path = Path(temporary) / "spm.gguf"
        write_gguf(path, small)
        vocab = Vocab(path)
        texts = SPM_TEXTS
        spm = {"spec": small, "texts": texts, "ends": vocab.ends(), "pieces": [vocab.piece(id).hex() for id in range(len(small["tokens"]))]}
        for name, parse, begin in [("parse_begin", True, True), ("plain_begin", False, True), ("parse", True, False)]:
            spm[name] = [vocab.tokenise(text, parse, begin) for text in texts]
    write(folder / "smollm2.json", golden)
    write(folder / "spm.json", spm)
    canonical = json.dumps(spec, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    with zipfile.ZipFile(folder / "smollm2-spec.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr(zipfile.ZipInfo("spec.json"), canonical, zipfile.ZIP_DEFLATED)
    print(len(TEXTS), "texts", file=sys.stderr)


main(*sys.argv[1:])
