// What of each clip was heard, and the keys of the listening test. Loaded once; it looks things up when they are needed.
(() => {
  if (window.stsmtListening) return;
  const entries = {}; // by clip: the sound, its player, and ranges heard in earlier players and in this one
  const WHOLE = 0.9;

  const clipOf = (audio) => audio.closest?.(".clip")?.id.replace("clip-", "");
  const seen = (element) => element && element.getClientRects().length > 0;
  const players = () => [...document.querySelectorAll("#rating-form .clip audio")].filter((a) => seen(a.closest(".clip")));

  // What the server knows to have been heard of this item, on an earlier page or before it was taken back.
  function known(clip) {
    try { return JSON.parse(document.querySelector("#heard-before textarea, #heard-before input").value)[clip] ?? []; }
    catch { return []; }
  }

  function note(audio) {
    const clip = clipOf(audio);
    if (!clip || !audio.currentSrc) return;
    const now = [...Array(audio.played.length).keys()].map((i) => [audio.played.start(i), audio.played.end(i)]);
    const old = entries[clip];
    if (!old || old.src !== audio.currentSrc) entries[clip] = { src: audio.currentSrc, audio, before: known(clip), now };
    else if (old.audio !== audio) entries[clip] = { ...old, audio, before: [...old.before, ...old.now], now };
    else old.now = now;
    audio.closest(".clip").classList.toggle("heard", share(audio) >= WHOLE);
  }

  function rangesOf(audio) {
    const entry = entries[clipOf(audio)];
    return entry && entry.src === audio.currentSrc ? [...entry.before, ...entry.now] : [];
  }

  function share(audio) {
    let heard = 0, end = 0;
    for (const [start, stop] of rangesOf(audio).sort((a, b) => a[0] - b[0])) {
      heard += Math.max(0, stop - Math.max(start, end));
      end = Math.max(end, stop);
    }
    return audio.duration > 0 ? heard / audio.duration : 0;
  }

  function heard() {
    players().forEach(note);
    return Object.fromEntries(players().map((audio) => [clipOf(audio), rangesOf(audio)]));
  }

  const click = (id) => document.querySelector(`#${id}`)?.click();
  let waiting = null;
  const report = () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => players().length && click("report-heard"), 300);
  };

  // Media events do not bubble, but they can be captured.
  const on = (name, action) => document.addEventListener(name, (e) => clipOf(e.target) && action(e.target), true);
  on("timeupdate", note);
  on("pause", (audio) => { note(audio); report(); });
  on("ended", (audio) => { note(audio); report(); });
  on("play", (audio) => players().forEach((other) => other !== audio && other.pause()));
  on("loadedmetadata", note);

  function play() {
    const all = players();
    const running = all.find((audio) => !audio.paused);
    if (running) return running.pause();
    const next = all.find((audio) => share(audio) < WHOLE) ?? all[0];
    if (next) { if (next.ended) next.currentTime = 0; next.play(); }
  }

  let turn = 0; // which scale the next digit is for, where all are answered (after an undo)
  function choose(key) {
    const scales = [...document.querySelectorAll("#rating-form .scale")].filter(seen);
    const fitting = scales.filter((scale) => labelOf(scale, key));
    const focused = fitting.find((scale) => scale.contains(document.activeElement));
    const open = fitting.find((scale) => !scale.querySelector("input:checked"));
    const scale = focused ?? open ?? fitting[turn % fitting.length];
    turn = fitting.indexOf(scale) + 1;
    labelOf(scale, key)?.querySelector("input")?.click();
    if (!focused) document.activeElement?.blur();
  }

  function labelOf(scale, key) {
    return scale && [...scale.querySelectorAll("label")].find((l) => l.textContent.trim().startsWith(key.toUpperCase()));
  }

  document.addEventListener("keydown", (event) => {
    if (!seen(document.querySelector("#rating-form"))) return;
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.repeat) return;
    const writes = "textarea, select, input:not([type=radio]):not([type=checkbox])";
    if (event.target.matches?.(writes)) return;
    const presses = event.target.matches?.("button, a, audio, summary, input[type=checkbox]");
    const key = event.key.toLowerCase();
    if (presses && (key === " " || key === "enter")) return;
    const buttons = { enter: "rating-submit", u: "rating-undo", s: "rating-skip" };
    if (key === " ") play();
    else if (/^[1-5abtn]$/.test(key)) choose(key);
    else if (buttons[key]) { turn = 0; click(buttons[key]); }
    else return;
    event.preventDefault();
  });
  // After a click with the mouse the keys belong to the form again, not to the button that was clicked.
  document.addEventListener("click", (event) => {
    if (event.detail > 0 && event.target.closest?.("#rating-form button")) event.target.closest("button").blur();
  });

  window.stsmtListening = { heard };
})();
