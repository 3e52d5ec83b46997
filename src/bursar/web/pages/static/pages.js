// What the pages do beyond their markup: keys, relative times, live parts. Everything works without it.
(() => {
  "use strict";

  // ---- relative times: the same words as texts.py says
  const MINUTE = 60, HOUR = 3600, DAY = 86400, MONTH = 30 * DAY;
  function relative(seconds) {
    const span = Math.abs(seconds);
    if (span < 3) return "now";
    if (span >= MONTH) return null;
    const amount =
      span < MINUTE ? `${Math.round(span)} s` :
      span < HOUR ? `${Math.floor(span / MINUTE)} min` :
      span < DAY ? `${Math.floor(span / HOUR)} h` : `${Math.floor(span / DAY)} d`;
    return seconds > 0 ? `${amount} ago` : `in ${amount}`;
  }
  function tick() {
    if (document.hidden) return;
    const now = Date.now();
    for (const time of document.querySelectorAll("time[data-relative]")) {
      const words = relative((now - Date.parse(time.dateTime)) / 1000);
      if (words !== null && time.textContent !== words) time.textContent = words;
    }
  }
  setInterval(tick, 1000);

  // ---- keys: / finds, j and k move through rows, Enter opens the link that has the focus
  function step(by) {
    const rows = [...document.querySelectorAll("main a.row")];
    if (!rows.length) return;
    const at = rows.indexOf(document.activeElement);
    const next = rows[at < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(Math.max(at + by, 0), rows.length - 1)];
    next.focus();
    next.scrollIntoView({ block: "nearest" });
  }
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target.closest("input, textarea, select");
    if (typing) {
      if (event.key === "Escape") typing.blur();
      return;
    }
    if (event.key === "/") {
      const find = document.getElementById("find");
      if (find) { event.preventDefault(); find.focus(); find.select(); }
    } else if (event.key === "j") step(1);
    else if (event.key === "k") step(-1);
  });

  // ---- on a narrow screen the pages' names are a strip: show the one we are on
  const current = document.querySelector(".side nav [aria-current]");
  if (current) {
    const strip = current.closest("nav");
    strip.scrollLeft = current.offsetLeft - (strip.clientWidth - current.clientWidth) / 2;
  }

  // ---- filters send themselves; ids can be copied
  document.addEventListener("change", (event) => {
    const form = event.target.closest("form[data-autosubmit]");
    if (form) form.requestSubmit();
  });
  function showCopying(root) {
    if (!navigator.clipboard) return;
    for (const button of root.querySelectorAll("button[data-copy]")) button.hidden = false;
  }
  showCopying(document);
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button[data-copy]");
    if (!button) return;
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      button.textContent = "copied";
      setTimeout(() => { button.textContent = "copy"; }, 1500);
    } catch { button.textContent = "not allowed"; }
  });

  // ---- live parts: a mark says that something changed, the part asks for itself again
  const part = document.querySelector("[data-live]");
  if (!part || !window.EventSource || !window.htmx) return;
  let source = null, isOwed = false, isPressed = false, retry = 0;

  function say(word) {
    for (const state of document.querySelectorAll("[data-live-state]")) {
      if (state.textContent !== word) state.textContent = word;
      state.classList.toggle("is-off", word !== "live");
    }
  }
  // A click is one when it ends on what it began on: nothing is replaced under a pressed pointer.
  part.addEventListener("pointerdown", () => { isPressed = true; });
  for (const end of ["pointerup", "pointercancel"]) {
    document.addEventListener(end, () => setTimeout(() => { isPressed = false; }), true);
  }
  function isInUse() {
    if (isPressed) return true;
    const picked = window.getSelection();
    if (picked && !picked.isCollapsed && part.contains(picked.anchorNode)) return true;
    const focused = document.activeElement;
    return part.contains(focused) && focused.matches("input, textarea, select, button");
  }
  function refresh() {
    isOwed = isInUse();
    if (!isOwed) window.htmx.trigger(part, "live");
  }
  function open() {
    if (source || document.hidden) return;
    source = new EventSource("/live");
    source.addEventListener("open", () => say("live"));
    source.addEventListener("changed", refresh);
    source.addEventListener("error", () => {
      say("reconnecting");
      if (source && source.readyState === EventSource.CLOSED) {
        close();
        clearTimeout(retry);
        retry = setTimeout(() => { refresh(); open(); }, 15000);
      }
    });
  }
  function close() {
    if (source) source.close();
    source = null;
  }
  // A hidden page holds no connection: browsers allow six for a site, and nobody is looking.
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  window.addEventListener("pagehide", close);
  setInterval(() => { if (isOwed) refresh(); }, 1000);

  let known = new Set();
  function rowsOf() { return [...part.querySelectorAll("tr[id]")]; }
  part.addEventListener("htmx:beforeSwap", (event) => {
    if (isInUse()) {  // somebody began to select or to type while the answer was on its way
      event.detail.shouldSwap = false;
      isOwed = true;
    }
    known = new Set(rowsOf().map((row) => row.id));
  });
  part.addEventListener("htmx:afterSwap", () => {
    for (const row of rowsOf()) if (known.size && !known.has(row.id)) row.classList.add("fresh");
    showCopying(part);
    say("live");
    tick();
  });
  open();
})();
