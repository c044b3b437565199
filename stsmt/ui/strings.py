"""All words of the app, English and Japanese, and how a visitor's language is found.

Labels are translated in the browser (`gr.I18n`); sentences that are computed in Python (results, errors) by `say`.
"""

import re
from typing import Any

import gradio as gr

from stsmt.example import Language
from stsmt.ui.about_texts import ABOUT
from stsmt.ui.strings_corpus import CORPUS, JAPANESE_CORPUS
from stsmt.ui.strings_listening import LISTENING, LISTENING_SENTENCES

TEXTS: dict[str, tuple[str, str]] = {
    **ABOUT,
    **CORPUS,
    **LISTENING,
    # -- the page
    "head": (
        """# Speech translation studio
Speak or choose a phrase in Japanese or English and hear it in the other language. Every voice that answers is
synthetic.""",
        "# 音声翻訳スタジオ\n日本語か英語で話すか例を選ぶと、もう一方の言語で聞けます。答える声はすべて合成音声です。",
    ),
    "tab_sts": ("Speech → Speech", "音声 → 音声"),
    "tab_tts": ("Text → Speech", "テキスト → 音声"),
    "tab_stt": ("Speech → Text", "音声 → テキスト"),
    "tab_about": ("About", "このアプリについて"),
    # -- what the visitor gives
    "source": ("Your speech (up to 60 s)", "あなたの音声（60秒まで）"),
    "text": ("Text", "テキスト"),
    "text_placeholder": ("Type a sentence in Japanese or English", "日本語か英語の文を入力"),
    "to": ("Translate to", "翻訳先"),
    "language": ("Language", "言語"),
    "auto": ("Automatic", "自動"),
    "ja": ("Japanese", "日本語"),
    "en": ("English", "英語"),
    "advanced": ("Advanced", "詳細設定"),
    "mode": ("Way of translating", "翻訳のしかた"),
    "mode_info": (
        "Chain writes the transcript and the translation and then speaks; direct goes from speech to speech.",
        "「連鎖」は書き起こしと訳文を書いてから話します。「直接」は文字を経ずに音声から音声へ訳します。",
    ),
    "chain": ("Chain", "連鎖"),
    "direct": ("Direct", "直接"),
    "cascade": ("Cascade", "カスケード"),
    "voice": ("Voice", "声"),
    "seed": ("Seed", "シード"),
    "seed_info": ("The same input and seed give the same result.", "同じ入力と同じシードなら結果も同じです。"),
    "translate": ("Translate", "翻訳する"),
    "speak": ("Speak", "読み上げる"),
    "transcribe": ("Transcribe", "書き起こす"),
    "cancel": ("Cancel", "中止"),
    "examples": ("Examples (click to run)", "例（クリックで実行）"),
    # -- what comes back
    "transcript": ("What was said", "聞き取った内容"),
    "translation": ("Translation", "訳文"),
    "live": ("Sound while it is made", "生成中の音声"),
    "final": ("Finished sound (lossless WAV)", "完成した音声（無劣化WAV）"),
    "no_stream": (
        "The ffmpeg program is not installed here, so the sound plays when it is complete.",
        "この環境には ffmpeg がないため、音声は完成してから再生されます。",
    ),
    "figure_source": ("Your speech", "あなたの音声"),
    "figure_target": ("Generated speech", "生成された音声"),
    "figure_alt": ("Mel spectrogram, {seconds} seconds", "メルスペクトログラム、{seconds}秒"),
    "figures": ("Spectrograms", "スペクトログラム"),
    # -- compare
    "compare": ("Compare three ways of translating", "3つの翻訳方法を比べる"),
    "compare_info": (
        """The clip above goes through **direct** (speech to speech), **chain** (transcript, translation and speech in
one pass) and **cascade** (three separate requests: recognise, translate the text, speak).""",
        """上の音声を、**直接**（音声から音声へ）、**連鎖**（書き起こし・訳文・音声を一度に）、
**カスケード**（認識・テキスト翻訳・読み上げを別々に）の3通りで訳します。""",
    ),
    "direct_title": ("#### Direct", "#### 直接"),
    "chain_title": ("#### Chain", "#### 連鎖"),
    "cascade_title": ("#### Cascade", "#### カスケード"),
    "compare_button": ("Compare", "比べる"),
    "comparing": ("Running: {mode} …", "実行中：{mode} …"),
    "compare_done": ("Done: all three ways have run.", "3通りとも終わりました。"),
    "no_text": ("(this way writes no text)", "（この方法では文字は出ません）"),
    "took": ("{total} s in all, {seconds} s of speech", "全体で{total}秒、音声は{seconds}秒"),
    # -- while it runs
    "stage_start": ("Listening …", "聞いています…"),
    "stage_read": ("Reading …", "読んでいます…"),
    "stage_transcript": ("Writing down what was said …", "聞き取った内容を書いています…"),
    "stage_translation": ("Translating …", "翻訳しています…"),
    "stage_speech": ("Speaking …", "話しています…"),
    "stage_done": ("Done.", "できました。"),
    "stage_again": ("That attempt looped; starting again …", "繰り返しに陥ったため、やり直しています…"),
    # -- the health line
    "end_reached": ("ended by itself", "最後まで生成"),
    "cut_off": ("cut off at the length limit", "長さの上限で打ち切り"),
    "no_end": ("stopped before its end", "途中で停止"),
    "no_loops": ("no loops", "繰り返しなし"),
    "loops": ("repeats itself ({share} %)", "繰り返しあり（{share} %）"),
    "retries": ("retries: {count}", "やり直し：{count}回"),
    "speech_seconds": ("{seconds} s of speech", "音声{seconds}秒"),
    "total_seconds": ("made in {seconds} s", "処理{seconds}秒"),
    "first_audio": ("first sound after {seconds} s", "最初の音まで{seconds}秒"),
    "real_time_factor": ("real-time factor {factor}", "実時間比{factor}"),
    "model": ("model {name} ({revision})", "モデル {name}（{revision}）"),
    "from_memory": ("repeated from memory", "記憶から再生"),
    "unsure_title": ("The model is unsure about this result", "この結果は確かではありません"),
    "unsure_low_confidence": ("It hardly understood the words.", "言葉をよく聞き取れませんでした。"),
    "unsure_loop": ("It kept repeating itself.", "同じところを繰り返しました。"),
    "unsure_cap": ("It did not come to an end and was cut off.", "終わらなかったため、途中で打ち切りました。"),
    "unsure_silence": ("Most of the sound is silent.", "音声のほとんどが無音です。"),
    "unsure_hint": (
        "Check it before you rely on it, speak again, or try another seed.",
        "そのまま信用せず、話し直すか、別のシードで試してください。",
    ),
    "note_title": ("Please note", "ご注意"),
    # -- errors
    "error": ("That did not work", "うまくいきませんでした"),
    "fault": (
        "Something went wrong on our side. Please try again; if it stays, report it with the reference {reference}.",
        "こちら側で問題が起きました。もう一度お試しください。続く場合は参照番号 {reference} を添えてご報告ください。",
    ),
}

# Sentences of `UserError` and of `Result`, which the library words in English: a pattern and its Japanese sentence.
JAPANESE_SENTENCES: list[tuple[str, str]] = [
    *LISTENING_SENTENCES,
    *JAPANESE_CORPUS,
    (r"There is no recording; .*", "まだ音声がありません。マイクで録音するか、ファイルを選んでください。"),
    (r"(?:.*) is empty; give a recording\.", "ファイルが空です。録音を選んでください。"),
    (r"The recording is empty; .*", "録音が空です。話すか、録音を選んでください。"),
    (
        r"(?:.*) is not audio that can be read; .*",
        "音声として読めないファイルです。WAV・FLAC・OGG・MP3 を選んでください。",
    ),
    (r"(?:.*) is cut off: .*", "ファイルが途中で切れています。書き出し直すか、もう一度アップロードしてください。"),
    (r"The recording holds samples that are not numbers .*", "録音に数値でない値があります。書き出し直してください。"),
    (r"The recording is too short \((\d+) ms\).*", r"録音が短すぎます（\1ミリ秒）。0.2秒以上必要です。"),
    (
        r"The recording is too long \((\d+) s\); at most (\d+) s .*",
        r"録音が長すぎます（\1秒）。\2秒以内にしてください。",
    ),
    (r"The recording is silent; .*", "録音が無音です。マイクを確かめて、もう一度話してください。"),
    (r"The recording is clipped .*", "音が大きすぎて割れています。入力レベルを下げてください。"),
    (r"The recording is very quiet; .*", "音がとても小さいです。マイクに近づいてください。"),
    (
        r"The recording has only (\d+) samples per second; .*",
        r"録音のサンプリング周波数が\1 Hzしかありません。16000 Hz以上が望ましいです。",
    ),
    (r"The text is empty; .*", "テキストが空です。文を入力してください。"),
    (
        r"The text is too long \((\d+) characters\); at most (\d+) .*",
        r"テキストが長すぎます（\1文字）。\2文字以内にしてください。",
    ),
    (r"The text holds control characters; .*", "テキストに制御文字があります。取り除いてください。"),
    (r"The text holds no words .*", "テキストに言葉がありません（記号や絵文字だけです）。文を入力してください。"),
    (r"The text is neither Japanese nor English; .*", "日本語でも英語でもありません。どちらかで入力してください。"),
    (
        r"The text looks Japanese, not English; .*",
        "英語ではなく日本語のようです。言語を日本語にするか、英語で入力してください。",
    ),
    (
        r"The text looks English, not Japanese; .*",
        "日本語ではなく英語のようです。言語を英語にするか、日本語で入力してください。",
    ),
    (r"The text contains control tokens .*", "テキストにモデルの制御記号が含まれています。取り除いてください。"),
    (r"Unknown language '(.*)'; .*", r"言語「\1」はありません。auto、ja、en から選んでください。"),
    (r"Unknown mode '(.*)'; .*", r"方法「\1」はありません。chain か direct を選んでください。"),
    (r"Unknown voice '(.*)'; choose one of: (.*)\.", r"声「\1」はありません。次から選んでください：\2"),
    (
        r"The voice (\S+) speaks Japanese, .* choose one of: (.*)\.",
        r"声「\1」は日本語の声です。次から選んでください：\2",
    ),
    (r"The voice (\S+) speaks English, .* choose one of: (.*)\.", r"声「\1」は英語の声です。次から選んでください：\2"),
    (r"The seed must be .*", "シードは0以上の整数にしてください。"),
    (r"The speech sounds Japanese, .*", "日本語の音声のようです。翻訳先を英語にしてください。"),
    (r"The speech sounds English, .*", "英語の音声のようです。翻訳先を日本語にしてください。"),
    (r"There is no text; .*", "テキストがありません。文を入力してください。"),
    (r"This is too long for the model, .*", "モデルには長すぎます。短く分けてください。"),
    (
        r"The recording is long: .* in (\d+) pieces\.",
        r"録音が長いため、間（ま）で区切って\1つに分けて処理しました。",
    ),
    (r"Symbols that cannot be spoken, .*", "絵文字など、読み上げられない記号を省きました。"),
]


def visitor_language(request: gr.Request | None) -> Language:
    """The language that the visitor's browser prefers; English where it says nothing of Japanese."""
    header = request.headers.get("accept-language", "") if request is not None else ""
    known = [tag[:2].lower() for tag in re.split(r"\s*,\s*", header) if tag[:2].lower() in ("ja", "en")]
    return "ja" if known[:1] == ["ja"] else "en"


def say(key: str, language: Language, **values: Any) -> str:
    """A sentence in the visitor's language, its {places} filled."""
    return TEXTS[key][language == "ja"].format(**values)


def sentence(message: str, language: Language) -> str:
    """A sentence of the library in the visitor's language; English stays where no translation is known."""
    if language == "ja":
        for pattern, japanese in JAPANESE_SENTENCES:
            match = re.fullmatch(pattern, message, re.DOTALL)
            if match:
                return match.expand(japanese)
    return message


def translations() -> gr.I18n:
    """The labels for `launch(i18n=…)`."""
    english = {key: texts[0] for key, texts in TEXTS.items()}
    return gr.I18n(en=english, ja={key: _unwrapped(texts[1]) for key, texts in TEXTS.items()})


def _unwrapped(text: str) -> str:
    """Japanese Markdown without the line breaks inside its sentences, which a browser would show as spaces."""
    letter = r"[\u3000-\u9fff\uff00-\uffef]"
    return re.sub(rf"(?m)^((?!#).*{letter})\n *(?={letter}|\*\*)", r"\1", text)


def label(key: str) -> Any:
    """A label that the browser shows in the visitor's language."""
    assert key in TEXTS, key
    return gr.I18n()(key)
