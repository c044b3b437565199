"""The words of the About tab, English and Japanese (Markdown)."""

ABOUT: dict[str, tuple[str, str]] = {
    "card": ("Card of the loaded model", "読み込み中のモデルのカード"),
    "about_what": (
        """## What this is
A studio for direct speech-to-speech translation between Japanese and English. One language model (LFM2) reads the
speech as tokens of a neural codec (X-Codec2, 50 per second) and answers with text and speech tokens in one pass, which
the codec turns back into sound.

The model that comes with the app is **small on purpose**: it was trained from nothing by the recipe in this
repository, fits a laptop without a GPU, and has the same classes as the full-scale system. Its card below has its
training data and its measured numbers.""",
        """## これは何か
日本語と英語の間の、音声から音声への直接翻訳を試すスタジオです。ひとつの言語モデル（LFM2）が、ニューラルコーデック
（X-Codec2、毎秒50個）のトークンとして音声を読み、文字と音声トークンを一度に答え、コーデックがそれを音に戻します。

付属のモデルは**あえて小さく**作られています。このリポジトリの手順だけで一から訓練され、GPUのないノートパソコンで動き、
実規模のシステムと同じクラスを使います。訓練データと測定値は下のカードにあります。""",
    ),
    "about_limits": (
        """## What the bundled model cannot do
- It knows the phrases of a **phrasebook**: greetings, directions, transport, hotels, restaurants, shopping, dates,
  health and the like. Free conversation, names and long speeches are beyond it.
- It learnt from **synthetic voices**. Real microphones, accents, noise and children's voices are harder for it.
- It speaks with synthetic voices only and **does not keep your voice**.
- **Trust the text more than the voice**: its English speech still has wrong words where its written translation is
  right.
- It can be wrong and sound certain. When its own measures are doubtful (low probability, loops, no end, silence), the
  result says so. Do not use it where a mistake could do harm.""",
        """## 付属モデルにできないこと
- 知っているのは**会話集の表現**です。あいさつ、道案内、交通、ホテル、レストラン、買い物、日時、健康など。自由な会話、
  固有名詞、長い話はできません。
- **合成音声**で学習しました。実際のマイク、なまり、雑音、子どもの声は苦手です。
- 話す声は合成音声だけで、**あなたの声を再現することはありません**。
- **声より文字を信用してください。** 訳文が正しくても、英語の声はまだ語を言い間違えることがあります。
- 自信ありげに間違えることがあります。確率が低い、繰り返す、終わらない、無音などの疑わしいときは、結果にそう表示します。
  間違いが害になる場面では使わないでください。""",
    ),
    "about_licences": (
        """## Licences
The code and the bundled model have the licences named in the repository and on the card. Larger models bring their
own: the **X-Codec2** and **Llasa** weights and the **Emilia** corpus are licensed for **non-commercial** use
(CC BY-NC 4.0), which also binds models and sound made with them; **LFM2** has the LFM Open License.""",
        """## ライセンス
コードと付属モデルのライセンスは、リポジトリとカードに書かれています。大きなモデルにはそれぞれの条件があります。
**X-Codec2** と **Llasa** の重み、**Emilia** コーパスは**非商用**（CC BY-NC 4.0）で、それらを使って作ったモデルや
音声にも及びます。**LFM2** は LFM Open License です。""",
    ),
    "about_models": (
        """## Load a full-scale model
Set `STSMT_MODEL` to a checkpoint folder or to `owner/name@revision` on the Hugging Face Hub, and start the app again:

```
STSMT_MODEL=owner/name@revision STSMT_DEVICE=cuda python app.py
```

A checkpoint holds the language model and its tokenizer, `codec/`, `prompt.json`, `card.md` and `revision`.""",
        """## 実規模のモデルを読み込む
`STSMT_MODEL` にチェックポイントのフォルダか、Hugging Face Hub の `owner/name@revision` を指定して、起動し直します。

```
STSMT_MODEL=owner/name@revision STSMT_DEVICE=cuda python app.py
```

チェックポイントは、言語モデルとトークナイザ、`codec/`、`prompt.json`、`card.md`、`revision` からなります。""",
    ),
    "about_privacy": (
        """## Privacy
Recordings are used to answer you and for nothing else. Uploaded and generated files lie in a temporary folder and are
deleted within the hour, and when the app stops. Recent answers (not your recordings) stay in memory for up to half an
hour, so that the same input is not computed twice. There is no run history and no analytics. Only who takes part in a
listening test, where there is one, leaves something: the answers, comments and times, and the name that was chosen.""",
        """## プライバシー
録音は、答えを返すためだけに使います。アップロードされたファイルと生成されたファイルは一時フォルダに置かれ、1時間以内に、
またアプリの終了時に削除されます。同じ計算を繰り返さないよう、最近の答え（録音そのものは含みません）を最長30分メモリに
残します。実行履歴も利用解析もありません。聴取テストがあり、それに参加した場合だけ、回答・コメント・時刻と、自分で決めた名前が
保存されます。""",
    ),
    "about_programs": (
        """## Use it from a program
The endpoints `/sts`, `/tts`, `/stt` and `/compare` are described under “Use via API” at the foot of the page.""",
        """## プログラムから使う
`/sts`、`/tts`、`/stt`、`/compare` の使い方は、ページ下の「APIを使用」にあります。""",
    ),
}
