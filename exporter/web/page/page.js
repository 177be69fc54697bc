"use strict";
(() => {
  const FETCH_MS = 5000, RETRY_MS = 30000, BODY_MS = 4000, SILENT_MS = 10000;
  const byId = (id) => document.getElementById(id);
  let version = Number(document.body.dataset.version);
  let stream = null, timer = null, bodiesAt = 0, heardAt = Date.now(), startedAt = heardAt;

  // Whether it is live; if not, for how long and why. Only the reason is news to those who listen.
  const tell = (state, why) => {
    document.body.dataset.live = state === "live" ? "yes" : "no";
    byId("live").textContent = state;
    byId("why").textContent = why ? `: ${why},` : ",";
    age();
  };
  const age = () => {
    const seconds = Math.round((Date.now() - heardAt) / 1000), isLive = document.body.dataset.live !== "no";
    byId("age").textContent = isLive ? "" : seconds < 120 ? ` for ${seconds} s` : ` for ${Math.floor(seconds / 60)} min`;
  };

  // Replaces what an element holds, and leaves open, focused and scrolled what was so.
  const swap = (element, html) => {
    if (!element || element.innerHTML === html) return;
    const open = [...element.querySelectorAll("details")].map((one) => one.open);
    element.innerHTML = html;
    element.querySelectorAll("details").forEach((one, number) => { if (number < open.length) one.open = open[number]; });
    showCopyButtons(element);
  };
  const isInUse = (element) => {
    const active = document.activeElement, chosen = document.getSelection();
    return (element !== active && element.contains(active)) || (!chosen.isCollapsed && element.contains(chosen.anchorNode));
  };
  const waiting = new Map();  // what has changed while somebody was at it

  const reorder = (order) => {
    const rows = byId("rows"), keys = order.split(" ").filter(Boolean);
    if (keys.some((key) => !byId("r-" + key))) return location.reload();
    [...rows.children].filter((row) => !keys.includes(row.id.slice(2))).forEach((row) => row.remove());
    if ([...rows.children].map((row) => row.id.slice(2)).join(" ") !== keys.join(" ")) {
      const focused = document.activeElement;
      keys.forEach((key) => rows.append(byId("r-" + key)));
      if (focused && rows.contains(focused)) focused.focus({ preventScroll: true });
    }
  };
  const take = (text) => {
    const changed = JSON.parse(text);
    version = changed.version;
    heardAt = Date.now();
    if (document.body.dataset.live !== "yes") tell("live");
    for (const [id, html] of Object.entries(changed.parts)) {
      if (id === "order") reorder(html);
      else waiting.set(id, html);
    }
    for (const [id, html] of waiting) {
      const element = byId(id);
      if (element && isInUse(element)) continue;
      waiting.delete(id);
      swap(element, html);
    }
    if (Date.now() - bodiesAt > BODY_MS) {
      bodiesAt = Date.now();
      document.querySelectorAll("#rows > li > details[open]").forEach((row) => fill(row, true));
    }
  };

  const fill = async (row, isAgain) => {
    const body = row.querySelector(".body");
    if (isAgain && isInUse(body)) return;
    try {
      const answer = await fetch("page/row?key=" + row.dataset.key);
      if (answer.ok) swap(body, await answer.text());
    } catch { /* the next time */ }
  };
  const poll = async () => {
    try {
      const answer = await fetch("page/changes?since=" + version);
      if (!answer.ok) return tell("not live", "this exporter answers with " + answer.status);
      take(await answer.text());
    } catch { tell("not live", "this exporter does not answer"); }
  };
  const stop = () => {
    if (stream) stream.close();
    clearInterval(timer);
    stream = timer = null;
  };
  const start = () => {
    stop();
    startedAt = Date.now();
    stream = new EventSource("page/stream?since=" + version);
    stream.onmessage = (message) => take(message.data);
    stream.onerror = () => {
      // Refused, or gone: ask now and then, and try again for a stream.
      stop();
      poll();
      timer = setInterval(poll, FETCH_MS);
      setTimeout(() => { if (!document.hidden && !stream) start(); }, RETRY_MS);
    };
  };
  // A stream may be open and say nothing: the exporter hangs, or somebody on the way has forgotten the connection.
  setInterval(() => {
    const silentMs = Date.now() - Math.max(heardAt, startedAt);
    if (!document.hidden && stream && silentMs > SILENT_MS) tell("not live", "nothing comes from this exporter");
    if (!document.hidden && silentMs > RETRY_MS) start();
    age();
  }, 1000);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) return start();
    stop();
    tell("paused", "the tab was hidden");
  });

  const showCopyButtons = (within) => within.querySelectorAll("button.copy").forEach((one) => { one.hidden = false; });
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button.copy");
    if (!button) return;
    const query = button.previousElementSibling;
    try {
      await navigator.clipboard.writeText(query.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(query);  // without TLS there is no clipboard
      button.textContent = "Selected";
    }
  });
  byId("rows").addEventListener("toggle", (event) => {
    if (event.target.open && event.target.dataset.key) fill(event.target, false);
  }, true);
  showCopyButtons(document);
  if (!document.hidden) start();
})();
