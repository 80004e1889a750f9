// Keeps a page current: it asks for its own address again and puts in only what has changed, so that
// selection, focus, open parts, scroll and half-typed text stay. The server names the next pause.
"use strict";
(() => {
  const main = document.getElementById("main");
  const line = document.getElementById("updated");
  const live = document.getElementById("live");
  const button = document.getElementById("pause");
  if (!main || !live) return;
  const LONGEST = 60;
  let pause = Number(main.dataset.poll) || 0;
  let etag = main.dataset.etag || "";
  let updated = Date.now();
  let failures = 0;
  let isPaused = false;
  let isAsking = false;
  let timer = 0;

  const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const ago = (ms) => {
    const seconds = Math.max(0, Math.round(ms / 1000));
    const at = units.findIndex(([of]) => seconds >= of);
    if (at < 0) return "just now";
    const [of, unit] = units[at];
    const [below, word] = units[at + 1] || [];
    const rest = below ? Math.floor((seconds % of) / below) : 0;
    return `${Math.floor(seconds / of)} ${unit}${rest ? ` ${rest} ${word}` : ""} ago`;
  };

  const set = (element, words) => { if (element.textContent !== words) element.textContent = words; };
  const show = () => {
    const now = Date.now();
    for (const each of main.querySelectorAll("time[data-since]")) set(each, ago(now - Date.parse(each.dateTime)));
    const state = isPaused ? "paused" : failures ? "error" : pause ? "active" : "final";
    if (!line.isConnected) return;
    live.className = `live needs-script s-${state}`;
    const age = ago(now - updated);
    const words = { paused: `Paused · updated ${age}`, error: `No answer, updated ${age}` };
    set(line, words[state] || `Updated ${age}`);
    button.hidden = state === "final";
  };

  const plan = () => {
    clearTimeout(timer);
    if (pause && !isPaused && !document.hidden) timer = setTimeout(ask, Math.min(pause * 2 ** failures, Math.max(pause, LONGEST)) * 1000);
    show();
  };

  async function ask() {
    if (isAsking) return;
    isAsking = true;
    try {
      const headers = { "X-Poll": "1", ...(etag && { "If-None-Match": etag }) };
      const response = await fetch(location.href, { headers, cache: "no-store", redirect: "manual" });
      if (response.status === 401) { signedOut(); return; }
      if (response.status !== 304 && !response.ok) throw new Error(String(response.status));
      if (isPaused) { isAsking = false; return; } // paused meanwhile: asked again when it continues
      const next = response.headers.get("X-Next-Poll");
      pause = next === null ? pause : Number(next);
      if (response.status === 200) await put(await response.text());
      etag = response.headers.get("ETag") || etag;
      updated = Date.now();
      failures = 0;
    } catch {
      failures = Math.min(failures + 1, 5);
    }
    isAsking = false;
    plan();
  }

  // What is on the page stays, with the way back.
  function signedOut() {
    pause = 0;
    clearTimeout(timer);
    const link = document.createElement("a");
    link.href = `/sign-in?to=${encodeURIComponent(location.pathname + location.search)}`;
    link.textContent = "Signed out. Sign in again";
    live.className = "live s-error";
    button.hidden = true;
    line.replaceWith(link);
  }

  async function put(text) {
    const page = new DOMParser().parseFromString(text, "text/html");
    const fresh = page.getElementById("main");
    if (!fresh) return;
    document.title = page.title;
    await htmx.swap({ sourceElement: main, target: main, swap: "innerMorph", text: fresh.innerHTML });
    showSelection();
    main.dispatchEvent(new CustomEvent("updated", { bubbles: true }));
  }

  // A link to another part of this page: only what differs is put in, and the scroll stays.
  document.addEventListener("click", async (event) => {
    const link = event.target.closest("a[data-morph]");
    if (!link || isPaused || isAsking || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    history.pushState(null, "", link.href);
    await showOther();
    if (failures) location.reload();
    else document.getElementById(location.hash.slice(1))?.scrollIntoView({ block: "nearest" });
  });
  let shown = location.pathname + location.search;
  const showOther = () => {
    const other = location.pathname + location.search;
    if (other === shown) return undefined;
    shown = other;
    etag = "";
    return ask();
  };
  addEventListener("popstate", showOther);

  button.addEventListener("click", () => {
    isPaused = !isPaused;
    button.setAttribute("aria-pressed", String(isPaused));
    button.title = isPaused ? "Continue updates" : "Pause updates";
    button.ariaLabel = button.title;
    button.querySelector("use").setAttribute("href", button.querySelector("use").getAttribute("href").replace(/#.*/, isPaused ? "#play" : "#pause"));
    if (isPaused) plan(); else ask();
  });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && pause && !isPaused && Date.now() - updated > pause * 1000) ask();
    else plan();
  });
  setInterval(() => { if (!document.hidden) show(); }, 1000);
  plan();
})();
