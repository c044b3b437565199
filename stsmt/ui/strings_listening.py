"""The words of the listening test, English and Japanese.

The five steps of naturalness and source quality are the categories of ITU-T P.800 (08/1996), Annex B, in both languages
as standardised tests use them; adequacy follows the scale of LDC's translation assessments (all … none).
"""

CONSENT = (
    "I agree that my answers, my comments, the times at which I give them and the name that I choose are stored to "
    "measure and improve speech translation, and published without the name.",
    "回答・コメント・回答の時刻と、自分で決めた名前が、音声翻訳の評価と改善のために保存され、"
    "名前を除いて公開されることに同意します。",
)

WORDS: dict[str, tuple[str, str]] = {
    "tab": ("Listening test", "聴取テスト"),
    # -- signing in
    "intro": (
        """## Listening test
You hear a sentence and its translation, both as speech, and judge them. Which system speaks is hidden. Everything can
be done with the keyboard; a pause is no problem: the same item comes back.""",
        """## 聴取テスト
文とその翻訳を音声で聞いて評価します。どのシステムの音声かは隠されています。キーボードだけで操作でき、
中断しても同じ項目から再開できます。""",
    ),
    "rater_name": ("Name (any)", "名前（自由）"),
    "competence": ("Languages that you understand well", "よく分かる言語"),
    "competence_ja": ("Japanese", "日本語"),
    "competence_en": ("English", "英語"),
    "competence_both": ("Both", "両方"),
    "consent": CONSENT,
    "start": ("Start", "始める"),
    "have_code": ("I have a resume code", "再開コードを持っている"),
    "code": ("Resume code", "再開コード"),
    "resume": ("Resume", "再開する"),
    "login": ("Start with the Hugging Face account", "Hugging Faceアカウントで始める"),
    "new_code": (
        "Your resume code is {code}. It is shown only now; with it you can go on from any computer.",
        "再開コードは {code} です。今だけ表示されます。このコードがあれば、どのパソコンからでも続けられます。",
    ),
    # -- headphones
    "check_intro": (
        """### Headphones and volume
Put your headphones on and play the tone. Set the volume so that it is comfortable. In which ear is it?""",
        """### ヘッドホンと音量
ヘッドホンを着けて音を再生し、聞きやすい音量にしてください。どちらの耳から聞こえますか。""",
    ),
    "tone": ("Test tone", "確認用の音"),
    "device": ("You listen with", "使っている機器"),
    "headphones": ("Headphones", "ヘッドホン"),
    "loudspeaker": ("Loudspeaker", "スピーカー"),
    "left": ("Left", "左"),
    "right": ("Right", "右"),
    "check_again": ("That was the other ear. Please listen once more.", "反対側でした。もう一度聞いてください。"),
    # -- the item
    "clip_source": ("Original", "原文の音声"),
    "clip_target": ("Translation", "翻訳の音声"),
    "clip_a": ("Translation A", "翻訳 A"),
    "clip_b": ("Translation B", "翻訳 B"),
    "item_direction": ("From {source} to {target}.", "{source}から{target}へ。"),
    "item_training": (
        "For practice: you will be told what was expected.",
        "練習です。回答のあとに模範解答が出ます。",
    ),
    "adequacy": ("How much of the meaning does the translation keep?", "翻訳は意味をどれだけ保っていますか。"),
    "adequacy_5": ("5 All", "5 すべて"),
    "adequacy_4": ("4 Most", "4 ほとんど"),
    "adequacy_3": ("3 Much", "3 半分くらい"),
    "adequacy_2": ("2 Little", "2 わずか"),
    "adequacy_1": ("1 None", "1 まったくない"),
    "naturalness": ("How natural does the translation sound?", "翻訳の音声はどれだけ自然ですか。"),
    "source_quality": ("How good is the sound of the original?", "原文の音質はどうですか。"),
    **{
        f"{question}_{step}": words
        for question in ("naturalness", "source_quality")
        for step, words in (
            (5, ("5 Excellent", "5 非常に良い")),
            (4, ("4 Good", "4 良い")),
            (3, ("3 Fair", "3 普通")),
            (2, ("2 Poor", "2 悪い")),
            (1, ("1 Bad", "1 非常に悪い")),
        )
    },
    "voice_similarity": ("Is it the same person who speaks?", "同じ人の声に聞こえますか。"),
    "voice_similarity_5": ("5 Certainly the same", "5 確かに同じ"),
    "voice_similarity_4": ("4 Probably the same", "4 おそらく同じ"),
    "voice_similarity_3": ("3 Cannot tell", "3 分からない"),
    "voice_similarity_2": ("2 Probably different", "2 おそらく違う"),
    "voice_similarity_1": ("1 Certainly different", "1 確かに違う"),
    "preference": ("Which translation is better?", "どちらの翻訳が良いですか。"),
    "preference_sound": ("Which one sounds better?", "どちらの音声が良いですか。"),
    "choice_a": ("A is better", "Aのほうが良い"),
    "choice_b": ("B is better", "Bのほうが良い"),
    "choice_tie": ("T: about the same", "T：ほぼ同じ"),
    "choice_both_bad": ("N: neither is good", "N：どちらも悪い"),
    "flags": ("Defects (if any)", "問題点（あれば）"),
    "flag_loop": ("Loop", "繰り返し"),
    "flag_cut": ("Cut off", "途中で切れる"),
    "flag_wrong_language": ("Wrong language", "言語違い"),
    "flag_noise": ("Noise", "雑音"),
    "flag_wrong_meaning": ("Wrong meaning", "意味違い"),
    "flag_offensive": ("Offensive", "不快な内容"),
    "comment": ("Comment (optional)", "コメント（任意）"),
    "submit": ("Next (Enter)", "次へ（Enter）"),
    "skip": ("Skip (S)", "飛ばす（S）"),
    "undo": ("Undo (U)", "取り消す（U）"),
    "keys": (
        "Keys: space plays, 1–5 rate, A B T N compare, U undo, S skip, Enter next.",
        "キー：スペース＝再生、1～5＝評価、A B T N＝比較、U＝取り消し、S＝飛ばす、Enter＝次へ",
    ),
    "feedback": ("What was expected – {scores}", "模範解答 – {scores}"),
    "finished": (
        "Thank you! There is nothing left for you to rate just now.",
        "ありがとうございました。今のところ、評価できる項目はもうありません。",
    ),
    # -- where one stands
    "rated_left": ("{rated} rated, {skipped} skipped, {left} left", "評価済み{rated}、スキップ{skipped}、残り{left}"),
    "standing_counts": ("Your ratings count.", "あなたの評価は集計に含まれます。"),
    "standing_unknown": (
        "Whether your ratings count is not known yet; go on.",
        "集計に含まれるかはまだ分かりません。続けてください。",
    ),
    "standing_excluded": (
        "Your ratings do not count at present, because: {reasons}.",
        "現在、あなたの評価は集計に含まれません。理由：{reasons}",
    ),
    "reason_gold": ("items with an obvious answer were judged otherwise", "答えが明らかな項目の評価が合わない"),
    "reason_trap": ("items that test attention were missed", "注意を確かめる項目を見逃した"),
    "reason_variance": ("nearly all scores are the same", "ほとんど同じ点数ばかり"),
    "reason_pace": ("the answers come too fast", "回答が速すぎる"),
    "reason_correlation": ("the scores do not go with those of others", "ほかの人の評価と合わない"),
    "kept_nowhere": (
        "This Space forgets all answers when it restarts: its owner must name a dataset in STSMT_RATINGS_REPOSITORY.",
        "このSpaceは再起動すると回答をすべて失います。所有者がSTSMT_RATINGS_REPOSITORYにデータセットを指定する必要があります。",
    ),
    "backup_age": ("Last backup {minutes} min ago.", "最後のバックアップ：{minutes}分前"),
    "backup_never": ("No backup yet.", "まだバックアップされていません。"),
    "backup_failed": ("The last backup failed: {failure}", "最後のバックアップに失敗しました：{failure}"),
    "damage": (
        "{n} lines of the log could not be read; all others are there.",
        "記録の{n}行が読めませんでした。ほかはすべて残っています。",
    ),
    # -- results
    "results": ("Results (look at them after rating)", "結果（評価のあとに見てください）"),
    "refresh": ("Show", "表示"),
    "download": ("Download", "ダウンロード"),
    "results_counted": (
        "{counted} of {all} answers counted; raters: {counts} count, {excluded} do not, {unknown} not known yet.",
        "{all}件中{counted}件を集計。評価者：対象{counts}人、対象外{excluded}人、未定{unknown}人",
    ),
    "column_condition": ("Condition", "条件"),
    "column_mean": ("Mean [95 %]", "平均［95 %］"),
    "column_clustered": ("By raters and pairs", "評価者と対で再抽出"),
    "column_normalised": ("Without rater offsets", "評価者の偏りを除く"),
    "column_n": ("Ratings / raters / pairs", "評価数／評価者／対"),
    "column_strength": ("Strength (Bradley–Terry)", "強さ（Bradley–Terry）"),
    "column_question": ("Question", "質問"),
    "column_choices": ("Choices", "選択"),
    "column_flags": ("Defects reported", "報告された問題点"),
    "column_n_flags": ("Reports", "件数"),
    "column_round": ("Round", "ラウンド"),
    "column_rater": ("Rater", "評価者"),
    "column_competence": ("Understands", "分かる言語"),
    "column_device": ("Hears with", "聞き方"),
    "column_ratings": ("Ratings", "評価数"),
    "column_standing": ("Counts?", "集計"),
    "state_counts": ("counts", "対象"),
    "state_excluded": ("does not: {reasons}", "対象外：{reasons}"),
    "state_unknown": ("not known yet", "未定"),
    "title_flags": ("Defects reported", "報告された問題点"),
    "title_anchors": ("Anchors: the same pairs in every round", "アンカー：どのラウンドにも入る同じ対"),
    "title_raters": ("Raters (by number, without names)", "評価者（番号のみ、名前なし）"),
    "anchors_hint": (
        "Where their means differ between rounds, scores of those rounds cannot be compared as they are.",
        "ラウンド間で平均が違うときは、それらのラウンドの点数をそのまま比べられません。",
    ),
    "known_hint": (
        "Items with known answers are left out here and in the downloads (stsmt ratings export writes them).",
        "答えの分かっている項目は、ここにもダウンロードにも含まれません（stsmt ratings export では出力されます）。",
    ),
    "fared_won": ("preferred", "選ばれた"),
    "fared_lost": ("the other preferred", "相手が選ばれた"),
    "fared_tie": ("about the same", "ほぼ同じ"),
    "fared_both_bad": ("neither is good", "どちらも悪い"),
    "not_enough": ("not enough", "不足"),
    "alpha": (
        "Agreement (Krippendorff’s alpha, ordinal): {alpha} on {items} pairs.",
        "一致度（Krippendorffのα、順序尺度）：{alpha}、{items}対",
    ),
    "nothing_rated": ("Nothing has been rated yet.", "まだ評価はありません。"),
}

LISTENING = {f"listening_{key}": words for key, words in WORDS.items()}

LISTENING_SENTENCES: list[tuple[str, str]] = [
    (r"Please agree to the use .*", "先に、評価の利用に同意してください。"),
    (r"Please give a name of 1 to (\d+) .*", r"名前は1～\1文字で入力してください。"),
    (r"Unknown language competence .*", "よく分かる言語を選んでください。"),
    (r"This is not a resume code; .*", "再開コードの形ではありません。4文字ずつ4組の英数字です。"),
    (r"Nobody here has this resume code; .*", "この再開コードの人はいません。確かめるか、新しく始めてください。"),
    (r"Please sign in first\.", "先に名前を入れて始めてください。"),
    (r"Please do the headphone check first\.", "先にヘッドホンの確認をしてください。"),
    (r"Please say whether you use .*", "ヘッドホンかスピーカーかを選んでください。"),
    (
        r"Please listen to the whole clip first \((\w+): (\d+) % heard\)\.",
        r"先に最後まで聞いてください（再生済み \2 %）。",
    ),
    (r"That was faster than the clips .*", "音声の長さより早すぎます。先に聞いてください。"),
    (r"What was played must .*", "再生の記録が正しくありません。もう一度再生してください。"),
    (r".* cannot be compared: .*", "比較できません：同じ文の訳ではありません。"),
    (
        r"The dataset (.*) cannot keep the ratings \((.*)\); .*",
        "データセット\\1に評価を保存できません（\\2）。STSMT_RATINGS_REPOSITORYとHF_TOKENを確かめてください。",
    ),
    (r"A pair without sound .*", "音声のない項目は評価できません。"),
    (r"There is no clip .*", "この項目にその音声はありません。"),
    (r"Please answer every question; .*", "すべての質問に答えてください。"),
    (r"These questions were not asked: .*", "尋ねていない質問への回答があります。"),
    (r"A score is a whole number .*", "点数は1から5の整数です。"),
    (r"Please choose one of: .*", "A、B、T、Nのどれかを選んでください。"),
    (r"This item asks for scores, .*", "この項目では選択ではなく点数を付けてください。"),
    (r"Unknown flag; .*", "その問題点はありません。"),
    (r"A comment has at most (\d+) characters; .*", r"コメントは\1文字以内にしてください。"),
    (r"This item is already answered; .*", "この項目は回答済みです。変えるには取り消してください。"),
    (r"There is no answer to change; .*", "変える回答がありません。先に評価してください。"),
    (r"This item has waited too long .*", "時間がたち、ほかの人が評価しました。次へ進んでください。"),
    (r"This item cannot come back: .*", "ほかの人が評価したため、この項目は戻せません。"),
    (r"This item is not yours; .*", "この項目はあなたのものではありません。次の項目へ進んでください。"),
    (r"There is nothing to undo\.", "取り消す回答がありません。"),
    (r"There is nothing to rate yet: .*", "まだ評価する項目がありません。"),
    (r"This event id was used before; .*", "このイベントIDはすでに使われています。"),
    (r"An event id has .*", "イベントIDは8～64文字の英数字、-、_ です。"),
    (
        r"This could not be saved: .*",
        "保存できませんでした。これまでの評価は無事です。管理者に知らせて、もう一度お試しください。",
    ),
    (r"The folder of ratings is busy; .*", "保存先が混み合っています。少し待ってお試しください。"),
    (r"(\S+) was written by a newer version of stsmt .*", r"\1 は新しい版で書かれています。stsmtを更新してください。"),
    (r"There are no ratings in .*", "評価の記録がありません。"),
]
